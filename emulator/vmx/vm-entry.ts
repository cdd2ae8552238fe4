import { Cr0, Efer } from '../arch/control-registers';
import { Entry, Pin, Primary, Secondary } from '../arch/controls';
import { ENTRY_FAILURE } from '../arch/exit-reasons';
import {
  interruptionHasErrorCode,
  InterruptionType,
  interruptionType,
  interruptionValid,
  interruptionVector,
} from '../arch/interruption';
import { AccessRights } from '../arch/segments';
import type { InjectedEvent } from '../cpu/processor';
import { hostPhysical } from '../memory/address';
import { Segment, State } from '../memory/layout';
import { EptControl } from '../memory/paging-context';
import { PREEMPTION_TIMER_SHIFT } from './capabilities';
import type { VmxCore } from './core';
import { EntryContext } from './entry-checks/context';
import { EntryRules } from './entry-checks/groups';
import { BASIC_RULES, Failed, msrRule, Refused, type EntryRule } from './entry-checks/phases';
import { GUEST_PDPTES, GUEST_SEGMENTS } from './guest-state';
import { CR0_UNTOUCHED } from './host-state';
import { loadMsrArea } from './msr-areas';
import { readPdptes, usesPdptes } from './pdptes';
import { Slot } from './vmcs';
import { leaveNonRoot } from './vm-exit';

const INTERRUPTIBILITY_MOV_SS = 2;
const INTERRUPTIBILITY_NMI = 8;
const PENDING_MTF = 8;
/** Enabled breakpoint or single step: without either nothing is pending (SDM vol. 3, 27.7.3). */
const PENDING_DEBUG_VALID = 0x5000n;
const NEVER = 0xffff_ffff_ffff_ffffn;
const ACTIVE = 0;
const RSP = 4;
const HLT = 1;

/** How VMLAUNCH or VMRESUME ended. */
export type EntryOutcome =
  /** In non-root operation; `cpu.nextRip` is the guest's */
  | { readonly kind: 'entered' }
  /** VMfailValid with this error number; 0: VMfailInvalid */
  | { readonly kind: 'fail-valid'; readonly error: number }
  /** VM-entry failure: host state was loaded as by a VM exit */
  | { readonly kind: 'failed-entry' };

const ENTERED: EntryOutcome = { kind: 'entered' };
const FAILED_ENTRY: EntryOutcome = { kind: 'failed-entry' };
const failValid = (error: number): EntryOutcome => ({ kind: 'fail-valid', error });

/** VM entries of one processor (SDM vol. 3, chapter 27), in the manual's phases. */
export class VmEntry {
  private readonly context: EntryContext;
  private readonly rules = new EntryRules();

  constructor(private readonly core: VmxCore) {
    this.context = new EntryContext(core);
  }

  /** The current VMCS is valid; #UD, CPL and the pointer were checked. */
  enter(launch: boolean): EntryOutcome {
    const { core } = this;
    const refused = this.basicChecks(launch) ?? this.checkControlsAndHost();
    if (refused !== undefined) return failValid(refused);
    const nmiBlocked = (core.cpu.state.get32(State.INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI) !== 0;
    const failure = this.rules.guestFailure(this.context);
    if (failure) {
      const reason = Failed.guestState;
      this.report(failure, undefined, reason);
      return this.failEntry(reason, BigInt(failure.qualification), nmiBlocked);
    }
    core.cpu.taps.vmEntryBegin?.();
    this.loadGuestState();
    const msr = loadMsrArea(
      core,
      core.vmcs.get64(Slot.ENTRY_MSR_LOAD_ADDRESS),
      core.vmcs.get32(Slot.ENTRY_MSR_LOAD_COUNT),
    );
    if (msr !== 0) {
      const reason = Failed.msrLoading;
      this.report(msrRule(`entry ${msr}`), undefined, reason);
      return this.failEntry(reason, BigInt(msr), nmiBlocked);
    }
    if (launch) core.vmcs.launched = true;
    this.startTimers();
    core.cpu.contextChanged();
    this.announce(launch);
    this.injectEvent();
    return ENTERED;
  }

  /** SDM vol. 3, 27.1: VMfailInvalid (0), error numbers 26, 4 and 5 */
  private basicChecks(launch: boolean): number | undefined {
    const { core } = this;
    if (core.vmcs.shadow) return this.refuse(BASIC_RULES.shadow, Refused.shadow);
    if (core.cpu.state.get32(State.INTERRUPTIBILITY) & INTERRUPTIBILITY_MOV_SS)
      return this.refuse(BASIC_RULES.movSs, Refused.movSs);
    if (launch && core.vmcs.launched) return this.refuse(BASIC_RULES.launch, Refused.launch);
    if (!launch && !core.vmcs.launched) return this.refuse(BASIC_RULES.resume, Refused.resume);
    return undefined;
  }

  /** SDM vol. 3, 27.2: error numbers 7 and 8 */
  private checkControlsAndHost(): number | undefined {
    this.context.load();
    const control = this.rules.controlFailure(this.context);
    if (control) return this.refuse(control, Refused.controls);
    const host = this.rules.hostFailure(this.context);
    return host && this.refuse(host, Refused.hostState);
  }

  private refuse(check: EntryRule, error: number): number {
    this.report(check, error, undefined);
    return error;
  }

  private report(check: EntryRule, error: number | undefined, reason: number | undefined): void {
    const { core } = this;
    core.cpu.taps.vmEntryFailed?.({
      instruction: Number(core.cpu.state.retired),
      vcpu: core.cpu.index,
      vmcs: hostPhysical(core.currentVmcs),
      check: check.id,
      rule: check.rule,
      field: check.fields[0] ?? '',
      value: check.fields[0] === undefined ? 0n : core.vmcs.get64(Slot[check.fields[0]]),
      section: `SDM vol. 3, ${check.section}`,
      error,
      exitReason: reason === undefined ? undefined : (reason | ENTRY_FAILURE) >>> 0,
    });
  }

  /** SDM vol. 3, 27.8: only reason and qualification are recorded, then host state as by a VM exit. */
  private failEntry(reason: number, qualification: bigint, nmiBlocked: boolean): EntryOutcome {
    const { vmcs } = this.core;
    vmcs.set32(Slot.EXIT_REASON, reason | ENTRY_FAILURE);
    vmcs.set64(Slot.EXIT_QUALIFICATION, qualification);
    leaveNonRoot(this.core, nmiBlocked);
    return FAILED_ENTRY;
  }

  /** SDM vol. 3, 27.3.2; address-range monitoring (27.3.3) is not implemented, so there is nothing to clear. */
  private loadGuestState(): void {
    const { core } = this;
    core.cpu.state.set32(State.VMX_ROOT, 0);
    this.selectTranslation();
    this.loadControlRegisters();
    loadSegments(core);
    this.loadInstructionState();
    this.loadPdptes();
    this.loadNonRegisterState();
  }

  /** VPID, EPT pointer and TSC offset; without VPIDs the mappings of VPID 0 go (SDM vol. 3, 29.4.3.1). */
  private selectTranslation(): void {
    const { core, context } = this;
    const { state, tlb } = core.cpu;
    const vpid = context.secondary & Secondary.ENABLE_VPID ? core.vmcs.get32(Slot.VPID) & 0xffff : 0;
    if (vpid === 0) tlb.flushVpid(0);
    // Root operation has all of them at 0.
    state.set32(State.VPID, vpid);
    if (context.ept) {
      core.vmcs.load(State.EPTP, Slot.EPT_POINTER);
      state.set32(
        State.EPT_CONTROLS,
        (context.secondary & Secondary.MODE_BASED_EXECUTE_CONTROL ? EptControl.MODE_BASED_EXECUTE : 0) |
          (context.secondary & Secondary.ENABLE_PML ? EptControl.PAGE_MODIFICATION_LOG : 0),
      );
    }
    if (context.primary & Primary.USE_TSC_OFFSETTING) core.vmcs.load(State.TSC_OFFSET, Slot.TSC_OFFSET);
  }

  /** SDM vol. 3, 27.3.2.1 */
  private loadControlRegisters(): void {
    const { core, context } = this;
    const { vmcs } = core;
    const { state } = core.cpu;
    state.cr0 = (state.cr0 & CR0_UNTOUCHED) | (context.cr0 & ~CR0_UNTOUCHED);
    vmcs.load(State.CR3, Slot.GUEST_CR3);
    state.cr4 = context.cr4;
    if (context.entry & Entry.LOAD_DEBUG_CONTROLS) {
      // Bits 12, 14 and 15 of DR7 are 0 and bit 10 is 1 whatever the field says.
      state.set64(State.DR + 5 * 8, (vmcs.get64(Slot.GUEST_DR7) & ~0xd000n) | 0x400n);
      state.set64(State.DEBUGCTL, vmcs.get64(Slot.GUEST_IA32_DEBUGCTL));
    }
    state.set64(State.SYSENTER_CS, BigInt(vmcs.get32(Slot.GUEST_IA32_SYSENTER_CS)));
    vmcs.load(State.SYSENTER_ESP, Slot.GUEST_IA32_SYSENTER_ESP);
    vmcs.load(State.SYSENTER_EIP, Slot.GUEST_IA32_SYSENTER_EIP);
    state.efer = this.guestEfer();
    if (context.entry & Entry.LOAD_PAT) vmcs.load(State.PAT, Slot.GUEST_IA32_PAT);
  }

  /** Without "load IA32_EFER": LMA by "IA-32e mode guest", LME equal to it when the guest pages. */
  private guestEfer(): bigint {
    const { core, context } = this;
    if (context.entry & Entry.LOAD_EFER) return core.vmcs.get64(Slot.GUEST_IA32_EFER);
    const { efer } = core.cpu.state;
    if (context.longGuest) return efer | Efer.LMA | Efer.LME;
    return efer & ~(context.cr0 & Cr0.PG ? Efer.LMA | Efer.LME : Efer.LMA);
  }

  /** SDM vol. 3, 27.3.2.3. RIP takes effect when the instruction ends. */
  private loadInstructionState(): void {
    const { cpu, vmcs } = this.core;
    const rip = vmcs.get64(Slot.GUEST_RIP);
    cpu.state.rip = rip;
    cpu.nextRip = rip;
    vmcs.load(State.GPR + RSP * 8, Slot.GUEST_RSP);
    cpu.state.rflags = vmcs.get64(Slot.GUEST_RFLAGS);
  }

  /** SDM vol. 3, 27.3.2.4: from the fields with EPT, else from the table at CR3 */
  private loadPdptes(): void {
    const { core, context } = this;
    const { state } = core.cpu;
    if (!usesPdptes(state.cr0, state.cr4, state.efer)) return;
    const table = context.ept ? GUEST_PDPTES.map((slot) => core.vmcs.get64(slot)) : readPdptes(core, state.cr3);
    table.forEach((entry, i) => state.set64(State.PDPTE + i * 8, entry));
  }

  /** SDM vol. 3, 27.3.2.5 and 27.7.1 to 27.7.3 */
  private loadNonRegisterState(): void {
    const { core, context } = this;
    const { state } = core.cpu;
    const activity = core.vmcs.get32(Slot.GUEST_ACTIVITY_STATE);
    const interruptibility = core.vmcs.get32(Slot.GUEST_INTERRUPTIBILITY);
    const vectoring = context.eventType >= 0 && context.eventType !== InterruptionType.OTHER_EVENT;
    state.set32(State.ACTIVITY, vectoring ? ACTIVE : activity);
    state.set32(State.INTERRUPTIBILITY, interruptibility);
    const lost = vectoring
      ? context.eventType <= InterruptionType.HARDWARE_EXCEPTION || !(interruptibility & INTERRUPTIBILITY_MOV_SS)
      : activity > HLT;
    const debug = core.vmcs.get64(Slot.GUEST_PENDING_DEBUG_EXCEPTIONS);
    state.set64(State.PENDING_DEBUG, lost || (debug & PENDING_DEBUG_VALID) === 0n ? 0n : debug);
  }

  /** The VMX-preemption timer (SDM vol. 3, 26.5.1, 27.7.4); the first PAUSE begins a new loop (26.1.3). */
  private startTimers(): void {
    const { core, context } = this;
    const { state } = core.cpu;
    if (context.secondary & Secondary.PAUSE_LOOP_EXITING) core.pauseLoop = { first: NEVER, last: NEVER };
    if (!(context.pin & Pin.ACTIVATE_PREEMPTION_TIMER)) return core.stopTimer();
    const adjust = state.get64(State.TSC_ADJUST);
    const units = BigInt.asUintN(64, core.cpu.now + adjust) >> PREEMPTION_TIMER_SHIFT;
    const deadline = (units + BigInt(core.vmcs.get32(Slot.PREEMPTION_TIMER_VALUE))) << PREEMPTION_TIMER_SHIFT;
    // With value 0 the deadline is the beginning of the running unit, which may lie before the clock's start.
    const clock = BigInt.asIntN(64, deadline - adjust);
    state.set64(State.PREEMPTION_DEADLINE, clock < 0n ? 0n : clock);
  }

  /** SDM vol. 3, 27.6: the processor delivers the event when the instruction has ended. */
  private injectEvent(): void {
    const { core, context } = this;
    const { cpu } = core;
    const information = context.event;
    if (!interruptionValid(information)) return;
    const traps = (context.primary & Primary.MONITOR_TRAP_FLAG) !== 0;
    const type = interruptionType(information);
    if (type === InterruptionType.OTHER_EVENT || traps)
      cpu.state.set32(State.PENDING_EVENTS, cpu.state.get32(State.PENDING_EVENTS) | PENDING_MTF);
    if (type === InterruptionType.OTHER_EVENT) return;
    cpu.inject(this.event(information));
  }

  private event(information: number): InjectedEvent {
    const { vmcs } = this.core;
    const hasErrorCode = interruptionHasErrorCode(information);
    const type = interruptionType(information);
    return {
      type,
      vector: interruptionVector(information),
      errorCode: hasErrorCode ? vmcs.get32(Slot.ENTRY_EXCEPTION_ERROR_CODE) : undefined,
      // For other events the field may hold anything (SDM vol. 3, 25.8.3).
      instructionLength: isSoftwareEvent(type) ? vmcs.get32(Slot.ENTRY_INSTRUCTION_LENGTH) : 0,
    };
  }

  private announce(launch: boolean): void {
    const { core, context } = this;
    const n = core.nextEntry();
    core.cpu.taps.vmEntry?.({
      n,
      instruction: Number(core.cpu.state.retired),
      vcpu: core.cpu.index,
      vmcs: hostPhysical(core.currentVmcs),
      launch,
      rip: core.cpu.nextRip,
      injected: interruptionValid(context.event) ? context.event : 0,
    });
  }
}

/** Raised by an instruction, behind which the handler returns: INT n, INT1, INT3, INTO */
const isSoftwareEvent = (type: number): boolean =>
  type === InterruptionType.SOFTWARE_INTERRUPT ||
  type === InterruptionType.PRIVILEGED_SOFTWARE_EXCEPTION ||
  type === InterruptionType.SOFTWARE_EXCEPTION;

/** SDM vol. 3, 27.3.2.2. CS is always usable; the bases of CS, SS, DS and ES have 32 bits. */
function loadSegments(core: VmxCore): void {
  const { vmcs } = core;
  const { state } = core.cpu;
  for (const { segment, selector, base, limit, access, state: at } of GUEST_SEGMENTS) {
    const rights = vmcs.get32(access);
    state.set32(at, vmcs.get32(selector) & 0xffff);
    state.set32(at + 4, segment === Segment.CS ? rights & ~AccessRights.UNUSABLE : rights);
    state.set32(at + 8, vmcs.get32(limit));
    vmcs.load(at + 16, base);
    if (segment < Segment.FS) state.set32(at + 20, 0);
  }
  vmcs.load(State.GDTR, Slot.GUEST_GDTR_BASE);
  state.set32(State.GDTR + 8, vmcs.get32(Slot.GUEST_GDTR_LIMIT));
  vmcs.load(State.IDTR, Slot.GUEST_IDTR_BASE);
  state.set32(State.IDTR + 8, vmcs.get32(Slot.GUEST_IDTR_LIMIT));
}
