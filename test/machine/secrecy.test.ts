import assert from 'node:assert/strict';
import { DmaBus } from '../../emulator/devices/dma/dma-bus';
import { INSTRUCTION_TABLE } from '../../emulator/isa/table';
import { hostPhysical } from '../../emulator/memory/address';
import { RAM_BASE } from '../../emulator/memory/layout';
import type { Leak, SecrecyOptions, SecretLeak } from '../../emulator/machine/secrecy/api';
import { labelOfGuest, OWN_SECRETS } from '../../emulator/machine/secrecy/api';
import { FlowKind } from '../../emulator/machine/secrecy/flows';
import { HELPER_TRANSFERS } from '../../emulator/machine/secrecy/helper-transfers';
import { SecrecyTracker } from '../../emulator/machine/secrecy/tracker';
import { processorHelpers } from '../../emulator/cpu/helpers/table';
import { vmxHelpers } from '../../emulator/vmx';
import { enableEpt, OTHER_VMCS, PDPT, PML4, VMCS_REGION, writeValidVmcs } from '../vmx/bench';
import { ALL, EPT, mapPage } from '../vmx/ept-guest';
import { CODE, GDT, GuestBench, HOST_CODE, IDT, STACK } from '../vmx/guest-code';

/** EPT of the VMM: only what is mapped explicitly */
const VMM_EPT = 0xc_0000n;
const VMM_CODE = 0x7_0000n;
const VMM_PAGE = 0xb_0000n;
/** A page of the guest, and where the monitor keeps keys */
const GUEST_PAGE = 0xa_0000n;
const KEYS = 0x9_2000n;
const WB = 6n << 3n;

const HLT = 0xf4;
const VMCALL = [0x0f, 0x01, 0xc1];
const code = (hex: string): number[] => [...Buffer.from(hex.replaceAll(' ', ''), 'hex')];
const le32 = (value: bigint): string => Buffer.from(Uint32Array.of(Number(value)).buffer).toString('hex');
/** mov [address], rcx; mov rcx, [address]; xor of all registers that the host has not loaded itself */
const storeRcx = (at: bigint): string => `48 89 0c 25 ${le32(at)}`;
const loadRcx = (at: bigint): string => `48 8b 0c 25 ${le32(at)}`;
const CLEAR =
  '31c0 31c9 31d2 31db 31ed 31f6 31ff 4531c0 4531c9 4531d2 4531db 4531e4 4531ed 4531f6 4531ff'; // prettier-ignore
/** The guest: mov rcx, 1122334455667788h; mov [GUEST_PAGE], rcx */
const SECRET = `48 b9 88 77 66 55 44 33 22 11 ${storeRcx(GUEST_PAGE)}`;

/** A monitor in root operation, a guest with its pages, and a VMM that must not learn anything of them. */
class Scene {
  readonly guests: GuestBench;
  readonly tracker: SecrecyTracker;
  readonly leaks: SecretLeak[] = [];
  readonly dma: DmaBus;

  constructor(options: Partial<SecrecyOptions> = {}) {
    this.guests = new GuestBench(VMCALL, (bench) => {
      for (const root of [EPT, VMM_EPT]) {
        bench.write64(root, (root + 0x1000n) | ALL);
        bench.write64(root + 0x1000n, (root + 0x2000n) | ALL);
        bench.write64(root + 0x2000n, (root + 0x3000n) | ALL);
      }
      for (let at = 0n; at < 0x10_0000n; at += 0x1000n) mapPage(bench, at, ALL);
    });
    for (const page of [PML4, PDPT, GDT, IDT, VMM_CODE, VMM_PAGE]) this.mapForVmm(page);
    const { bench } = this.guests;
    const { memory } = bench.physical;
    const parts = {
      memory,
      cpus: [bench.cpu],
      running: () => 0,
      translate: (linear: bigint) => RAM_BASE + Number(linear),
      moment: () => bench.cpu.retired,
    };
    this.tracker = new SecrecyTracker(parts, {
      runnerOf: (_, vmcs) => (vmcs === OTHER_VMCS ? 'vmm' : 1),
      shows: () => 0n,
      shared: [],
      sharedByGuests: [],
      secrets: [],
      encryption: [],
      ...options,
    });
    const { taps } = bench.cpu;
    const { vmExit, vmEntry } = taps;
    taps.vmExit = (record) => {
      vmExit?.(record);
      this.tracker.taps.vmExit?.(record);
    };
    taps.vmEntry = (record) => {
      vmEntry?.(record);
      this.tracker.taps.vmEntry?.(record);
    };
    this.tracker.onLeak((leak) => this.leaks.push(leak));
    const messages = { send: () => undefined };
    this.dma = new DmaBus({
      physical: bench.physical,
      messages,
      taps: this.tracker.taps,
      codeWritten: () => undefined,
    });
  }

  mapForVmm(page: bigint, to = page): void {
    this.guests.bench.write64(VMM_EPT + 0x3000n + (page >> 12n) * 8n, to | WB | ALL);
  }

  private load(vmcs: bigint, ept: bigint, rip: bigint): void {
    const { bench } = this.guests;
    bench.pointer('VMCLEAR', vmcs);
    bench.pointer('VMPTRLD', vmcs);
    writeValidVmcs(bench.vmcs);
    enableEpt(bench, 0);
    bench.set('EPT_POINTER', ept | 0x1en);
    bench.set('GUEST_RIP', rip);
    bench.set('GUEST_RSP', STACK);
    bench.set('HOST_RIP', HOST_CODE);
    bench.set('HOST_RSP', 0x9_8000n);
  }

  /** The guest executes its code and VMCALL; then the monitor its own, and halts. */
  guest(guestCode: string, monitorCode: string): this {
    this.load(VMCS_REGION, EPT, CODE);
    this.guests.bytes(CODE, [...code(guestCode), ...VMCALL]);
    this.guests.bytes(HOST_CODE, [...code(monitorCode), HLT]);
    this.guests.enter();
    return this;
  }

  /** The VMM gets control, with the registers that the monitor has left. */
  vmm(vmmCode = ''): Leak[] {
    this.load(OTHER_VMCS, VMM_EPT, VMM_CODE);
    this.guests.bytes(VMM_CODE, [...code(vmmCode), ...VMCALL]);
    this.guests.bytes(HOST_CODE, [HLT]);
    this.guests.enter();
    return this.leaks.map(({ leak }) => leak);
  }

  /** Kinds of the steps by which the first leak came */
  get way(): FlowKind[] {
    return this.leaks[0]?.steps.map(({ kind }) => kind) ?? [];
  }

  get first(): SecretLeak {
    const [leak] = this.leaks;
    assert.ok(leak, 'nothing was found');
    return leak;
  }
}

describe('secrecy: where secrets of a guest go', () => {
  it('is silent when registers are hidden and pages stay apart', () => {
    assert.deepEqual(new Scene().guest(SECRET, CLEAR).vmm(), []);
  });

  it('a register that is not hidden', () => {
    const scene = new Scene();
    const registers = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    assert.deepEqual(scene.guest(SECRET, '90').vmm(), [{ by: 'register', registers }]);
    assert.deepEqual(scene.way, [FlowKind.Exit]);
    assert.equal(scene.first.to, 'vmm');
    assert.equal(scene.first.labels, labelOfGuest(1));
    assert.equal(scene.first.steps[0]?.at, 18);
  });

  it('but not one that the exit shows, nor what a mask has left of it', () => {
    const others = CLEAR.replace('31c0 31c9 ', '');
    const shown = new Scene({ shows: (_, register) => (register === 0 ? ~0n : 0n) });
    assert.deepEqual(shown.guest(SECRET, `31c9 ${others}`).vmm(), []);
    const masked = new Scene({ shows: (_, register) => (register <= 1 ? 0xffn : 0n) });
    assert.deepEqual(masked.guest(SECRET, `25ff000000 81e1ff000000 ${others}`).vmm(), []); // and eax, 0xff; and ecx, 0xff
    const wider = new Scene({ shows: (_, register) => (register <= 1 ? 0xffn : 0n) });
    assert.deepEqual(wider.guest(SECRET, `25ff000000 81e1ffff0000 ${others}`).vmm(), [
      { by: 'register', registers: [1] },
    ]);
  });

  it('a register of which a part was computed from one', () => {
    const scene = new Scene();
    // movzx eax, ch; lea edx, [rax + rax]; the rest is cleared
    const rest = CLEAR.replace('31c0 31c9 31d2 ', '31c0 31c9 ');
    assert.deepEqual(scene.guest(SECRET, `0fb6c5 8d1400 ${rest}`).vmm(), [{ by: 'register', registers: [2] }]);
  });

  it('memory that the VMM can read, by the bytes', () => {
    const scene = new Scene();
    const monitor = `88 2c 25 ${le32(VMM_PAGE + 5n)} ${CLEAR}`; // mov [VMM_PAGE + 5], ch
    assert.deepEqual(scene.guest(SECRET, monitor).vmm(), [{ by: 'memory' }]);
    assert.deepEqual(scene.way, [FlowKind.Exit, FlowKind.Store]);
    assert.equal(scene.first.address, Number(VMM_PAGE) + 5);
    assert.equal(scene.first.length, 1);
    assert.equal(scene.first.steps[1]?.rip, HOST_CODE);
  });

  it('a page of the guest, read by the monitor and copied', () => {
    const scene = new Scene();
    const monitor = `${CLEAR} ${loadRcx(GUEST_PAGE)} ${storeRcx(VMM_PAGE)} 31c9`;
    assert.deepEqual(scene.guest(SECRET, monitor).vmm(), [{ by: 'memory' }]);
    assert.deepEqual(scene.way, [FlowKind.Page, FlowKind.Store]);
  });

  it('what is overwritten with something else is no secret any more', () => {
    const copy = `${loadRcx(GUEST_PAGE)} ${storeRcx(VMM_PAGE)} 31c9`;
    assert.deepEqual(new Scene().guest(SECRET, `${CLEAR} ${copy} ${storeRcx(VMM_PAGE)}`).vmm(), []);
  });

  it('leftovers on a stack that the VMM can read', () => {
    const scene = new Scene();
    const stack = `48 bc ${le32(VMM_PAGE + 0x100n)} 00000000`; // mov rsp, VMM_PAGE + 0x100
    assert.deepEqual(scene.guest(SECRET, `${stack} 53 5b ${CLEAR}`).vmm(), [{ by: 'memory' }]); // push rbx; pop rbx
    assert.equal(scene.first.address, Number(VMM_PAGE) + 0xf8);
  });

  it('a field of the VMCS, by VMREAD', () => {
    const scene = new Scene();
    const monitor = `${CLEAR} ba1e680000 0f78d1 ${storeRcx(VMM_PAGE)} ${CLEAR}`; // vmread rcx, GUEST_RIP
    assert.deepEqual(scene.guest(SECRET, monitor).vmm(), [{ by: 'memory' }]);
    assert.deepEqual(scene.way, [FlowKind.Exit, FlowKind.Store]);
    const mode = `${CLEAR} ba00680000 0f78d1 ${storeRcx(VMM_PAGE)} ${CLEAR}`; // GUEST_CR0 tells the mode
    assert.deepEqual(new Scene().guest(SECRET, mode).vmm(), []);
  });

  it('what the VMM reads by a mapping that nobody has looked at', () => {
    const scene = new Scene().guest(SECRET, CLEAR);
    scene.mapForVmm(0xd_0000n, GUEST_PAGE);
    assert.deepEqual(scene.vmm(loadRcx(0xd_0000n)), [{ by: 'read' }]);
    assert.deepEqual(scene.way, [FlowKind.Page]);
    assert.equal(scene.first.address, Number(GUEST_PAGE));
  });

  it('a port', () => {
    const scene = new Scene();
    assert.deepEqual(scene.guest(SECRET, `66baf803 88c8 ee ${CLEAR}`).vmm(), [{ by: 'port', port: 0x3f8 }]); // mov al, cl
    assert.deepEqual(scene.way, [FlowKind.Exit]);
    assert.equal(scene.first.to, 'root');
  });

  it('a device that reads a page, and writes what it has read to a disk and to memory', () => {
    const scene = new Scene().guest(SECRET, CLEAR);
    const port = scene.dma.port(9);
    port.read(GUEST_PAGE, new Uint8Array(512));
    scene.tracker.devices.written(0, 7, 1);
    assert.deepEqual(
      scene.leaks.map(({ leak }) => leak),
      [{ by: 'device', requester: 9 }],
    );
    assert.equal(scene.tracker.secretBytes > 0, true);
    // Another sector, and then this one
    scene.tracker.devices.read(0, 6, 1);
    port.write(VMM_PAGE, new Uint8Array(512));
    assert.deepEqual(scene.vmm(CLEAR).slice(1), []);
    scene.tracker.devices.read(0, 7, 1);
    port.write(VMM_PAGE, new Uint8Array(512));
    scene.leaks.length = 0;
    assert.deepEqual(scene.vmm(CLEAR), [{ by: 'memory' }]);
    assert.deepEqual(scene.way, [FlowKind.Page, FlowKind.DeviceRead, FlowKind.Disk, FlowKind.DeviceWrite]);
  });

  it("memory that is shared on purpose is not the guest's own, and gets no secret", () => {
    const shared = [{ start: Number(VMM_PAGE), end: Number(VMM_PAGE) + 0x1000 }];
    const open = new Scene({ shared }).guest(`48 b9 88 77 66 55 44 33 22 11 ${storeRcx(VMM_PAGE)}`, CLEAR);
    assert.deepEqual(open.vmm(loadRcx(VMM_PAGE)), []);
    const monitor = `${CLEAR} ${loadRcx(GUEST_PAGE)} ${storeRcx(VMM_PAGE + 8n)} 31c9`;
    assert.deepEqual(new Scene({ shared }).guest(SECRET, monitor).vmm(), [{ by: 'shared' }, { by: 'memory' }]);
  });

  it('keys of the monitor, and what is computed with them', () => {
    const secrets = [{ start: Number(KEYS), end: Number(KEYS) + 8 }];
    // mov ecx, 5; mov [KEYS], rcx; then another one is made from it
    const monitor = `${CLEAR} b905000000 ${storeRcx(KEYS)} 31c9 ${loadRcx(KEYS)} 4883f155 ${storeRcx(VMM_PAGE)} 31c9`;
    const scene = new Scene({ secrets }).guest('90', monitor);
    assert.deepEqual(scene.vmm(), [{ by: 'memory' }]);
    assert.equal(scene.first.labels, OWN_SECRETS);
    assert.deepEqual(scene.way, [FlowKind.Declared, FlowKind.Store]);
  });
});

describe('secrecy: declared encryption', () => {
  const FUNCTION = HOST_CODE + 0x200n;
  const secrets = [{ start: Number(KEYS), end: Number(KEYS) + 8 }];
  const cipher = {
    name: 'cipher',
    entry: FUNCTION,
    output: 2,
    length: { register: 1 },
    keyed: true,
    iv: 6,
    key: undefined,
  };
  const le = (value: bigint): string => `${le32(value)}`;
  /** Output rdx, length rcx, IV rsi; encrypts 8 of the bytes: rax = key xor guest's data */
  const body = (mix: string): string => `488b0425${le(KEYS)} ${mix} 488902 c3`;
  const MIX = `48330425${le(GUEST_PAGE)}`; // xor rax, [GUEST_PAGE]
  const ONLY_COPY = `488b0425${le(GUEST_PAGE)}`; // mov rax, [GUEST_PAGE]
  const call = (length: string, iv: bigint): string =>
    `ba${le(VMM_PAGE)} b9${length} be${le(iv)} e8${Buffer.from(Int32Array.of(0).buffer).toString('hex')}`;

  /** The monitor makes a key, calls the function for `length` bytes, and clears its registers. */
  function scene(mix: string, length: string, times = 1): Scene {
    const made = new Scene({ secrets, encryption: [cipher] });
    let monitor = code(`${CLEAR} b905000000 ${storeRcx(KEYS)}`);
    for (let i = 0; i < times; i++) {
      monitor = [...monitor, ...code(call(length, VMM_CODE))];
      const relative = Number(FUNCTION - HOST_CODE) - monitor.length;
      monitor = [...monitor.slice(0, -4), ...Buffer.from(Int32Array.of(relative).buffer)];
    }
    made.guests.bytes(FUNCTION, code(body(mix)));
    return made.guest(SECRET, Buffer.from([...monitor, ...code(CLEAR)]).toString('hex'));
  }

  it('cleans what it has written', () => assert.deepEqual(scene(MIX, '08000000').vmm(), []));

  it('but only within its output', () => {
    const half = scene(MIX, '04000000');
    assert.deepEqual(half.vmm(), [{ by: 'memory' }]);
    assert.equal(half.first.address, Number(VMM_PAGE) + 4);
  });

  it('and nothing that does not depend on the key', () =>
    assert.deepEqual(scene(ONLY_COPY, '08000000').vmm(), [{ by: 'memory' }]));

  it('tells an initialization vector that comes twice', () => {
    const twice = scene(MIX, '08000000', 2).vmm();
    assert.deepEqual(
      twice.map(({ by }) => by),
      ['iv-reused'],
    );
  });
});

describe('secrecy: going back in time', () => {
  it('finds the same again from a snapshot', () => {
    const scene = new Scene().guest(SECRET, CLEAR);
    const saved = scene.tracker.save();
    const before = scene.tracker.secretBytes;
    scene.guests.bench.physical.write(hostPhysical(GUEST_PAGE), 8, 0n);
    assert.equal(scene.tracker.secretBytes, before - 8);
    scene.tracker.restore(saved);
    assert.equal(scene.tracker.secretBytes, before);
    assert.equal(scene.tracker.byteAt(Number(GUEST_PAGE)).labels, labelOfGuest(1));
  });
});

describe('secrecy: helpers', () => {
  const helpers = new Set(INSTRUCTION_TABLE.flatMap(({ helper }) => (helper === undefined ? [] : [helper])));

  it('each has a row that says what it does to secrets', () => {
    for (const helper of helpers) assert.ok(HELPER_TRANSFERS[helper], helper);
    const known = { ...processorHelpers, ...vmxHelpers };
    for (const helper of Object.keys(HELPER_TRANSFERS)) assert.ok(known[helper], `${helper} is no helper`);
  });
});
