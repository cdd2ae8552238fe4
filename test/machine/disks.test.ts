import { strict as assert } from 'node:assert';
import type { DmaRecord } from '../../emulator/cpu/taps';
import { MachineError, type Machine, type MachineConfiguration } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';
import { elfImage } from './elf-image';
import { disk, patternBytes } from './pci-harness';

const BASE = 0x200000;
const out = (port: number, value: number) => [0x66, 0xba, port & 0xff, port >> 8, 0xb0, value, 0xee]; // mov dx; mov al; out
const outl = (port: number, value: number) => [
  ...[0x66, 0xba, port & 0xff, port >> 8, 0xb8],
  ...[0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff),
  0xef,
];
const READY = [0xec, 0xa8, 0x80, 0x75, 0xfb]; // 1: in al, dx; test al, 80h; jnz 1b
const END = [0x31, 0xc0, 0xe7, 0xf4]; // xor eax, eax; out 0f4h, eax
const task = (command: number, lba: number) => [
  ...out(0x1f6, 0xe0),
  ...out(0x1f2, 1),
  ...out(0x1f3, lba),
  ...out(0x1f4, 0),
  ...out(0x1f5, 0),
  ...out(0x1f7, command),
];
/** The disk brings sector 5 to 0x1000, by a descriptor that the image has at 0x201000. */
const READ_BY_DMA = [
  ...outl(0xcf8, 0x80000904),
  ...outl(0xcfc, 5),
  ...outl(0xc004, 0x201000),
  ...out(0xc000, 9),
  ...task(0xc8, 5),
  ...READY,
  ...END,
];
/** Writes sector 1: 256 words of 1111h. */
const WRITE = [
  ...task(0x30, 1),
  ...READY,
  ...[0x66, 0xba, 0xf0, 1, 0xb9, 0, 1, 0, 0, 0xb8, 0x11, 0x11, 0, 0, 0x66, 0xef, 0xe2, 0xfc],
  ...[0x66, 0xba, 0xf7, 1],
  ...READY,
  ...END,
];

function machineWith(code: readonly number[], more: Partial<MachineConfiguration> = {}): Machine {
  const descriptor = [0, 0x10, 0, 0, 0, 2, 0, 0x80];
  const segments = [
    { paddr: BASE, bytes: code },
    { paddr: 0x201000, bytes: descriptor },
  ];
  return createMachine({
    memory: 4,
    kernel: { name: 'test.elf', bytes: elfImage({ entry: BASE, segments }) },
    modules: [],
    commandLine: '',
    translator: false,
    disks: [disk(patternBytes(64))],
    ...more,
  });
}

const ENDED = { why: 'ended', outcome: { kind: 'exit-port', code: 0 } };
const physical = (machine: Machine) => ({ ...machine.running(0).space, kind: 'host-physical' as const });

describe('machine: disks', () => {
  it('tells the tap of each page that a device reached', () => {
    const machine = machineWith(READ_BY_DMA);
    const seen: DmaRecord[] = [];
    const remove = machine.addTaps({ dma: (record) => seen.push(record) });
    assert.deepEqual(machine.run(100_000), ENDED);
    remove();
    assert.deepEqual(seen, [
      { requester: 9, address: 0x201000, hostPhysical: 0x201000, length: 8, write: false, blocked: undefined },
      { requester: 9, address: 0x1000, hostPhysical: 0x1000, length: 512, write: true, blocked: undefined },
    ]);
    assert.deepEqual(machine.readMemory(physical(machine), 0x1000n, 512), patternBytes(64).slice(5 * 512, 6 * 512));
  });

  it('is the same machine each time, and leaves the image as it is', () => {
    const image = patternBytes(64);
    const hashes = [false, true].map((translator) => {
      const machine = machineWith(WRITE, { disks: [disk(image)], translator });
      assert.deepEqual(machine.run(100_000), ENDED);
      return machine.stateHash();
    });
    assert.equal(hashes[0], hashes[1]);
    assert.deepEqual(image, patternBytes(64));
  });

  it('survives an image that cannot be read', () => {
    const source = {
      size: 64 * 512,
      read: () => {
        throw new Error('the medium is gone');
      },
    };
    const machine = machineWith([...task(0x20, 1), ...READY, 0xa8, 1, 0x0f, 0x95, 0xc0, 0x0f, 0xb6, 0xc0, 0xe7, 0xf4], {
      disks: [{ name: 'bad', source, interface: 'ide' }],
    });
    // test al, 1; setnz al; movzx eax, al; out 0f4h, eax: the ERR bit
    assert.deepEqual(machine.run(100_000), { why: 'ended', outcome: { kind: 'exit-port', code: 1 } });
  });

  it('refuses disks that cannot be', () => {
    const refused = (disks: MachineConfiguration['disks'], message: RegExp) =>
      assert.throws(
        () => machineWith(END, { disks: disks ?? [] }),
        (error) => error instanceof MachineError && message.test(error.message),
      );
    refused(Array(5).fill(disk(patternBytes(1))), /fifth disk.*"virtio"/);
    refused([disk(new Uint8Array())], /is empty/);
    refused(
      [{ name: 'a', source: { size: 512, read: () => undefined }, interface: 'ide', write: 'through' }],
      /cannot be written/,
    );
    const odd = disk(new Uint8Array(1000));
    refused([{ ...odd, write: 'through' }], /its 1000 bytes are no whole number of sectors.*1024/s);
    machineWith(END, { disks: [odd] });
    machineWith(END, { disks: [{ ...odd, write: 'through', readOnly: true }] });
  });
});

/** An ACPI table in RAM by its signature, checksum verified */
function acpiTable(machine: Machine, signature: string): Buffer | undefined {
  const ram = Buffer.from(machine.readMemory(physical(machine), 0n, 4 << 20));
  for (let at = ram.indexOf(signature); at >= 0; at = ram.indexOf(signature, at + 1)) {
    const table = ram.subarray(at, at + ram.readUInt32LE(at + 4));
    if (table.length >= 36 && table.reduce((sum, byte) => sum + byte, 0) % 256 === 0) return table;
  }
  return undefined;
}

describe('machine: the DMAR table', () => {
  it('names the unit and the I/O APIC, when there is an IOMMU', () => {
    const table = acpiTable(machineWith(END, { iommu: true }), 'DMAR');
    assert.ok(table);
    assert.deepEqual([...table.subarray(36, 38)], [38, 1], '39 address bits, interrupt remapping');
    assert.deepEqual([table.readUInt16LE(48), table.readUInt16LE(50), table[52]], [0, 24, 1]);
    assert.equal(table.readBigUInt64LE(56), 0xfed90000n);
    assert.deepEqual([...table.subarray(64, 66), ...table.subarray(69, 72)], [3, 8, 0xf0, 0x1f, 0]);
    assert.equal(table.length, 72);
    assert.equal(acpiTable(machineWith(END), 'DMAR'), undefined);
  });
});

describe('machine: the way of a device address', () => {
  it('is the address itself without an IOMMU', () => {
    const machine = machineWith(END);
    assert.deepEqual(machine.dmaTranslate(9, 0x1234n), {
      steps: [],
      hostPhysical: 0x1234n,
      guestPhysical: undefined,
      failure: undefined,
    });
  });

  it('goes through root, context and second-stage entries', () => {
    // The program switches translation on: root table at 0x300000; mov edi, 0fed90020h; mov [rdi], eax; ...
    const store = (at: number, value: number) => [
      ...[0xbf, ...[0, 8, 16, 24].map((shift) => (at >>> shift) & 0xff)],
      ...[0xc7, 0x07, ...[0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff)],
    ];
    const code = [
      ...store(0xfed90020, 0x300000),
      ...store(0xfed90018, 0x40000000),
      ...store(0xfed90018, 0x80000000),
      ...READ_BY_DMA,
    ];
    const machine = machineWith(code, { iommu: true });
    const put = (at: number, ...values: bigint[]) =>
      machine.writeMemory(physical(machine), BigInt(at), new Uint8Array(BigUint64Array.from(values).buffer));
    put(0x300000, 0x301001n, 0n);
    put(0x301000 + 9 * 16, 0x302001n, (5n << 8n) | 1n);
    put(0x302000, 0x303003n);
    put(0x303000, 0x83n, 0x304003n);
    put(0x304000, 0n, 0x1001n);
    assert.deepEqual(machine.run(100_000), ENDED);
    const found = machine.dmaTranslate(9, 0x123456n);
    assert.equal(found.hostPhysical, 0x123456n);
    assert.deepEqual(
      found.steps.map(({ name, table, entry, flags }) => [name, table, entry, flags.join(' ')]),
      [
        ['Root entry', 'iommu', 0x301001n, 'present'],
        ['Context entry', 'iommu', 0x302001n, 'present second stage 39-bit, 3 levels domain 5'],
        ['SS-PDPTE', 'iommu', 0x303003n, 'read write'],
        ['SS-PDE', 'iommu', 0x83n, 'read write 2-MByte page'],
      ],
    );
    const missing = machine.dmaTranslate(9, 0x200123n);
    assert.equal(missing.hostPhysical, undefined);
    assert.match(missing.failure ?? '', /requester 0x9, address 0x200123: not readable \(fault reason 0x6\)/);
    assert.equal(machine.dmaTranslate(9, 0x201123n).hostPhysical, 0x1123n);
    assert.match(machine.dmaTranslate(0x10, 0n).failure ?? '', /context entry not present/);
  });
});
