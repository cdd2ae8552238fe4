import { Vector } from '../../arch/exceptions';
import { MiscEnable } from '../../arch/msrs';
import { State } from '../../memory/layout';
import { truncate } from '../linear-memory';
import type { Helper, HelperTable, Processor } from '../processor';

const RAX = 0;
const RCX = 1;
/** ECX of MWAIT: an interrupt wakes although RFLAGS.IF is 0; CPUID leaf 5 announces it. */
const BREAK_ON_MASKED = 1n;
/** The longest that MWAIT waits. The manual leaves further reasons to wake up to the processor (SDM vol. 2, MWAIT). */
const LONGEST_WAIT = 4096;

/** What PAUSE takes where another processor may be waited for: loops that spin hand their turn on sooner. */
const PAUSE_TICKS = 64n;

const pause: Helper = (cpu, insn) => {
  if (cpu.exits(insn) || cpu.processors === 1) return;
  const { state } = cpu;
  state.set64(State.CLOCK_IDLE, state.get64(State.CLOCK_IDLE) + PAUSE_TICKS);
};

/** Instructions whose feature CPUID does not announce, and UD0 to UD2. */
const undefinedInstruction: Helper = (cpu) => {
  throw cpu.fault(Vector.UD);
};

/** #UD above CPL 0, and when IA32_MISC_ENABLE takes the feature away (SDM vol. 2, MONITOR and MWAIT) */
function requireMonitor(cpu: Processor): void {
  if (cpu.cpl !== 0 || (cpu.state.get64(State.MISC_ENABLE) & MiscEnable.MONITOR) === 0n) throw cpu.fault(Vector.UD);
}

/** Extensions in RCX, in ECX outside 64-bit mode: #GP(0) for those that do not exist */
function extensions(cpu: Processor, known: bigint): bigint {
  const value = truncate(cpu.state.gpr(RCX), cpu.codeSize === 64 ? 64 : 32);
  if (value & ~known) throw cpu.fault(Vector.GP, 0);
  return value;
}

/** The address is read as by a load of one byte. Hints in EDX are ignored. */
const monitor: Helper = (cpu, insn) => {
  requireMonitor(cpu);
  if (cpu.exits(insn)) return;
  extensions(cpu, 0n);
  cpu.linear.read(cpu.linear.segmentAddress(insn.segment, truncate(cpu.state.gpr(RAX), insn.addressSize), 1), 1);
  cpu.state.set32(State.MONITOR_ARMED, 1);
};

/**
 * Waits until something of this processor is due, and at most LONGEST_WAIT ticks: whoever waits for a store looks
 * again then. So no store has to be watched, and the wait is a jump of the clock.
 */
const mwait: Helper = (cpu, insn) => {
  requireMonitor(cpu);
  if (cpu.exits(insn)) return;
  extensions(cpu, BREAK_ON_MASKED);
  const { state, interrupts, virtualization } = cpu;
  const armed = state.get32(State.MONITOR_ARMED) !== 0;
  state.set32(State.MONITOR_ARMED, 0);
  if (!armed || state.get32(State.PENDING_EVENTS) !== 0 || interrupts.pendingVector() >= 0) return;
  const deadline = Math.min(interrupts.nextDeadline(), virtualization.nextDeadline());
  const wait = Math.min(LONGEST_WAIT, Math.ceil(deadline - Number(cpu.now)));
  if (wait > 0) state.set64(State.CLOCK_IDLE, state.get64(State.CLOCK_IDLE) + BigInt(wait));
};

export const waitingHelpers: HelperTable = {
  pause,
  ud: undefinedInstruction,
  monitor,
  mwait,
};
