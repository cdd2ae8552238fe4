import assert from 'node:assert/strict';
import { Primary, Secondary } from '../../emulator/arch/controls';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { describeQualification } from '../../emulator/arch/exit-qualification';
import { ApicBus } from '../../emulator/devices/apic-bus';
import { LocalApic } from '../../emulator/devices/local-apic';
import { State } from '../../emulator/memory/layout';
import {
  ACCESS_PAGE,
  apicGuest,
  Code,
  DELIVERY,
  DESCRIPTOR,
  NOTIFICATION_VECTOR,
  POSTED,
  QueuedInterrupts,
  VIRTUAL_PAGE,
  type ApicControls,
} from './apic-bench';
import { enableEpt, EPT_ROOT } from './bench';
import { CODE, GuestBench, STACK } from './guest-code';

const VTPR = VIRTUAL_PAGE + 0x80n;
const VPPR = VIRTUAL_PAGE + 0xa0n;
const RAX = 0;
const ACCESSES: ApicControls = { secondary: Secondary.VIRTUALIZE_APIC_ACCESSES };
const REGISTERS: ApicControls = {
  secondary: Secondary.VIRTUALIZE_APIC_ACCESSES | Secondary.APIC_REGISTER_VIRTUALIZATION,
};
const ACCESSES_AND_DELIVERY: ApicControls = {
  ...DELIVERY,
  secondary: Secondary.VIRTUALIZE_APIC_ACCESSES | Secondary.VIRTUAL_INTERRUPT_DELIVERY,
};
const X2APIC: ApicControls = { secondary: Secondary.VIRTUALIZE_X2APIC_MODE };
const X2APIC_AND_DELIVERY: ApicControls = {
  ...DELIVERY,
  secondary: Secondary.VIRTUALIZE_X2APIC_MODE | Secondary.VIRTUAL_INTERRUPT_DELIVERY,
};

const word = ({ bench }: GuestBench, address: bigint): number => Number(bench.read64(address) & 0xffff_ffffn);
const rip = ({ bench }: GuestBench): number => Number(bench.get('GUEST_RIP') - CODE);
const rax = ({ bench }: GuestBench): number => Number(bench.state.gpr(RAX) & 0xffff_ffffn);
const qualification = ({ bench }: GuestBench): number => Number(bench.get('EXIT_QUALIFICATION'));
const request = ({ bench }: GuestBench, vector: number): void => {
  const at = VIRTUAL_PAGE + 0x200n + BigInt((vector & 0xe0) >>> 1);
  bench.write32(at, Number(bench.read64(at) & 0xffff_ffffn) | (1 << (vector & 31)));
};
/** RVI and SVI */
const status = (guest: GuestBench, requesting: number, serving = 0): void =>
  guest.bench.set('GUEST_INTERRUPT_STATUS', requesting | (serving << 8));

describe('TPR shadow (SDM vol. 3, 30.1.2 and 30.3)', () => {
  it('CR8 is bits 7:4 of VTPR; the local APIC keeps its own', () => {
    const interrupts = new QueuedInterrupts();
    interrupts.taskPriority = 2;
    const guest = apicGuest([Code.moveEax(9), Code.toCr8, Code.fromCr8, Code.vmcall], {}, interrupts);
    guest.bench.write32(VTPR, 0xffff_ff5f);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(word(guest, VTPR), 0x90, 'all but bits 7:4 is cleared');
    assert.equal(rax(guest), 9);
    assert.equal(interrupts.taskPriority, 2);
  });

  it('exits after the MOV to CR8 that lowers the TPR below the threshold', () => {
    const guest = apicGuest([Code.moveEax(3), Code.toCr8, Code.nop]);
    guest.bench.write32(VTPR, 0x40);
    guest.bench.set('TPR_THRESHOLD', 4);
    assert.equal(guest.enter(), ExitReason.TPR_BELOW_THRESHOLD);
    assert.equal(rip(guest), 9, 'behind the instruction');
    assert.equal(word(guest, VTPR), 0x30);
    assert.equal(guest.bench.state.get32(State.PENDING_EVENTS), 0);
  });

  it('does not exit at the threshold, nor with a pending trap before it', () => {
    const guest = apicGuest([Code.moveEax(4), Code.toCr8, Code.vmcall]);
    guest.bench.write32(VTPR, 0x70);
    guest.bench.set('TPR_THRESHOLD', 4);
    assert.equal(guest.enter(), ExitReason.VMCALL);
  });

  it('CR8-load exiting comes first', () => {
    const guest = apicGuest([Code.moveEax(3), Code.toCr8], { primary: Primary.CR8_LOAD_EXITING });
    assert.equal(guest.enter(), ExitReason.CR_ACCESS);
    assert.equal(word(guest, VTPR), 0);
  });

  it('exits right after VM entry below the threshold, when APIC accesses are virtualized', () => {
    const guest = apicGuest([Code.vmcall], ACCESSES);
    guest.bench.set('TPR_THRESHOLD', 1);
    guest.bench.clear('GUEST_RFLAGS', 0x200);
    assert.equal(guest.enter(), ExitReason.TPR_BELOW_THRESHOLD);
    assert.equal(rip(guest), 0);
    guest.bench.set('GUEST_ACTIVITY_STATE', 1);
    assert.equal(guest.enter(), ExitReason.TPR_BELOW_THRESHOLD, 'HLT does not hide it');
    guest.bench.write32(VTPR, 0x10);
    guest.bench.set('GUEST_ACTIVITY_STATE', 0);
    assert.equal(guest.enter(), ExitReason.VMCALL);
  });

  it('comes after an event that VM entry injects', () => {
    const guest = apicGuest([Code.vmcall], ACCESSES);
    guest.bench.set('TPR_THRESHOLD', 1);
    guest.bench.set('ENTRY_INTERRUPTION_INFORMATION', 0x8000_0030);
    assert.equal(guest.enter(), ExitReason.TPR_BELOW_THRESHOLD);
    assert.equal(guest.handler, 0x30);
  });
});

describe('APIC-access page (SDM vol. 3, 30.4)', () => {
  const exitOf = (code: readonly number[], controls: ApicControls): [number, number] => {
    const guest = apicGuest([code, Code.vmcall], controls);
    const reason = guest.enter();
    return [reason, reason === Number(ExitReason.VMCALL) ? -1 : qualification(guest)];
  };
  const exits = (offset: number, type: number): [number, number] => [ExitReason.APIC_ACCESS, offset | (type << 12)];
  const passes = [ExitReason.VMCALL, -1];
  const at = (offset: number): bigint => ACCESS_PAGE + BigInt(offset);

  it('exits without "use TPR shadow", for every offset', () => {
    const guest = apicGuest([Code.load(at(0x80))], ACCESSES);
    guest.bench.clear('PRIMARY_PROCESSOR_CONTROLS', Primary.USE_TPR_SHADOW);
    assert.equal(guest.enter(), ExitReason.APIC_ACCESS);
    assert.equal(qualification(guest), 0x80);
    assert.equal(rip(guest), 0, 'the instruction was not executed');
    assert.equal(Number(guest.bench.get('EXIT_INSTRUCTION_LENGTH')), 7);
    assert.ok(guest.bench.get('GUEST_RFLAGS') & 0x10000n, 'RF');
  });

  it('reads TPR from the virtual-APIC page, and exits for other offsets and forms', () => {
    const guest = apicGuest([Code.load(at(0x80)), Code.vmcall], ACCESSES);
    guest.bench.write32(VTPR, 0x12345678);
    guest.bench.write32(at(0x80), 0x55555555);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(rax(guest), 0x12345678);
    assert.deepEqual(exitOf(Code.loadByte(at(0x80)), ACCESSES), passes);
    assert.deepEqual(exitOf(Code.loadByte(at(0x81)), ACCESSES), exits(0x81, 0), 'not its offset');
    assert.deepEqual(exitOf(Code.loadByte(at(0x81)), REGISTERS), passes);
    assert.deepEqual(exitOf(Code.load(at(0x20)), ACCESSES), exits(0x20, 0));
    assert.deepEqual(exitOf(Code.load(at(0x81)), ACCESSES), exits(0x81, 0), 'leaves the 4 bytes');
    assert.deepEqual(exitOf(Code.load(at(0x84)), ACCESSES), exits(0x84, 0));
    assert.deepEqual(exitOf(Code.load64(at(0x80)), ACCESSES), exits(0x80, 0), '8 bytes');
    assert.deepEqual(exitOf(Code.load(at(0xffe)), ACCESSES), exits(0xffe, 0), 'leaves the page');
    assert.deepEqual(exitOf(Code.load(at(-2)), ACCESSES), exits(0, 0), 'enters the page');
    assert.deepEqual(exitOf(Code.jump(at(0x80)), ACCESSES), exits(0x80, 2));
  });

  it('virtualizes read-modify-write of TPR and reports the read of another register as a write', () => {
    const guest = apicGuest([Code.or(at(0x80), 0x40), Code.vmcall], ACCESSES);
    guest.bench.write32(VTPR, 0x13);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(word(guest, VTPR), 0x53);
    assert.deepEqual(exitOf(Code.or(at(0xf0), 1), ACCESSES), exits(0xf0, 1));
    assert.deepEqual(exitOf(Code.exchange(at(0x80)), ACCESSES), passes);
  });

  it('a write to TPR keeps its low byte and meets the threshold after the instruction', () => {
    const guest = apicGuest([Code.store(at(0x80), 0x1234), Code.nop], ACCESSES);
    guest.bench.write32(VTPR, 0x50);
    guest.bench.set('TPR_THRESHOLD', 5);
    assert.equal(guest.enter(), ExitReason.TPR_BELOW_THRESHOLD);
    assert.equal(word(guest, VTPR), 0x34);
    assert.equal(rip(guest), 11);
    assert.equal(word(guest, at(0x80)), 0, 'the APIC-access page itself is not written');
  });

  it('"APIC-register virtualization" reads the registers of the list, and no others', () => {
    const readable = [
      0x20, 0x30, 0x80, 0xb0, 0xd0, 0xe0, 0xf0, 0x100, 0x170, 0x180, 0x1f0, 0x200, 0x270, 0x280, 0x300, 0x310, 0x320, 0x370,
      0x380, 0x3e0,
    ]; // prettier-ignore
    for (let offset = 0; offset < 0x400; offset += 16) {
      const listed =
        readable.includes(offset) || (offset >= 0x100 && offset < 0x280) || (offset >= 0x320 && offset < 0x380);
      assert.deepEqual(
        exitOf(Code.load(at(offset)), REGISTERS),
        listed ? passes : exits(offset, 0),
        offset.toString(16),
      );
    }
  });

  it('writes with it exit behind the instruction, but for TPR and ICR high', () => {
    const writable = [
      0x20, 0xb0, 0xd0, 0xe0, 0xf0, 0x280, 0x300, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0,
    ];
    for (let offset = 0; offset < 0x400; offset += 16) {
      const expected = [0x80, 0x310].includes(offset)
        ? passes
        : writable.includes(offset)
          ? [ExitReason.APIC_WRITE, offset]
          : exits(offset, 1);
      assert.deepEqual(exitOf(Code.store(at(offset), 0x55), REGISTERS), expected, offset.toString(16));
    }
    const guest = apicGuest([Code.storeByte(at(0xf1), 1)], REGISTERS);
    assert.equal(guest.enter(), ExitReason.APIC_WRITE);
    assert.equal(qualification(guest), 0xf1);
    assert.equal(word(guest, VIRTUAL_PAGE + 0xf0n), 0x100);
    assert.equal(rip(guest), 8);
  });

  it('clears the low bytes of ICR high', () => {
    const guest = apicGuest([Code.store(at(0x310), 0x12345678), Code.vmcall], REGISTERS);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(word(guest, VIRTUAL_PAGE + 0x310n), 0x12000000);
  });

  it('is below page faults and EPT violations, and above everything of a fetch from the page', () => {
    const guest = apicGuest([Code.load(at(0x20))], ACCESSES);
    enableEpt(guest.bench);
    assert.equal(guest.enter(), ExitReason.EPT_VIOLATION);
  });

  it('counts an access of event delivery as such, with IDT-vectoring information', () => {
    const guest = apicGuest([Code.moveRsp(ACCESS_PAGE + 0x100n), Code.int(0x40)], ACCESSES);
    assert.equal(guest.enter(), ExitReason.APIC_ACCESS);
    assert.equal(qualification(guest) >>> 12, 3);
    assert.equal(guest.bench.get('IDT_VECTORING_INFORMATION'), 0x8000_0440n);
    assert.equal(guest.bench.get('EXIT_INSTRUCTION_LENGTH'), 2n);
    assert.equal(rip(guest), 10);
  });

  it('exits for a guest-physical access: a guest page table on the page', () => {
    const guest = apicGuest([Code.nop, Code.vmcall], ACCESSES);
    const { bench } = guest;
    enableEpt(bench);
    bench.write64(EPT_ROOT, 0x8_1007n);
    bench.write64(0x8_1000n, 0xb7n); // 1 GByte, write-back
    assert.equal(guest.enter(), ExitReason.VMCALL);
    bench.set('GUEST_CR3', ACCESS_PAGE);
    assert.equal(guest.enter(), ExitReason.APIC_ACCESS);
    assert.equal(qualification(guest) >>> 12, 15);
    assert.equal(bench.get('GUEST_PHYSICAL_ADDRESS'), 0n);
  });

  it('does not treat the page specially outside non-root operation, and forgets no mapping of it', () => {
    const guest = apicGuest([Code.load(at(0x20)), Code.vmcall]);
    guest.bench.write32(at(0x20), 0x77);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(rax(guest), 0x77);
    guest.bench.or('SECONDARY_PROCESSOR_CONTROLS', Secondary.VIRTUALIZE_APIC_ACCESSES);
    guest.bench.set('GUEST_RIP', CODE);
    assert.equal(guest.enter(), ExitReason.APIC_ACCESS, 'without VPIDs VM entry dropped the mapping');
  });

  it('a mapping cached under a VPID before the control was set stays in use until INVVPID (30.4.5)', () => {
    const guest = apicGuest([Code.load(at(0x20)), Code.vmcall], { secondary: Secondary.ENABLE_VPID });
    const { bench } = guest;
    bench.set('VPID', 7);
    bench.write32(at(0x20), 0x77);
    const again = (): number => {
      bench.set('GUEST_RIP', CODE);
      return guest.enter();
    };
    assert.equal(again(), ExitReason.VMCALL);
    bench.or('SECONDARY_PROCESSOR_CONTROLS', Secondary.VIRTUALIZE_APIC_ACCESSES);
    assert.equal(again(), ExitReason.VMCALL, 'stale');
    bench.cpu.tlb.flushVpid(7);
    assert.equal(again(), ExitReason.APIC_ACCESS);
    bench.set('APIC_ACCESS_ADDRESS', 0x7_3000);
    assert.equal(again(), ExitReason.VMCALL, 'another page now');
  });

  it('an exit behind the instruction takes the single-step trap along as pending', () => {
    const guest = apicGuest([Code.store(at(0x80), 0x10), Code.nop], ACCESSES);
    guest.bench.write32(VTPR, 0x50);
    guest.bench.set('TPR_THRESHOLD', 5);
    guest.bench.or('GUEST_RFLAGS', 0x100);
    assert.equal(guest.enter(), ExitReason.TPR_BELOW_THRESHOLD);
    assert.equal(guest.bench.get('GUEST_PENDING_DEBUG_EXCEPTIONS'), 0x4000n);
  });

  it('INS reads no port for a write that exits, and CMPXCHG16B counts as a write', () => {
    const destination = [0x48, 0xbf, 0x20, 0, 7, 0, 0, 0, 0, 0]; // MOV RDI, the page + 20H
    assert.deepEqual(exitOf([...destination, 0x6d], ACCESSES), exits(0x20, 1));
    assert.deepEqual(exitOf([...destination, 0x48, 0x0f, 0xc7, 0x0f], ACCESSES), exits(0x20, 1));
  });

  it('a guest in shutdown meets the threshold only when an NMI has ended that', () => {
    const guest = apicGuest([Code.vmcall], ACCESSES);
    guest.bench.set('TPR_THRESHOLD', 1);
    guest.bench.set('GUEST_ACTIVITY_STATE', 2);
    guest.bench.cpu.raiseNmi();
    assert.equal(guest.enter(), ExitReason.TPR_BELOW_THRESHOLD);
    assert.equal(guest.handler, 2);
  });

  it('code decoded on the virtual-APIC page follows what the guest writes through the APIC-access page', () => {
    const code = VIRTUAL_PAGE + 0x20n;
    const guest = apicGuest([], REGISTERS);
    guest.bytes(code, [...Code.nop, ...Code.vmcall]);
    guest.bench.set('GUEST_RIP', code);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    guest.bytes(CODE, [...Code.store(at(0x20), 0x90c1010f), ...Code.nop]);
    guest.bench.set('GUEST_RIP', CODE);
    assert.equal(guest.enter(), ExitReason.APIC_WRITE);
    guest.bench.set('GUEST_RIP', code);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(guest.bench.get('GUEST_RIP'), code, 'VMCALL is the first instruction now');
  });

  it('has a qualification in words', () => {
    assert.equal(describeQualification(ExitReason.APIC_ACCESS, 0x1080n), 'write, offset 0x80 (TPR)');
    assert.equal(describeQualification(ExitReason.APIC_ACCESS, 0xf000n), 'guest-physical access');
    assert.equal(describeQualification(ExitReason.APIC_WRITE, 0xf0n), 'offset 0xf0 (SIVR)');
    assert.equal(describeQualification(ExitReason.VIRTUALIZED_EOI, 0x41n), 'vector 0x41');
  });
});

describe('virtual x2APIC mode (SDM vol. 3, 30.5)', () => {
  it('reads and writes TPR on the virtual-APIC page, whatever the mode of the local APIC', () => {
    const guest = apicGuest([Code.writeMsr(0x808, 0x42n), Code.readMsr(0x808), Code.vmcall], X2APIC);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(word(guest, VTPR), 0x42);
    assert.equal(rax(guest), 0x42);
  });

  it('raises #GP for reserved bits, and for other registers as the local APIC does', () => {
    for (const [code, controls] of [
      [Code.writeMsr(0x808, 0x100n), X2APIC],
      [Code.writeMsr(0x808, 1n << 40n), X2APIC],
      [Code.readMsr(0x80f), X2APIC],
      [Code.writeMsr(0x80b, 0n), X2APIC],
      [Code.writeMsr(0x80b, 1n), X2APIC_AND_DELIVERY],
      [Code.writeMsr(0x83f, 0x100n), X2APIC_AND_DELIVERY],
    ] as const) {
      const guest = apicGuest([code, Code.nop], controls);
      assert.equal(guest.enter(), ExitReason.VMCALL);
      assert.equal(guest.handler, 13);
    }
  });

  it('compares the threshold after WRMSR', () => {
    const guest = apicGuest([Code.writeMsr(0x808, 0x20n), Code.nop], X2APIC);
    guest.bench.write32(VTPR, 0x30);
    guest.bench.set('TPR_THRESHOLD', 3);
    assert.equal(guest.enter(), ExitReason.TPR_BELOW_THRESHOLD);
    assert.equal(rip(guest), 17);
  });

  it('"APIC-register virtualization" reads 8 bytes of any register', () => {
    const guest = apicGuest([Code.readMsr(0x8ff), Code.vmcall], {
      secondary: Secondary.VIRTUALIZE_X2APIC_MODE | Secondary.APIC_REGISTER_VIRTUALIZATION,
    });
    guest.bench.write64(VIRTUAL_PAGE + 0xff0n, 0x1234_5678_9abc_def0n);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(rax(guest), 0x9abcdef0);
    assert.equal(guest.bench.state.gpr(2), 0x1234_5678n);
  });

  it('SELF IPI with a vector below 16 is an APIC-write exit', () => {
    const guest = apicGuest([Code.writeMsr(0x83f, 0x0fn), Code.nop], X2APIC_AND_DELIVERY);
    assert.equal(guest.enter(), ExitReason.APIC_WRITE);
    assert.equal(qualification(guest), 0x3f0);
    assert.equal(rip(guest), 17);
  });

  it('the MSR bitmap comes first', () => {
    const guest = apicGuest([Code.writeMsr(0x808, 0x42n)], X2APIC);
    guest.bench.write64(0x8_0000n + 2048n + 0x100n, 1n << 8n);
    assert.equal(guest.enter(), ExitReason.WRMSR);
  });
});

describe('virtual-interrupt delivery (SDM vol. 3, 30.2)', () => {
  it('delivers RVI after VM entry, and keeps the registers as the manual says', () => {
    const guest = apicGuest([Code.nop, Code.nop], DELIVERY);
    for (const vector of [0x31, 0x45, 0x62]) request(guest, vector);
    status(guest, 0x62);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(guest.handler, 0x62);
    assert.equal(guest.bench.get('GUEST_INTERRUPT_STATUS'), 0x6245n);
    assert.equal(word(guest, VPPR), 0x60);
    assert.equal(word(guest, VIRTUAL_PAGE + 0x130n), 1 << 2, 'VISR');
    assert.equal(word(guest, VIRTUAL_PAGE + 0x230n), 0, 'VIRR');
    assert.equal(word(guest, VIRTUAL_PAGE + 0x220n), 1 << 5);
  });

  it('waits for RFLAGS.IF, and for the instruction after STI', () => {
    const guest = apicGuest([Code.nop, Code.sti, Code.nop, Code.nop], DELIVERY);
    guest.bench.clear('GUEST_RFLAGS', 0x200);
    request(guest, 0x51);
    status(guest, 0x51);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(guest.handler, 0x51);
    assert.equal(guest.bench.read64(STACK - 40n), CODE + 3n);
  });

  it('does not deliver what the priorities forbid', () => {
    for (const [requesting, serving, task, expected] of [
      [0x51, 0, 0x4f, 0x51],
      [0x51, 0, 0x50, -1],
      [0x51, 0x52, 0, -1],
      [0x61, 0x52, 0, 0x61],
    ] as const) {
      const guest = apicGuest([Code.nop, Code.vmcall], DELIVERY);
      request(guest, requesting);
      status(guest, requesting, serving);
      guest.bench.write32(VTPR, task);
      assert.equal(guest.enter(), ExitReason.VMCALL);
      assert.equal(guest.handler, expected);
    }
  });

  it('a lower TPR releases what waits; the TPR threshold does not count', () => {
    const guest = apicGuest([Code.moveEax(4), Code.toCr8, Code.nop], DELIVERY);
    request(guest, 0x51);
    status(guest, 0x51);
    guest.bench.write32(VTPR, 0x50);
    guest.bench.set('TPR_THRESHOLD', 15);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(guest.handler, 0x51);
  });

  it('EOI by memory or MSR ends the interrupt and starts the next', () => {
    for (const [code, controls] of [
      [Code.store(ACCESS_PAGE + 0xb0n, 0x1234), ACCESSES_AND_DELIVERY],
      [Code.writeMsr(0x80b, 0n), X2APIC_AND_DELIVERY],
    ] as const) {
      const guest = apicGuest([code, Code.nop, Code.nop, Code.vmcall], controls);
      request(guest, 0x41);
      status(guest, 0x41, 0x52);
      guest.bench.write32(VIRTUAL_PAGE + 0x120n, (1 << 18) | (1 << 2)); // 52H and 42H in service
      assert.equal(guest.enter(), ExitReason.VMCALL, 'served 42H forbids 41H');
      guest.bench.set('GUEST_RIP', CODE);
      assert.equal(guest.bench.get('GUEST_INTERRUPT_STATUS') >> 8n, 0x42n);
      assert.equal(word(guest, VIRTUAL_PAGE + 0xb0n), 0);
      assert.equal(guest.enter(), ExitReason.VMCALL);
      assert.equal(guest.handler, 0x41);
    }
  }).timeout(10_000);

  it('the EOI-exit bitmap causes an exit behind the instruction', () => {
    for (const vector of [0x20, 0x41, 0x9f, 0xff]) {
      const guest = apicGuest([Code.store(ACCESS_PAGE + 0xb0n, 0), Code.vmcall], ACCESSES_AND_DELIVERY);
      status(guest, 0, vector);
      const field = (['EOI_EXIT_BITMAP_0', 'EOI_EXIT_BITMAP_1', 'EOI_EXIT_BITMAP_2', 'EOI_EXIT_BITMAP_3'] as const)[
        vector >>> 6
      ];
      guest.bench.set(field ?? 'EOI_EXIT_BITMAP_0', 1n << BigInt(vector & 63));
      assert.equal(guest.enter(), ExitReason.VIRTUALIZED_EOI);
      assert.equal(qualification(guest), vector);
      assert.equal(rip(guest), 11);
      assert.equal(guest.bench.get('GUEST_INTERRUPT_STATUS'), 0n);
    }
  });

  it('a self-IPI by ICR is delivered; any other command exits', () => {
    const command = (value: number) =>
      apicGuest([Code.store(ACCESS_PAGE + 0x300n, value), Code.nop, Code.nop], ACCESSES_AND_DELIVERY);
    for (const value of [0x40051, 0x44851]) {
      const guest = command(value);
      assert.equal(guest.enter(), ExitReason.VMCALL);
      assert.equal(guest.handler, 0x51);
    }
    for (const value of [0x51, 0x80051, 0x48051, 0x40151, 0x4000f, 0x41051, 0x42051, 0x50051, 0x140051]) {
      const guest = command(value);
      assert.equal(guest.enter(), ExitReason.APIC_WRITE, value.toString(16));
      assert.equal(qualification(guest), 0x300);
    }
    const guest = apicGuest([Code.writeMsr(0x83f, 0x61n), Code.nop, Code.nop], X2APIC_AND_DELIVERY);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(guest.handler, 0x61);
  });

  it('wakes HLT, and "interrupt-window exiting" replaces it', () => {
    const guest = apicGuest([Code.vmcall], DELIVERY);
    guest.bench.set('GUEST_ACTIVITY_STATE', 1);
    request(guest, 0x51);
    status(guest, 0x51);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(guest.handler, 0x51);

    const window = apicGuest([Code.vmcall], { ...DELIVERY, primary: Primary.INTERRUPT_WINDOW_EXITING });
    request(window, 0x51);
    status(window, 0x51);
    assert.equal(window.enter(), ExitReason.INTERRUPT_WINDOW);
    assert.equal(window.bench.get('GUEST_INTERRUPT_STATUS'), 0x51n);
  });

  it('is reported as an external interrupt when its delivery causes a VM exit', () => {
    const guest = apicGuest([Code.nop], DELIVERY);
    request(guest, 0x51);
    status(guest, 0x51);
    guest.bench.set('GUEST_IDTR_LIMIT', 0);
    guest.bench.set('EXCEPTION_BITMAP', 1 << 13);
    assert.equal(guest.enter(), ExitReason.EXCEPTION_OR_NMI);
    assert.equal(guest.bench.get('IDT_VECTORING_INFORMATION'), 0x8000_0051n);
    assert.equal(guest.bench.get('GUEST_INTERRUPT_STATUS'), 0x5100n);
  });
});

describe('posted interrupts (SDM vol. 3, 30.6)', () => {
  const post = ({ bench }: GuestBench, ...vectors: number[]): void => {
    for (const vector of vectors) {
      const at = DESCRIPTOR + BigInt((vector >>> 5) * 4);
      bench.write32(at, Number(bench.read64(at) & 0xffff_ffffn) | (1 << (vector & 31)));
    }
    bench.write32(DESCRIPTOR + 32n, 0xabcd_0001);
  };

  it('move the requests to the virtual-APIC page and end the notification', () => {
    const interrupts = new QueuedInterrupts();
    const guest = apicGuest([Code.vmcall], POSTED, interrupts);
    post(guest, 0x41, 0x62, 0xe5);
    interrupts.queue.push(NOTIFICATION_VECTOR);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(guest.handler, 0xe5);
    assert.equal(guest.bench.get('GUEST_INTERRUPT_STATUS'), 0xe562n);
    for (let i = 0n; i < 4n; i++) assert.equal(guest.bench.read64(DESCRIPTOR + i * 8n), 0n);
    assert.equal(guest.bench.read64(DESCRIPTOR + 32n) & 0xffff_ffffn, 0xabcd_0000n, 'only ON is cleared');
    assert.equal(interrupts.ended, 1);
    assert.deepEqual(interrupts.queue, []);
  });

  it('are taken with RFLAGS.IF clear too, and in HLT, which goes on without a request', () => {
    const interrupts = new QueuedInterrupts();
    const guest = apicGuest([Code.nop, Code.vmcall], POSTED, interrupts);
    guest.bench.clear('GUEST_RFLAGS', 0x200);
    post(guest, 0x41);
    interrupts.queue.push(NOTIFICATION_VECTOR);
    assert.equal(guest.enter(), ExitReason.VMCALL);
    assert.equal(guest.handler, -1);
    assert.equal(guest.bench.get('GUEST_INTERRUPT_STATUS'), 0x41n);

    const halted = apicGuest([Code.vmcall], POSTED, interrupts);
    halted.bench.set('GUEST_ACTIVITY_STATE', 1);
    interrupts.queue.push(NOTIFICATION_VECTOR, 0x33);
    assert.equal(halted.enter(), ExitReason.EXTERNAL_INTERRUPT);
    assert.equal(halted.bench.get('GUEST_ACTIVITY_STATE'), 1n);
    assert.equal(interrupts.ended, 2);
  });

  it('leave other vectors to external-interrupt exiting', () => {
    const interrupts = new QueuedInterrupts();
    const guest = apicGuest([Code.nop, Code.nop], POSTED, interrupts);
    interrupts.queue.push(0x33);
    assert.equal(guest.enter(), ExitReason.EXTERNAL_INTERRUPT);
    assert.equal(guest.bench.get('EXIT_INTERRUPTION_INFORMATION'), 0x8000_0033n);
    assert.equal(interrupts.ended, 0);
  });

  it('come from another processor by an IPI, in xAPIC and x2APIC mode', () => {
    for (const base of [0xfee00900n, 0xfee00d00n]) {
      const bus = new ApicBus();
      const target = localApic(0, bus, base);
      const sender = localApic(1, bus, base);
      const guest = apicGuest([Code.nop, Code.vmcall], POSTED, target);
      post(guest, 0x55);
      if (base & 0x400n) assert.ok(sender.writeMsr(0x830, BigInt(NOTIFICATION_VECTOR)));
      else sender.write(0x300n, 4, BigInt(NOTIFICATION_VECTOR));
      assert.equal(guest.enter(), ExitReason.VMCALL);
      assert.equal(guest.handler, 0x55);
      assert.equal(target.pendingVector(), -1);
      target.accept(0x33);
      assert.equal(target.acknowledge(), 0x33, 'the notification is no longer in service');
    }
  });
});

/** A local APIC that software has enabled */
function localApic(id: number, bus: ApicBus, base: bigint): LocalApic {
  const wiring = { base: 0xfee00900n };
  const local = new LocalApic({
    id,
    bus,
    apicBase: () => wiring.base,
    clock: () => 0,
    tscBase: () => 0n,
    nmi: () => undefined,
    init: () => undefined,
    startUp: () => undefined,
    externalPending: () => false,
    externalAcknowledge: () => -1,
    attention: () => undefined,
  });
  local.write(0xf0n, 4, 0x1ffn);
  wiring.base = base;
  local.baseChanged();
  return local;
}
