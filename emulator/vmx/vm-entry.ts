import { Cr0, Efer } from '../arch/control-registers';
import { Entry, Pin, Primary, Secondary } from '../arch/controls';
import { ENTRY_FAILURE } from '../arch/exit-reasons';
import {
  interruptionHasErrorCode,
  InterruptionType,
  isSoftwareEvent,
  interruptionType,
  interruptionValid,
  interruptionVector,
} from '../arch/interruption';
import { AccessRights } from '../arch/segments';
import type { InjectedEvent } from '../cpu/processor';
import { Actor } from '../memory/actor';
import { hostPhysical } from '../memory/address';
import { Segment, State } from '../memory/layout';
import { EptControl } from '../memory/paging-context';
import { i32, type Value } from '../wasm/expression';
import type { VirtualApic } from './apic-virtualization';
import { PREEMPTION_TIMER_SHIFT } from './capabilities';
import type { VmxCore } from './core';
import { EntryContext } from './entry-checks/context';
import { EntryRules } from './entry-checks/groups';
import { BASIC_RULES, Failed, msrRule, Refused, type EntryRule } from './entry-checks/phases';
import { GUEST_PDPTES, GUEST_SEGMENTS } from './guest-state';
import { loadCr0 } from './host-state';
import { loadMsrArea } from './msr-areas';
import { readPdptes, usesPdptes } from './pdptes';
import type { Transfer } from './state-transfer';
import { Slot } from './vmcs';
import { leaveNonRoot } from './vm-exit';

const INTERRUPTIBILITY_MOV_SS = 2;
const INTERRUPTIBILITY_NMI = 8;
const PENDING_MTF = 8;
/** Enabled breakpoint or single step: without either nothing is pending (SDM vol. 3, 27.7.3). */
const PENDING_DEBUG_VALID = 0x5000;
const NEVER = 0xffff_ffff_ffff_ffffn;
const ACTIVE = 0;
const RSP = 4;
const HLT = 1;
const DR7 = State.DR + 5 * 8;
const CR0_PG = Number(BigInt.asIntN(32, Cr0.PG));
const LMA = Number(Efer.LMA);
const LME = Number(Efer.LME);

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
  private readonly rules: EntryRules;

  constructor(
    private readonly core: VmxCore,
    private readonly virtualApic: VirtualApic,
  ) {
    this.context = new EntryContext(core);
    this.rules = new EntryRules(this.context);
  }

  /** The current VMCS is valid; #UD, CPL and the pointer were checked. */
  enter(launch: boolean): EntryOutcome {
    const { memory } = this.core.cpu.physical;
    const { actor } = memory;
    memory.actor = Actor.VmEntry;
    const outcome = this.attempt(launch);
    memory.actor = actor;
    return outcome;
  }

  private attempt(launch: boolean): EntryOutcome {
    const { core } = this;
    const refused = this.basicChecks(launch) ?? this.checkControlsAndHost();
    if (refused !== undefined) return failValid(refused);
    const nmiBlocked = (core.cpu.state.get32(State.INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI) !== 0;
    const failure = this.rules.guestFailure();
    if (failure) {
      const reason = Failed.guestState;
      this.report(failure, undefined, reason);
      return this.failEntry(reason, BigInt(failure.qualification), nmiBlocked);
    }
    core.cpu.taps.vmEntryBegin?.(core.cpu.index);
    this.loadGuestState();
    const msr = loadMsrArea(core, Slot.ENTRY_MSR_LOAD_ADDRESS, Slot.ENTRY_MSR_LOAD_COUNT);
    if (msr !== 0) {
      const reason = Failed.msrLoading;
      this.report(msrRule(`entry ${msr}`), undefined, reason);
      return this.failEntry(reason, BigInt(msr), nmiBlocked);
    }
    if (launch) core.vmcs.launched = true;
    const { pin, primary, secondary, event } = this.context;
    this.startTimers(pin, secondary);
    this.virtualApic.enter(this.context);
    core.cpu.contextChanged();
    this.announce(launch, event);
    this.injectEvent(event, primary);
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
    this.rules.begin();
    const control = this.rules.controlFailure();
    if (control) return this.refuse(control, Refused.controls);
    const host = this.rules.hostFailure();
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

  /** SDM vol. 3, 27.3.2 and 27.3.3: address-range monitoring ends */
  private loadGuestState(): void {
    const { cpu, vmcs, transfers } = this.core;
    transfers.loadGuest(vmcs.wasmAddress);
    // Without VPIDs the mappings of VPID 0 go (SDM vol. 3, 29.4.3.1).
    if (cpu.state.get32(State.VPID) === 0) cpu.tlb.flushVpid(0);
    this.loadPdptes();
    this.loadNonRegisterState();
  }

  /** SDM vol. 3, 27.3.2.4: from the fields with EPT, else from the table at CR3 */
  private loadPdptes(): void {
    const { core, context } = this;
    const { state } = core.cpu;
    if (!usesPdptes(state)) return;
    const table = context.ept ? GUEST_PDPTES.map((slot) => core.vmcs.get64(slot)) : readPdptes(core, state.cr3);
    table.forEach((entry, i) => state.set64(State.PDPTE + i * 8, entry));
  }

  /** SDM vol. 3, 27.3.2.5 and 27.7.1 to 27.7.3 */
  private loadNonRegisterState(): void {
    const { core, context } = this;
    const { state } = core.cpu;
    const activity = core.vmcs.get32(Slot.GUEST_ACTIVITY_STATE);
    const interruptibility = core.vmcs.get32(Slot.GUEST_INTERRUPTIBILITY);
    const { eventType } = context;
    const vectoring = eventType >= 0 && eventType !== InterruptionType.OTHER_EVENT;
    state.set32(State.ACTIVITY, vectoring ? ACTIVE : activity);
    state.set32(State.INTERRUPTIBILITY, interruptibility);
    const lost = vectoring
      ? eventType <= InterruptionType.HARDWARE_EXCEPTION || !(interruptibility & INTERRUPTIBILITY_MOV_SS)
      : activity > HLT;
    // The checks leave no bit above 14.
    const debug = core.vmcs.get32(Slot.GUEST_PENDING_DEBUG_EXCEPTIONS);
    state.set32(State.PENDING_DEBUG, lost || (debug & PENDING_DEBUG_VALID) === 0 ? 0 : debug);
    state.set32(State.PENDING_DEBUG + 4, 0);
  }

  /** The VMX-preemption timer (SDM vol. 3, 26.5.1, 27.7.4); the first PAUSE begins a new loop (26.1.3). */
  private startTimers(pin: number, secondary: number): void {
    const { core } = this;
    const { state } = core.cpu;
    if (secondary & Secondary.PAUSE_LOOP_EXITING) core.pauseLoop = { first: NEVER, last: NEVER };
    if (!(pin & Pin.ACTIVATE_PREEMPTION_TIMER)) return core.stopTimer();
    const adjust = state.get64(State.TSC_ADJUST);
    const units = BigInt.asUintN(64, core.cpu.now + adjust) >> PREEMPTION_TIMER_SHIFT;
    const deadline = (units + BigInt(core.vmcs.get32(Slot.PREEMPTION_TIMER_VALUE))) << PREEMPTION_TIMER_SHIFT;
    // With value 0 the deadline is the beginning of the running unit, which may lie before the clock's start.
    const clock = BigInt.asIntN(64, deadline - adjust);
    state.set64(State.PREEMPTION_DEADLINE, clock < 0n ? 0n : clock);
  }

  /** SDM vol. 3, 27.6: the processor delivers the event when the instruction has ended. */
  private injectEvent(information: number, primary: number): void {
    if (!interruptionValid(information)) return;
    const { cpu } = this.core;
    const traps = (primary & Primary.MONITOR_TRAP_FLAG) !== 0;
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

  private announce(launch: boolean, event: number): void {
    const { core } = this;
    const n = core.nextEntry();
    core.cpu.taps.vmEntry?.(core.describeEntry(n, launch, interruptionValid(event) ? event : 0));
  }
}

/** VPID, EPT pointer and TSC offset, which are 0 in root operation */
function selectTranslation(t: Transfer): void {
  const { f } = t;
  const primary = f.let(t.field(Slot.PRIMARY_PROCESSOR_CONTROLS));
  const activated = f.and(primary, i32(Primary.ACTIVATE_SECONDARY_CONTROLS));
  const secondary = f.let(f.select(activated, t.field(Slot.SECONDARY_PROCESSOR_CONTROLS), i32(0)));
  t.setState(State.VMX_ROOT, i32(0));
  t.setState(State.DIRECT_VMCS, i32(0));
  t.setState(State.MONITOR_ARMED, i32(0));
  t.when(secondary, Secondary.ENABLE_VPID, () => t.setState(State.VPID, t.selector(Slot.VPID)));
  t.when(secondary, Secondary.ENABLE_EPT, () => {
    t.load(State.EPTP, Slot.EPT_POINTER);
    const modeBased = f.select(
      f.and(secondary, i32(Secondary.MODE_BASED_EXECUTE_CONTROL)),
      i32(EptControl.MODE_BASED_EXECUTE),
      i32(0),
    );
    const log = f.select(f.and(secondary, i32(Secondary.ENABLE_PML)), i32(EptControl.PAGE_MODIFICATION_LOG), i32(0));
    t.setState(State.EPT_CONTROLS, f.or(modeBased, log));
  });
  t.when(primary, Primary.USE_TSC_OFFSETTING, () => {
    t.load(State.TSC_OFFSET, Slot.TSC_OFFSET);
    t.when(secondary, Secondary.USE_TSC_SCALING, () => t.load(State.TSC_MULTIPLIER, Slot.TSC_MULTIPLIER));
  });
}

/** SDM vol. 3, 27.3.2.1 */
function loadControlRegisters(t: Transfer): void {
  const { f } = t;
  const controls = f.let(t.field(Slot.ENTRY_CONTROLS));
  loadCr0(t, Slot.GUEST_CR0);
  t.load(State.CR3, Slot.GUEST_CR3);
  t.load(State.CR4, Slot.GUEST_CR4);
  t.when(controls, Entry.LOAD_DEBUG_CONTROLS, () => {
    t.load(DR7, Slot.GUEST_DR7);
    // Bits 12, 14 and 15 of DR7 are 0 and bit 10 is 1 whatever the field says.
    t.setState(DR7, f.or(f.and(t.state(DR7), i32(~0xd000)), i32(0x400)));
    t.load(State.DEBUGCTL, Slot.GUEST_IA32_DEBUGCTL);
  });
  t.setState64(State.SYSENTER_CS, t.field(Slot.GUEST_IA32_SYSENTER_CS));
  t.load(State.SYSENTER_ESP, Slot.GUEST_IA32_SYSENTER_ESP);
  t.load(State.SYSENTER_EIP, Slot.GUEST_IA32_SYSENTER_EIP);
  f.if(f.and(controls, i32(Entry.LOAD_EFER)));
  t.load(State.EFER, Slot.GUEST_IA32_EFER);
  f.else();
  t.setState(State.EFER, guestEfer(t, controls));
  f.end();
  t.when(controls, Entry.LOAD_PAT, () => t.load(State.PAT, Slot.GUEST_IA32_PAT));
}

/** Without "load IA32_EFER": LMA by "IA-32e mode guest", LME equal to it when the guest pages. */
function guestEfer(t: Transfer, controls: Value): Value {
  const { f } = t;
  const efer = f.let(t.state(State.EFER));
  const paging = f.and(t.field(Slot.GUEST_CR0), i32(CR0_PG));
  const legacy = f.and(efer, f.select(paging, i32(~(LMA | LME)), i32(~LMA)));
  return f.select(f.and(controls, i32(Entry.IA32E_MODE_GUEST)), f.or(efer, i32(LMA | LME)), legacy);
}

/** SDM vol. 3, 27.3.2.2. CS is always usable; the bases of CS, SS, DS and ES have 32 bits. */
function loadSegments(t: Transfer): void {
  for (const { segment, selector, base, limit, access, state: at } of GUEST_SEGMENTS) {
    const rights = t.field(access);
    t.setState(at, t.selector(selector));
    t.setState(at + 4, segment === Segment.CS ? t.f.and(rights, i32(~AccessRights.UNUSABLE)) : rights);
    t.load32(at + 8, limit);
    if (segment < Segment.FS) t.setState64(at + 16, t.field(base));
    else t.load(at + 16, base);
  }
  t.load(State.GDTR, Slot.GUEST_GDTR_BASE);
  t.load32(State.GDTR + 8, Slot.GUEST_GDTR_LIMIT);
  t.load(State.IDTR, Slot.GUEST_IDTR_BASE);
  t.load32(State.IDTR + 8, Slot.GUEST_IDTR_LIMIT);
}

/** SDM vol. 3, 27.3.2.3. The entering instruction ends with the guest's RIP. */
function loadInstructionState(t: Transfer): void {
  t.load(State.RIP, Slot.GUEST_RIP);
  t.load(State.NEXT_RIP, Slot.GUEST_RIP);
  t.load(State.GPR + RSP * 8, Slot.GUEST_RSP);
  t.setRflags(t.field(Slot.GUEST_RFLAGS));
}

/** What of loading guest state only moves values, in order */
export const LOAD_GUEST_STATE = [selectTranslation, loadControlRegisters, loadSegments, loadInstructionState];
