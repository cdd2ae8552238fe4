import { strict as assert } from 'node:assert';
import { Rflags } from '../../emulator/arch/flags';
import { Segment, State } from '../../emulator/memory/layout';
import {
  Bench,
  GDT,
  HANDLER,
  INNER_STACK,
  instruction,
  IST_STACK,
  KERNEL_CODE,
  KERNEL_DATA,
  STACK,
  USER_CODE,
  USER_DATA,
} from './harness';

const UD = instruction('ud');
const intN = (vector: number) => instruction('int_n', { immediate: BigInt(vector) }, ['Ib']);
const handler = (vector: number): bigint => HANDLER + BigInt(vector * 16);
const RSP = 4;

describe('event delivery in 64-bit mode', () => {
  it('pushes SS, RSP, RFLAGS, CS, RIP on the aligned stack, with RF for a fault', () => {
    const b = new Bench().longMode();
    b.cpu.state.setGpr(RSP, STACK - 3n);
    b.cpu.state.rflags = 0x202n;
    b.run(UD);
    const { state } = b.cpu;
    assert.equal(state.rip, handler(6));
    assert.equal(state.gpr(RSP), STACK - 16n - 40n);
    const frame = [0n, 8n, 16n, 24n, 32n].map((at) => b.read64(state.gpr(RSP) + at));
    assert.deepEqual(frame, [0x8000n, BigInt(KERNEL_CODE), 0x10202n, STACK - 3n, BigInt(KERNEL_DATA)]);
    assert.equal(state.rflags, 2n, 'an interrupt gate clears IF, TF, NT, RF');
    assert.equal(state.get64(State.RETIRED), 0n, 'a faulting instruction does not retire');
  });

  it('keeps IF through a trap gate', () => {
    const b = new Bench().longMode();
    b.gate64(6, handler(6), { rights: 0x8f });
    b.cpu.state.rflags = 0x202n;
    b.run(UD);
    assert.equal(b.cpu.state.rflags, 0x202n);
  });

  it('switches to RSP0 and a null SS from user mode', () => {
    const b = new Bench().longMode().userMode();
    b.run(UD);
    const { state } = b.cpu;
    assert.equal(b.cpu.cpl, 0);
    assert.equal(state.segmentSelector(Segment.SS), 0);
    assert.equal(state.gpr(RSP), INNER_STACK - 40n);
    assert.equal(b.read64(INNER_STACK - 8n), BigInt(USER_DATA));
    assert.equal(b.read64(INNER_STACK - 32n), BigInt(USER_CODE));
  });

  it('uses the IST whatever the privilege level', () => {
    const b = new Bench().longMode();
    b.gate64(6, handler(6), { ist: 1 });
    b.run(UD);
    assert.equal(b.cpu.state.gpr(RSP), IST_STACK - 40n);
    assert.equal(b.cpu.state.segmentSelector(Segment.SS), KERNEL_DATA);
  });

  it('pushes an error code, and CR2 for a page fault', () => {
    const b = new Bench().longMode();
    b.cpu.state.setGpr(0, 0n);
    b.run(instruction('lldt', { isMemory: true, displacement: 0x400000n }));
    const { state } = b.cpu;
    assert.equal(state.rip, handler(14));
    assert.equal(state.cr2, 0x400000n);
    assert.equal(b.read64(state.gpr(RSP)), 0n);
    assert.equal(b.read64(state.gpr(RSP) + 8n), 0x8000n);
  });

  it('lets INT n of user code through gates of DPL 3 only, with the error code of SDM vol. 2', () => {
    const b = new Bench().longMode().userMode();
    b.gate64(0x20, handler(0x20), { rights: 0xee });
    b.run(intN(0x20));
    assert.equal(b.cpu.state.rip, handler(0x20));
    assert.equal(b.read64(b.cpu.state.gpr(RSP)), 0x8002n, 'the return address is after INT n');
    assert.equal(b.cpu.state.get64(State.RETIRED), 1n);

    const c = new Bench().longMode().userMode();
    c.run(intN(0x21));
    assert.equal(c.cpu.state.rip, handler(13));
    assert.equal(c.read64(c.cpu.state.gpr(RSP)), BigInt(0x21 * 8 + 2), 'EXT is 0 for INT n');
    assert.equal(c.read64(c.cpu.state.gpr(RSP) + 8n), 0x8000n, 'the return address is INT n itself');
  });

  it('delivers through a gate whatever its DPL when it is no INT n', () => {
    const b = new Bench().longMode().userMode();
    b.run(UD);
    assert.equal(b.cpu.state.rip, handler(6));
  });

  it('raises #NP with EXT for a gate that is not present, #GP beyond the IDT limit', () => {
    const b = new Bench().longMode();
    b.gate64(6, handler(6), { rights: 0x0e });
    b.run(UD);
    assert.equal(b.cpu.state.rip, handler(11));
    assert.equal(b.read64(b.cpu.state.gpr(RSP)), BigInt(6 * 8 + 3));

    const c = new Bench().longMode();
    c.run(intN(200));
    assert.equal(c.cpu.state.rip, handler(13));
    assert.equal(c.read64(c.cpu.state.gpr(RSP)), BigInt(200 * 8 + 2));
  });

  it('refuses a gate to a code segment that is not 64-bit', () => {
    const b = new Bench().longMode();
    b.write64(GDT + KERNEL_CODE, 0x00cf9a000000ffffn);
    b.gate64(13, handler(13), { selector: KERNEL_CODE });
    assert.equal(b.run(UD).why, 'shutdown');
  });

  it('combines contributory exceptions to #DF', () => {
    const b = new Bench().longMode();
    b.gate64(13, handler(13), { rights: 0x0e });
    b.run(intN(200));
    const { state } = b.cpu;
    assert.equal(state.rip, handler(8));
    assert.equal(b.read64(state.gpr(RSP)), 0n);
    assert.equal(b.read64(state.gpr(RSP) + 8n), 0x8000n);
  });

  it('delivers the second of a benign and a contributory exception, and a page fault after a contributory one', () => {
    const b = new Bench().longMode();
    b.gate64(6, handler(6), { selector: 0x30 });
    b.run(UD);
    assert.equal(b.cpu.state.rip, handler(13));
    assert.equal(b.read64(b.cpu.state.gpr(RSP)), 0x31n, 'selector and EXT');

    const c = new Bench().longMode();
    c.gate64(13, handler(13), { ist: 1 });
    c.write64(0x3000 + 0x24, 0x500000n);
    c.run(intN(200));
    assert.equal(c.cpu.state.rip, handler(14));
    assert.equal(c.cpu.state.cr2, 0x500000n - 40n - 8n);
  });

  it('makes a page fault during a page fault a double fault', () => {
    const b = new Bench().longMode();
    b.gate64(14, handler(14), { ist: 1 });
    b.write64(0x3000 + 0x24, 0x500000n);
    b.run(instruction('lldt', { isMemory: true, displacement: 0x400000n }));
    assert.equal(b.cpu.state.rip, handler(8));
  });

  it('shuts down on the triple fault, says what led there, and stays there', () => {
    let tapped = 0;
    const b = new Bench({ taps: { tripleFault: () => tapped++ } }).longMode();
    b.cpu.state.set32(State.IDTR + 8, 0);
    const result = b.run(UD);
    assert.deepEqual(result, {
      why: 'shutdown',
      description: 'triple fault at 8:0x8000: #UD, then #GP, then #GP, then #DF, then #GP',
    });
    assert.equal(b.cpu.run(10).why, 'shutdown');
    assert.equal(b.cpu.state.get32(State.ACTIVITY), 2);
    assert.equal(tapped, 1);
  });

  it('raises a triple fault when the stack is not canonical', () => {
    const b = new Bench().longMode();
    b.cpu.state.setGpr(RSP, 0x8000_0000_0000_0000n);
    assert.equal(b.run(UD).why, 'shutdown');
  });

  it('leaves registers and stack pointer alone when delivery fails', () => {
    const b = new Bench().longMode();
    b.cpu.state.set32(State.IDTR + 8, 0);
    b.run(UD);
    assert.equal(b.cpu.state.gpr(RSP), STACK);
    assert.equal(b.cpu.state.rip, 0x8000n);
  });
});

describe('event delivery in protected mode', () => {
  it('pushes EFLAGS, CS, EIP in doublewords at the same level', () => {
    const b = new Bench().protectedMode();
    b.cpu.state.rflags = 0x202n;
    b.run(UD);
    const { state } = b.cpu;
    assert.equal(state.gpr(RSP), STACK - 12n);
    assert.deepEqual(
      [0n, 4n, 8n].map((at) => b.read32(STACK - 12n + at)),
      [0x8000, KERNEL_CODE, 0x10202],
    );
    assert.equal(state.rip, handler(6));
  });

  it('takes the inner stack from the TSS', () => {
    const b = new Bench().protectedMode().userMode();
    b.run(UD);
    const { state } = b.cpu;
    assert.equal(state.gpr(RSP), INNER_STACK - 20n);
    assert.equal(state.segmentSelector(Segment.SS), KERNEL_DATA);
    assert.deepEqual(
      [12n, 16n].map((at) => b.read32(INNER_STACK - 20n + at)),
      [Number(STACK), USER_DATA],
    );
    assert.equal(b.cpu.cpl, 0);
  });

  it('raises #TS for a bad stack selector in the TSS', () => {
    const b = new Bench().protectedMode().userMode();
    b.physical.write32(0x3008n as never, USER_DATA);
    b.run(UD);
    assert.equal(b.cpu.run(5).why, 'shutdown', '#TS, then #DF, meet the same stack');
  });

  it('pushes words through a 16-bit gate', () => {
    const b = new Bench().protectedMode();
    b.gate32(6, 0x7777n, { rights: 0x86 });
    b.run(UD);
    assert.equal(b.cpu.state.gpr(RSP), STACK - 6n);
    assert.equal(b.cpu.state.rip, 0x7777n);
  });
});

describe('event delivery in real mode', () => {
  it('uses the interrupt-vector table and no error codes', () => {
    const b = new Bench();
    const { state } = b.cpu;
    state.setSegment(Segment.CS, { selector: 0x100, access: 0x9b, limit: 0xffff, base: 0x1000n });
    state.setGpr(RSP, 0x8000n);
    state.rip = 0x10n;
    state.rflags = 2n;
    state.set32(State.IDTR + 8, 0x3ff);
    b.physical.write32(0x18n as never, 0x02340056);
    b.cpu.contextChanged();
    b.engine.script = [UD];
    state.rflags = 0x202n;
    b.cpu.run(5);
    assert.equal(state.rip, 0x56n);
    assert.equal(state.segmentBase(Segment.CS), 0x2340n);
    assert.equal(state.gpr(RSP), 0x7ffan);
    assert.equal(b.read64(0x7ffan) & 0xffffffffffffn, 0x0202_0100_0010n);
    assert.equal(state.rflags & Rflags.IF, 0n);
  });
});
