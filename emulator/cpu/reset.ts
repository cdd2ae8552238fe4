import { Cr0 } from '../arch/control-registers';
import { ApicBase, MiscEnable, PAT_RESET } from '../arch/msrs';
import { SaferMode } from '../arch/safer-mode';
import { AccessRights } from '../arch/segments';
import { Activity } from '../arch/activity';
import { Segment, State, STATE_SIZE } from '../memory/layout';
import { resetExtendedState } from './extended-state';
import type { Processor } from './processor';
import type { CpuState } from './state';

const DATA = AccessRights.PRESENT | AccessRights.CODE_OR_DATA | 3;
const CODE = AccessRights.PRESENT | AccessRights.CODE_OR_DATA | 11;
const LDT = AccessRights.PRESENT | 2;
const TSS = AccessRights.PRESENT | 11;
const SIGNATURE = 0x000506e3n;
const DR6_RESET = 0xffff0ff0n;
const DR7_RESET = 0x400n;
/** IA32_FEATURE_CONTROL as the firmware leaves it: locked, VMX outside SMX */
const FEATURE_CONTROL = 5n;
/** With SMX also VMX inside it, and SENTER */
const FEATURE_CONTROL_SMX = 0xff02n;
const NONE = (1n << 64n) - 1n;

/** Registers that RESET and INIT set alike (SDM vol. 3, table 10-1). */
function commonState(state: CpuState): void {
  for (let i = 0; i < 16; i++) state.setGpr(i, 0n);
  state.setGpr(2, SIGNATURE);
  state.rflags = 2n;
  state.rip = 0xfff0n;
  const data = { selector: 0, access: DATA, limit: 0xffff, base: 0n };
  for (const segment of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS]) state.setSegment(segment, data);
  state.setSegment(Segment.CS, { selector: 0xf000, access: CODE, limit: 0xffff, base: 0xffff0000n });
  state.setSegment(Segment.LDTR, { selector: 0, access: LDT, limit: 0xffff, base: 0n });
  state.setSegment(Segment.TR, { selector: 0, access: TSS, limit: 0xffff, base: 0n });
  for (const table of [State.GDTR, State.IDTR]) {
    state.set64(table, 0n);
    state.set32(table + 8, 0xffff);
  }
  state.cr2 = 0n;
  state.cr3 = 0n;
  state.cr4 = 0n;
  state.efer = 0n;
  for (let i = 0; i < 4; i++) state.set64(State.DR + i * 8, 0n);
  state.set64(State.DR + 32, DR6_RESET);
  state.set64(State.DR + 40, DR7_RESET);
  state.set32(State.ACTIVITY, 0);
  state.set32(State.INTERRUPTIBILITY, 0);
  state.set64(State.PENDING_DEBUG, 0n);
}

/** Power-up: everything in the state block but the clock starts from here. */
export function resetState(cpu: Processor): void {
  const { state } = cpu;
  for (let at = 0; at < STATE_SIZE; at += 8) state.set64(at, 0n);
  commonState(state);
  state.cr0 = Cr0.CD | Cr0.NW | Cr0.ET;
  state.set64(State.XCR0, 1n);
  resetExtendedState(state);
  state.set64(State.PAT, PAT_RESET);
  state.set64(State.APIC_BASE, 0xfee00000n | ApicBase.ENABLE | (cpu.index === 0 ? ApicBase.BOOTSTRAP : 0n));
  state.set64(State.MISC_ENABLE, MiscEnable.FAST_STRINGS | MiscEnable.MONITOR);
  const features = cpu.saferMode ? FEATURE_CONTROL | FEATURE_CONTROL_SMX : FEATURE_CONTROL;
  state.set64(State.FEATURE_CONTROL, cpu.virtualization.present ? features : 0n);
  state.set32(State.SAFER_MODE, cpu.saferMode ? SaferMode.PRESENT : 0);
  state.set64(State.VMXON_POINTER, NONE);
  state.set64(State.CURRENT_VMCS, NONE);
  state.set64(State.PREEMPTION_DEADLINE, NONE);
  waitForStartUp(cpu);
  cpu.tlb.flushAll();
  cpu.contextChanged();
}

/** All but the bootstrap processor wait for a SIPI after RESET and INIT (SDM vol. 3, 10.1 and 9.4.3). */
function waitForStartUp({ state }: Processor): void {
  const bootstrap = (state.get64(State.APIC_BASE) & ApicBase.BOOTSTRAP) !== 0n;
  if (!bootstrap) state.set32(State.ACTIVITY, Activity.WAIT_FOR_SIPI);
}

/** INIT: CR0.CD and NW, and all MSRs but EFER, keep their values. */
export function initState(cpu: Processor): void {
  const { state } = cpu;
  const kept = state.cr0 & (Cr0.CD | Cr0.NW);
  commonState(state);
  state.cr0 = kept | Cr0.ET;
  waitForStartUp(cpu);
  cpu.interrupts.initialize?.();
  cpu.tlb.flushAll();
  cpu.contextChanged();
}
