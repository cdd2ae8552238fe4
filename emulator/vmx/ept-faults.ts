import { Cr0 } from '../arch/control-registers';
import { Secondary } from '../arch/controls';
import { EptViolation } from '../arch/ept-bits';
import { ExitReason } from '../arch/exit-reasons';
import { EptFaultKind, type EptFault } from '../cpu/processor';
import { hostPhysical } from '../memory/address';
import { faultResumeFlag, type VmxCore } from './core';
import { Slot } from './vmcs';

const REASONS: Readonly<Record<EptFaultKind, number>> = {
  [EptFaultKind.Violation]: ExitReason.EPT_VIOLATION,
  [EptFaultKind.Misconfiguration]: ExitReason.EPT_MISCONFIGURATION,
  [EptFaultKind.LogFull]: ExitReason.PML_FULL,
};

/** Offsets in the virtualization-exception information area (SDM vol. 3, table 26-1) */
const Area = {
  REASON: 0n,
  BUSY: 4n,
  QUALIFICATION: 8n,
  GUEST_LINEAR: 16n,
  GUEST_PHYSICAL: 24n,
  EPTP_INDEX: 32n,
} as const;
/** The processor sets the area's busy word to all ones, and only software clears it. */
const BUSY = 0xffff_ffffn << 32n;

/**
 * Fills `core.exit` for an EPT violation, misconfiguration, or full page-modification log (SDM vol. 3, 28.2.1). The
 * guest-linear address counts when the qualification says so; a full log reports no address.
 */
export function eptFaultExit(core: VmxCore, fault: EptFault): void {
  const exit = core.exit.reset(REASONS[fault.kind]);
  exit.resumeFlag = faultResumeFlag(core.delivery);
  if (fault.kind !== EptFaultKind.Misconfiguration) exit.qualification = qualificationOf(core, fault);
  if (fault.kind === EptFaultKind.LogFull) return;
  exit.guestPhysical = fault.guestPhysical;
  exit.guestLinear = fault.linear ?? 0n;
}

/** Also a full log tells when the access was one of an IRET that ended blocking of NMIs (bit 12). */
function qualificationOf(core: VmxCore, fault: EptFault): bigint {
  const access = fault.kind === EptFaultKind.Violation ? fault.qualification : 0n;
  return core.unblockedByIret ? access | EptViolation.NMI_UNBLOCKING_DUE_TO_IRET : access;
}

/**
 * Whether an EPT violation raises #VE instead of a VM exit (SDM vol. 3, 26.5.7.1): the control, an EPT entry that does
 * not suppress it, protected mode, no event delivery under way, and an information area that is not busy. If so, the
 * area is filled (26.5.7.2).
 */
export function raisesVirtualizationException(core: VmxCore, fault: EptFault): boolean {
  if (fault.kind !== EptFaultKind.Violation || !fault.convertible) return false;
  if ((core.secondaryControls & Secondary.EPT_VIOLATION_VE) === 0 || core.delivery.active) return false;
  const { cpu, vmcs } = core;
  if ((cpu.state.cr0 & Cr0.PE) === 0n) return false;
  const area = vmcs.get64(Slot.VIRTUALIZATION_EXCEPTION_ADDRESS);
  if (cpu.physical.read32(hostPhysical(area + Area.BUSY)) !== 0) return false;
  const store = (offset: bigint, value: bigint): void =>
    cpu.walker.tables.store(Number(area + offset), BigInt.asUintN(64, value));
  store(Area.REASON, BigInt(ExitReason.EPT_VIOLATION) | BUSY);
  store(Area.QUALIFICATION, qualificationOf(core, fault));
  store(Area.GUEST_LINEAR, fault.linear ?? 0n);
  store(Area.GUEST_PHYSICAL, fault.guestPhysical);
  const rest = cpu.physical.read64(hostPhysical(area + Area.EPTP_INDEX));
  store(Area.EPTP_INDEX, (rest & ~0xffffn) | BigInt(vmcs.get32(Slot.EPTP_INDEX) & 0xffff));
  return true;
}
