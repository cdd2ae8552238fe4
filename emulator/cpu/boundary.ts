import { Rflags } from '../arch/flags';
import { State } from '../memory/layout';
import { Boundary, ExitKind } from './processor';
import { startUp, takeStartUp } from './start-up';
import type { Cpu } from './cpu';

/** Bits of State.PENDING_EVENTS */
export const PendingEvent = {
  NMI: 1,
  INIT: 2,
  SIPI: 4,
  MONITOR_TRAP: 8,
  VIRTUAL_APIC: 16,
  VIRTUAL_INTERRUPT: 32,
} as const;

const SHADOW_STI = 1;
const SHADOW_MOV_SS = 2;
const SHADOW = SHADOW_STI | SHADOW_MOV_SS;
const NMI_BLOCKED = 8;
const INTERRUPT_FLAG = Number(Rflags.IF);
/** B0 to B3, BS and BT, with bit 12 "enabled breakpoint" left to VT-x */
const DEBUG_TRAPS = 0xc00f;
const TRAP_FLAG = Number(Rflags.TF);
const RESUME_FLAG = Number(Rflags.RF);
const ACTIVE = 0;
const SHUTDOWN = 2;
const WAIT_FOR_SIPI = 3;

/**
 * What happens between two instructions, in the manual's order of priority (SDM vol. 3, "Priority Among Concurrent
 * Events"; for VT-x's own points the sections on the preemption timer, MTF and the window exits). True when something
 * happened: the boundary is then looked at again.
 * @param clock `cpu.clock`
 */
export function handleBoundary(cpu: Cpu, clock: number): boolean {
  const { state, virtualization } = cpu;
  const { nonRoot } = virtualization;
  const pending = state.get32(State.PENDING_EVENTS);
  const blocking = state.get32(State.INTERRUPTIBILITY);

  if (pending & PendingEvent.VIRTUAL_APIC && exits(cpu, Boundary.VirtualApic)) return true;
  if (pending & PendingEvent.INIT && !virtualization.blocksInit) {
    if (exits(cpu, Boundary.Init)) return true;
    // A guest in the wait-for-SIPI state blocks INIT signals (SDM vol. 3, 26.2).
    if (!nonRoot) {
      cpu.clearPending(PendingEvent.INIT);
      cpu.initialize();
      return true;
    }
  }
  if (pending & PendingEvent.SIPI && handleStartUp(cpu)) return true;
  if (pending & PendingEvent.MONITOR_TRAP) {
    cpu.clearPending(PendingEvent.MONITOR_TRAP);
    if (exits(cpu, Boundary.MonitorTrap)) return true;
  }
  if ((blocking & SHADOW_MOV_SS) === 0) {
    const traps = state.get32(State.PENDING_DEBUG) & DEBUG_TRAPS;
    if (traps !== 0) {
      state.set64(State.PENDING_DEBUG, 0n);
      cpu.deliverDebugTrap(BigInt(traps));
      return true;
    }
  }
  if (nonRoot) {
    if (virtualization.nextDeadline() <= clock && exits(cpu, Boundary.PreemptionTimer)) return true;
    if ((blocking & SHADOW) === 0 && exits(cpu, Boundary.NmiWindow)) return true;
  }
  const activity = state.get32(State.ACTIVITY);
  if (pending & PendingEvent.NMI && (blocking & SHADOW) === 0 && activity !== WAIT_FOR_SIPI) {
    if (exits(cpu, Boundary.Nmi)) return true;
    if ((state.get32(State.INTERRUPTIBILITY) & NMI_BLOCKED) === 0) {
      cpu.clearPending(PendingEvent.NMI);
      cpu.wake();
      cpu.deliverNmi();
      return true;
    }
  }
  // Shutdown and wait-for-SIPI block maskable interrupts (SDM vol. 3, "Other Causes of VM Exits" and 25.4.2).
  return (blocking & SHADOW) === 0 && activity < SHUTDOWN && handleInterrupts(cpu, nonRoot);
}

/** A SIPI means something in the wait-for-SIPI state only (SDM vol. 3, 26.2, "Start-up IPIs"). */
function handleStartUp(cpu: Cpu): boolean {
  const waits = cpu.state.get32(State.ACTIVITY) === WAIT_FOR_SIPI;
  if (waits && exits(cpu, Boundary.Sipi)) return true;
  const vector = takeStartUp(cpu);
  if (waits) startUp(cpu, vector);
  return waits;
}

/** Only in non-root operation can a point of the boundary exit. */
function exits(cpu: Cpu, point: Boundary): boolean {
  return cpu.virtualization.nonRoot && cpu.virtualization.boundary(point) === ExitKind.Taken;
}

/** It has the priority of interrupt-window exiting, and wakes from HLT (SDM vol. 3, 30.2.2). */
function deliversVirtualInterrupt(cpu: Cpu): boolean {
  if (!(cpu.state.get32(State.PENDING_EVENTS) & PendingEvent.VIRTUAL_INTERRUPT)) return false;
  cpu.wake();
  cpu.deliverInterrupt(cpu.virtualization.apic?.deliver() ?? -1);
  return true;
}

function handleInterrupts(cpu: Cpu, nonRoot: boolean): boolean {
  const enabled = (cpu.state.get32(State.FLAGS_SYSTEM) & INTERRUPT_FLAG) !== 0;
  if (nonRoot && enabled) {
    if (exits(cpu, Boundary.InterruptWindow)) return true;
    if (deliversVirtualInterrupt(cpu)) return true;
  }
  if (cpu.interrupts.pendingVector() < 0) return false;
  if (nonRoot && cpu.virtualization.boundary(Boundary.ExternalInterrupt) !== ExitKind.None) return true;
  if (!enabled) return false;
  cpu.wake();
  cpu.deliverInterrupt(cpu.interrupts.acknowledge());
  return true;
}

/** True when the next instruction must be executed alone: a shadow ends, a trap follows, or RF is used up. */
export function singleStep(cpu: Cpu, nonRoot: boolean): boolean {
  const { state } = cpu;
  return (
    (state.get32(State.INTERRUPTIBILITY) & SHADOW) !== 0 ||
    (state.get32(State.FLAGS_SYSTEM) & (TRAP_FLAG | RESUME_FLAG)) !== 0 ||
    (nonRoot && cpu.virtualization.monitorTrap)
  );
}

/** What an instruction found when it began, for `finishInstruction`. */
export interface InstructionStart {
  shadow: number;
  trap: boolean;
  resume: boolean;
  monitorTrap: boolean;
  nonRoot: boolean;
}

export function startInstruction(cpu: Cpu, start: InstructionStart): void {
  const flags = cpu.state.get32(State.FLAGS_SYSTEM);
  start.shadow = cpu.state.get32(State.INTERRUPTIBILITY) & SHADOW;
  start.trap = (flags & TRAP_FLAG) !== 0;
  start.resume = (flags & RESUME_FLAG) !== 0;
  start.monitorTrap = cpu.virtualization.monitorTrap;
  start.nonRoot = cpu.virtualization.nonRoot;
}

/** What `startInstruction` finds where `singleStep` is false. */
export function startPlainInstruction(start: InstructionStart, nonRoot: boolean): void {
  start.shadow = 0;
  start.trap = start.resume = start.monitorTrap = false;
  start.nonRoot = nonRoot;
}

/**
 * After one instruction: the shadow that it found ends (one that it opened stays), RF is cleared, a single-step trap
 * becomes pending (SDM vol. 3, 17.3.1.4), and so does a monitor trap. After a VM entry nothing of it applies: shadow, RF
 * and pending traps are the guest's, as the VMCS had them.
 * @param keepsResume the instruction loaded RF itself (IRET)
 * @param suppressesTrap no single-step trap follows it (INT n, SYSCALL: the handler's first instruction is not trapped)
 */
export function finishInstruction(
  cpu: Cpu,
  start: InstructionStart,
  keepsResume: boolean,
  suppressesTrap: boolean,
): void {
  const { state } = cpu;
  if (cpu.virtualization.nonRoot !== start.nonRoot) return;
  if (start.shadow !== 0) {
    const now = state.get32(State.INTERRUPTIBILITY);
    // Two MOV SS in a row block only once; the shadow found at the start is over either way.
    state.set32(State.INTERRUPTIBILITY, now & ~start.shadow);
  }
  if (start.resume && !keepsResume) state.set32(State.FLAGS_SYSTEM, state.get32(State.FLAGS_SYSTEM) & ~RESUME_FLAG);
  if (start.trap && !suppressesTrap) state.set64(State.PENDING_DEBUG, state.get64(State.PENDING_DEBUG) | 0x4000n);
  if (start.monitorTrap) cpu.raisePending(PendingEvent.MONITOR_TRAP);
}

export const isActive = (cpu: Cpu): boolean => cpu.state.get32(State.ACTIVITY) === ACTIVE;
