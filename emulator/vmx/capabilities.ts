import { PHYSICAL_ADDRESS_BITS } from '../arch/address-width';
import { VmxMsr } from '../arch/capability-msrs';
import { allowed0, allowed1, CONTROL_WORDS, type ControlWordKey } from '../arch/controls';
import { Cr0, Cr4 } from '../arch/control-registers';
import { VM_FUNCTIONS_ALLOWED } from '../arch/vm-functions';
import { VMCS_FIELDS, VMCS_FIELD_SYMBOLS, vmcsFieldExists, vmcsIndex } from '../arch/vmcs-fields';
import { CR4_SUPPORTED } from '../cpu/control-registers';
import type { Processor } from '../cpu/processor';
import { VMCS_REGION_SIZE, VMCS_REVISION } from './vmcs';

/**
 * What this processor's VT-x can do (SDM vol. 3, appendix A): the capability MSRs are computed from the tables that
 * execution uses, so they tell exactly what is there. VM-entry checks use the same constants.
 */

/** Bits that must be 1 in VMX operation, and bits that may be (SDM vol. 3, A.7 and A.8) */
export const CR0_FIXED0 = Cr0.PE | Cr0.NE | Cr0.PG;
export const CR0_FIXED1 = 0xffff_ffffn;
export const CR4_FIXED0 = Cr4.VMXE;

/** Bits of CR4 that this processor has */
export const CR4_FIXED1 = CR4_SUPPORTED | Cr4.VMXE;
/** The same with what depends on the machine */
export const cr4Fixed1 = (cpu: Processor): bigint => (cpu.saferMode ? CR4_FIXED1 | Cr4.SMXE : CR4_FIXED1);

/** The VMX-preemption timer counts down each time this bit of the TSC changes (SDM vol. 3, 26.5.1). */
export const PREEMPTION_TIMER_SHIFT = 5n;
export const CR3_TARGET_LIMIT = 4;
/** Recommended maximum of an MSR list (SDM vol. 3, A.6): longer lists are the hypervisor's risk; here they work. */
const MSR_LIST_UNITS = 0n;

const MEMORY_TYPE_WB = 6n;

const basic =
  BigInt(VMCS_REVISION) |
  (BigInt(VMCS_REGION_SIZE) << 32n) |
  (MEMORY_TYPE_WB << 50n) |
  // INS and OUTS report instruction information
  (1n << 54n) |
  // the TRUE capability MSRs exist
  (1n << 55n);

const misc =
  PREEMPTION_TIMER_SHIFT |
  // VM exits store IA32_EFER.LMA in "IA-32e mode guest"
  (1n << 5n) |
  // activity states HLT, shutdown and wait-for-SIPI
  (7n << 6n) |
  (BigInt(CR3_TARGET_LIMIT) << 16n) |
  (MSR_LIST_UNITS << 25n) |
  // VMWRITE can write to read-only data
  (1n << 29n) |
  // an instruction length of 0 can be injected
  (1n << 30n);

export const EptVpidCapability = {
  EXECUTE_ONLY: 1n << 0n,
  WALK_LENGTH_4: 1n << 6n,
  WALK_LENGTH_5: 1n << 7n,
  UC: 1n << 8n,
  WB: 1n << 14n,
  PAGE_2M: 1n << 16n,
  PAGE_1G: 1n << 17n,
  INVEPT: 1n << 20n,
  ACCESSED_DIRTY: 1n << 21n,
  ADVANCED_EPT_VIOLATION: 1n << 22n,
  INVEPT_SINGLE: 1n << 25n,
  INVEPT_ALL: 1n << 26n,
  INVVPID: 1n << 32n,
  INVVPID_ADDRESS: 1n << 40n,
  INVVPID_SINGLE: 1n << 41n,
  INVVPID_ALL: 1n << 42n,
  INVVPID_SINGLE_RETAINING_GLOBALS: 1n << 43n,
} as const;

export const EPT_VPID_CAPABILITIES = Object.values(EptVpidCapability).reduce((all, one) => all | one, 0n);

const controls = (key: ControlWordKey, trueMsr: boolean): bigint =>
  (BigInt(allowed1(key)) << 32n) | BigInt(allowed0(key, trueMsr));

function* controlMsrs(): Generator<[number, bigint]> {
  for (const key of Object.keys(CONTROL_WORDS) as ControlWordKey[]) {
    const { capability, trueCapability } = CONTROL_WORDS[key];
    yield [VmxMsr[capability], controls(key, false)];
    if (trueCapability) yield [VmxMsr[trueCapability], controls(key, true)];
  }
}

const highestIndex = VMCS_FIELD_SYMBOLS.map((symbol) => VMCS_FIELDS[symbol])
  .filter(vmcsFieldExists)
  .reduce((highest, row) => Math.max(highest, vmcsIndex(row.encoding)), 0);

const MSRS = new Map<number, bigint>([
  ...controlMsrs(),
  [VmxMsr.IA32_VMX_BASIC, basic],
  [VmxMsr.IA32_VMX_MISC, misc],
  [VmxMsr.IA32_VMX_CR0_FIXED0, CR0_FIXED0],
  [VmxMsr.IA32_VMX_CR0_FIXED1, CR0_FIXED1],
  [VmxMsr.IA32_VMX_CR4_FIXED0, CR4_FIXED0],
  [VmxMsr.IA32_VMX_CR4_FIXED1, CR4_FIXED1],
  [VmxMsr.IA32_VMX_VMCS_ENUM, BigInt(highestIndex) << 1n],
  [VmxMsr.IA32_VMX_EPT_VPID_CAP, EPT_VPID_CAPABILITIES],
  [VmxMsr.IA32_VMX_VMFUNC, VM_FUNCTIONS_ALLOWED],
]);

/**
 * The value of a capability MSR. IA32_VMX_PROCBASED_CTLS3 and IA32_VMX_EXIT_CTLS2 exist only with the controls
 * that they describe (SDM vol. 3, A.3.4, A.4.2), so they do not exist here.
 */
export const capabilityMsr = (index: number, cpu?: Processor): bigint | undefined =>
  cpu && index === VmxMsr.IA32_VMX_CR4_FIXED1 ? cr4Fixed1(cpu) : MSRS.get(index);

/** CR0 in VMX operation; with "unrestricted guest" PE and PG are free in non-root operation (SDM vol. 3, 24.8). */
export function cr0Allowed(value: bigint, unrestricted: boolean): boolean {
  const mustBeOne = unrestricted ? CR0_FIXED0 & ~(Cr0.PE | Cr0.PG) : CR0_FIXED0;
  return (value & mustBeOne) === mustBeOne && (value & ~CR0_FIXED1) === 0n;
}

/** CR4 in VMX operation; SMXE where there is SMX */
export const cr4Allowed = (cpu: Processor, value: bigint): boolean =>
  (value & CR4_FIXED0) === CR4_FIXED0 && (value & ~cr4Fixed1(cpu)) === 0n;

/** Bits beyond the physical-address width */
export const BEYOND_PHYSICAL = ~((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n) & 0xffff_ffff_ffff_ffffn;

/** A physical address that points to a 4-KByte page of the physical-address space */
export const isPageAddress = (address: bigint): boolean => (address & (0xfffn | BEYOND_PHYSICAL)) === 0n;

/** Bits of IA32_DEBUGCTL that this processor has: LBR and BTF */
export const DEBUGCTL_SUPPORTED = 3n;
