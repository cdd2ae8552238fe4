import { strict as assert } from 'node:assert';
import { Rflags } from '../../emulator/arch/flags';
import type { Cpu } from '../../emulator/cpu/cpu';
import type { InterruptSource } from '../../emulator/cpu/processor';
import { State } from '../../emulator/memory/layout';
import { Bench, HANDLER, instruction, STACK, type Step } from './harness';

const RSP = 4;
const handler = (vector: number): bigint => HANDLER + BigInt(vector * 16);
const NOP: Step = () => undefined;
const STI = instruction('sti', { length: 1 });
const HLT = instruction('hlt', { length: 1 });

/** An interrupt source with one timer. */
class Timer implements InterruptSource {
  pending = -1;
  deadline = Infinity;
  taskPriority = 0;
  vector = 0x20;
  advancedTo: number[] = [];

  pendingVector(): number {
    return this.pending;
  }

  acknowledge(): number {
    const vector = this.pending;
    this.pending = -1;
    return vector;
  }

  nextDeadline(): number {
    return this.deadline;
  }

  advance(now: number): void {
    if (now < this.deadline) return;
    this.advancedTo.push(now);
    this.deadline = Infinity;
    this.pending = this.vector;
  }
}

describe('instruction boundary', () => {
  let timer: Timer;
  let b: Bench;
  const rips: bigint[] = [];
  const mark: Step = (cpu: Cpu) => void rips.push(cpu.state.rip);
  beforeEach(() => {
    timer = new Timer();
    b = new Bench({ interrupts: timer }).longMode();
    rips.length = 0;
  });

  it('delivers a pending interrupt only while IF is set', () => {
    timer.pending = 0x20;
    b.run(mark, mark);
    assert.deepEqual(rips, [0x8000n, 0x8001n]);
    assert.equal(timer.pending, 0x20);
    b.cpu.state.rflags |= Rflags.IF;
    b.run(mark);
    assert.deepEqual(rips.slice(2), [handler(0x20)]);
    assert.equal(b.read64(b.cpu.state.gpr(RSP)), 0x8002n);
    assert.equal(b.read64(b.cpu.state.gpr(RSP) + 16n) & Rflags.RF, 0n, 'no RF for an interrupt');
  });

  it('delays interrupts by one instruction after STI', () => {
    timer.pending = 0x20;
    b.run(STI, mark, mark);
    assert.deepEqual(rips, [0x8001n, handler(0x20)]);
  });

  it('gives STI no shadow when IF was set already', () => {
    b.cpu.state.rflags |= Rflags.IF;
    b.run(STI, (cpu) => {
      rips.push(cpu.state.rip);
      timer.pending = 0x20;
    });
    assert.equal(b.cpu.state.get32(State.INTERRUPTIBILITY), 0);
  });

  it('delays interrupts and single-step traps after MOV to SS', () => {
    timer.pending = 0x20;
    b.gate64(1, handler(1), { rights: 0x8f });
    b.cpu.state.rflags |= Rflags.IF | Rflags.TF;
    b.cpu.state.setGpr(0, 0x10n);
    b.cpu.state.set32(State.INTERRUPTIBILITY, 1);
    b.run(instruction('mov_to_seg', { reg: 2, rm: 0, length: 2 }), mark, mark);
    assert.deepEqual(rips, [0x8002n, handler(0x20)], 'the trap is delivered first, the interrupt on top of it');
    assert.equal(b.read64(b.cpu.state.gpr(RSP)), handler(1), 'the interrupt found the #DB handler');
    assert.equal(b.read64(STACK - 40n), 0x8003n);
  });

  it('cuts the run exactly at the timer deadline', () => {
    b.cpu.state.rflags |= Rflags.IF;
    timer.deadline = 5;
    b.run(...Array.from({ length: 8 }, () => mark));
    assert.deepEqual(timer.advancedTo, [5]);
    assert.deepEqual(rips.slice(4, 6), [0x8004n, handler(0x20)]);
  });

  it('lets the clock jump to the deadline while halted, and goes on after HLT', () => {
    timer.deadline = 1000;
    b.run(STI, HLT, mark);
    assert.deepEqual(timer.advancedTo, [1000]);
    assert.equal(b.cpu.clock, 1001);
    assert.equal(b.cpu.state.get64(State.RETIRED), 3n);
    assert.deepEqual(rips, [handler(0x20)]);
    assert.equal(b.read64(b.cpu.state.gpr(RSP)), 0x8002n);
  });

  it('reports a halt that nothing can end, with IF clear even when a timer runs', () => {
    assert.deepEqual(b.run(STI, HLT), { why: 'halted' });
    const c = new Bench({ interrupts: timer }).longMode();
    timer.deadline = 1000;
    assert.deepEqual(c.run(HLT), { why: 'halted' });
  });

  it('wakes by NMI whatever IF says, and blocks further ones until IRET', () => {
    assert.equal(b.run(HLT).why, 'halted');
    b.cpu.raiseNmi();
    b.run(mark, (cpu) => cpu.raiseNmi(), mark, instruction('iret', { operandSize: 64 }), mark);
    assert.deepEqual(rips, [handler(2), handler(2) + 2n, handler(2)]);
  });

  it('traps after each instruction while TF is set, with DR6.BS and TF clear in the handler', () => {
    b.cpu.state.rflags |= Rflags.TF;
    b.run(NOP, mark, NOP);
    assert.deepEqual(rips, [handler(1)]);
    assert.equal(b.cpu.state.get64(State.DR + 32) & 0x4000n, 0x4000n);
    assert.equal(b.read64(b.cpu.state.gpr(RSP)), 0x8001n);
    assert.equal(b.read64(b.cpu.state.gpr(RSP) + 16n) & Rflags.TF, Rflags.TF);
  });

  it('does not trap before the first instruction after POPF set TF', () => {
    b.cpu.state.setGpr(RSP, STACK - 8n);
    b.write64(Number(STACK) - 8, 0x102n);
    b.run(instruction('popf', { operandSize: 64, length: 1 }), mark, mark);
    assert.deepEqual(rips, [0x8001n, handler(1)]);
  });

  it('clears RF after one instruction', () => {
    b.cpu.state.rflags |= Rflags.RF;
    b.run(NOP);
    assert.equal(b.cpu.state.rflags & Rflags.RF, 0n);
  });

  it('keeps to its budget, also when a program only faults', () => {
    b.engine.script = Array.from({ length: 50 }, () => NOP);
    assert.deepEqual(b.cpu.run(20), { why: 'budget' });
    assert.equal(b.cpu.state.get64(State.RETIRED), 20n);
    const c = new Bench().longMode();
    c.gate64(6, handler(6), { ist: 1 });
    c.engine.script = Array.from({ length: 50 }, () => instruction('ud'));
    assert.deepEqual(c.cpu.run(20), { why: 'budget' });
    assert.equal(c.cpu.state.get64(State.RETIRED), 0n);
  });

  it('stops where it is asked to, and takes INIT', () => {
    b.engine.script = [NOP, instruction('cpuid'), NOP];
    const result = b.run(NOP, (cpu) => cpu.requestStop(), instruction('cpuid'), NOP);
    assert.equal(result.why, 'requested');
    b.cpu.raiseInit();
    b.run();
    assert.equal(b.cpu.state.rip, 0xfff0n);
    assert.equal(b.cpu.realMode, true);
  });
});
