import { PHYSICAL_ADDRESS_BITS } from '../arch/address-width';
import { isCapabilityMsr } from '../arch/capability-msrs';
import { FIXED_MTRRS, Msr, MTRR_CAPABILITIES, VARIABLE_MTRR_PAIRS } from '../arch/msrs';
import { X2APIC_MSRS } from '../arch/x2apic-msrs';
import { Segment, State } from '../memory/layout';
import { writeApicBase } from './apic-base';
import { writeEfer } from './control-registers';
import { isCanonical } from './linear-memory';
import type { Processor } from './processor';

/** How one MSR behaves. A write that returns false raises #GP(0). */
interface MsrRow {
  /** undefined: RDMSR raises #GP(0) */
  readonly read: (cpu: Processor) => bigint | undefined;
  readonly write: (cpu: Processor, value: bigint) => boolean;
}

const BITS_63_32 = 0xffffffff00000000n;
const BEYOND_PHYSICAL = ~((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n);
/** Fast strings, automatic thermal control, performance monitoring, enhanced SpeedStep and the like: kept as written */
const MISC_ENABLE_RESERVED = ~0x400c51889n;
/** LBR and BTF */
const DEBUGCTL_RESERVED = ~3n;
const MTRR_DEF_TYPE_RESERVED = ~0xcffn;

const readOnly = (value: bigint): MsrRow => ({ read: () => value, write: () => false });
const zero: MsrRow = { read: () => 0n, write: (_cpu, value) => value === 0n };

/** An MSR kept in the state block; `reserved` bits must be 0. */
const kept = (offset: number, reserved = 0n): MsrRow => ({
  read: (cpu) => cpu.state.get64(offset),
  write: (cpu, value) => {
    if (value & BigInt.asUintN(64, reserved)) return false;
    cpu.state.set64(offset, value);
    return true;
  },
});

const keptAddress = (offset: number): MsrRow => ({
  read: (cpu) => cpu.state.get64(offset),
  write: (cpu, value) => {
    if (!isCanonical(value)) return false;
    cpu.state.set64(offset, value);
    return true;
  },
});

/** Memory types of MTRRs: UC, WC, WT, WP, WB; the PAT knows UC- besides (SDM vol. 3, 12.11.2.1 and table 12-10). */
const mtrrType = (type: number): boolean => type === 0 || type === 1 || (type >= 4 && type <= 6);
const patType = (type: number): boolean => mtrrType(type) || type === 7;

const typesInBytes = (offset: number, legal: (type: number) => boolean): MsrRow => ({
  read: (cpu) => cpu.state.get64(offset),
  write: (cpu, value) => {
    for (let shift = 0n; shift < 64n; shift += 8n) if (!legal(Number((value >> shift) & 0xffn))) return false;
    cpu.state.set64(offset, value);
    return true;
  },
});

const mtrrBase = (offset: number): MsrRow => ({
  read: (cpu) => cpu.state.get64(offset),
  write: (cpu, value) => {
    if (value & BigInt.asUintN(64, BEYOND_PHYSICAL | 0xf00n) || !mtrrType(Number(value & 0xffn))) return false;
    cpu.state.set64(offset, value);
    return true;
  },
});

const segmentBase = (segment: Segment): MsrRow => keptAddress(State.SEGMENTS + segment * 32 + 16);

const rows = new Map<number, MsrRow>([
  [
    Msr.IA32_TIME_STAMP_COUNTER,
    {
      // Without the VM's offset when written; RDMSR of the TSC applies it as RDTSC does (SDM vol. 3, 26.3).
      read: (cpu) => cpu.tsc,
      write: (cpu, value) => {
        cpu.state.set64(State.TSC_ADJUST, value - cpu.now);
        return true;
      },
    },
  ],
  [Msr.IA32_P5_MC_ADDR, zero],
  [Msr.IA32_P5_MC_TYPE, zero],
  // Machine-check architecture without banks (SDM vol. 3, 16.3): nothing here detects errors.
  [Msr.IA32_MCG_CAP, readOnly(0n)],
  [Msr.IA32_MCG_STATUS, kept(State.MCG_STATUS, ~7n)],
  [Msr.IA32_TSC_ADJUST, kept(State.TSC_ADJUST)],
  [Msr.IA32_PLATFORM_ID, readOnly(0n)],
  [Msr.IA32_APIC_BASE, { read: (cpu) => cpu.state.get64(State.APIC_BASE), write: writeApicBase }],
  [
    Msr.IA32_FEATURE_CONTROL,
    {
      read: (cpu) => cpu.state.get64(State.FEATURE_CONTROL),
      write: (cpu, value) => {
        const defined = cpu.saferMode ? 0xff07n : 7n;
        if (cpu.state.get64(State.FEATURE_CONTROL) & 1n || value & ~defined) return false;
        cpu.state.set64(State.FEATURE_CONTROL, value);
        return true;
      },
    },
  ],
  // Microcode revision: software writes 0, executes CPUID and reads it back (SDM vol. 3, 10.11.7.1).
  [Msr.IA32_BIOS_SIGN_ID, { read: () => 0n, write: () => true }],
  [Msr.IA32_MTRRCAP, readOnly(MTRR_CAPABILITIES)],
  [Msr.IA32_SYSENTER_CS, kept(State.SYSENTER_CS, BITS_63_32)],
  [Msr.IA32_SYSENTER_ESP, keptAddress(State.SYSENTER_ESP)],
  [Msr.IA32_SYSENTER_EIP, keptAddress(State.SYSENTER_EIP)],
  [Msr.IA32_MISC_ENABLE, kept(State.MISC_ENABLE, MISC_ENABLE_RESERVED)],
  [Msr.IA32_DEBUGCTL, kept(State.DEBUGCTL, DEBUGCTL_RESERVED)],
  [Msr.IA32_PAT, typesInBytes(State.PAT, patType)],
  [
    Msr.IA32_MTRR_DEF_TYPE,
    {
      read: (cpu) => cpu.state.get64(State.MTRR_DEF_TYPE),
      write: (cpu, value) => {
        const reserved = value & BigInt.asUintN(64, MTRR_DEF_TYPE_RESERVED);
        if (reserved || !mtrrType(Number(value & 0xffn))) return false;
        cpu.state.set64(State.MTRR_DEF_TYPE, value);
        return true;
      },
    },
  ],
  [
    Msr.IA32_TSC_DEADLINE,
    {
      read: (cpu) => cpu.interrupts.tscDeadline ?? 0n,
      write: (cpu, value) => {
        if (cpu.interrupts.tscDeadline === undefined) return false;
        cpu.interrupts.tscDeadline = value;
        return true;
      },
    },
  ],
  [Msr.IA32_XSS, { read: () => 0n, write: (_cpu, value) => value === 0n }],
  [Msr.IA32_EFER, { read: (cpu) => cpu.state.efer, write: writeEfer }],
  [Msr.IA32_STAR, kept(State.STAR)],
  [Msr.IA32_LSTAR, keptAddress(State.LSTAR)],
  [Msr.IA32_CSTAR, keptAddress(State.CSTAR)],
  [Msr.IA32_FMASK, kept(State.FMASK, BITS_63_32)],
  [Msr.IA32_FS_BASE, segmentBase(Segment.FS)],
  [Msr.IA32_GS_BASE, segmentBase(Segment.GS)],
  [Msr.IA32_KERNEL_GS_BASE, keptAddress(State.KERNEL_GS_BASE)],
  [Msr.IA32_TSC_AUX, kept(State.TSC_AUX, BITS_63_32)],
]);
for (let pair = 0; pair < VARIABLE_MTRR_PAIRS; pair++) {
  const offset = State.MTRR + pair * 16;
  rows.set(Msr.IA32_MTRR_PHYSBASE0 + pair * 2, mtrrBase(offset));
  rows.set(Msr.IA32_MTRR_PHYSBASE0 + pair * 2 + 1, kept(offset + 8, BEYOND_PHYSICAL | 0x7ffn));
}
FIXED_MTRRS.forEach((index, position) => {
  rows.set(index, typesInBytes(State.MTRR + (VARIABLE_MTRR_PAIRS * 2 + position) * 8, mtrrType));
});
// Registers of the local APIC: whether they exist now depends on its mode.
for (const { index } of Object.values(X2APIC_MSRS)) {
  rows.set(index, {
    read: (cpu) => cpu.interrupts.localApic?.readMsr(index),
    write: (cpu, value) => cpu.interrupts.localApic?.writeMsr(index, value) ?? false,
  });
}

function rowOf(cpu: Processor, index: number): MsrRow | undefined {
  const row = rows.get(index);
  if (index === Msr.IA32_FEATURE_CONTROL && !cpu.virtualization.present) return undefined;
  if (row) return row;
  if (!isCapabilityMsr(index)) return undefined;
  const value = cpu.virtualization.readMsr(index);
  return value === undefined ? undefined : readOnly(value);
}

/** The value that RDMSR reads, or undefined when it must raise #GP(0). Also for VMX's MSR lists. */
export const readMsr = (cpu: Processor, index: number): bigint | undefined => rowOf(cpu, index)?.read(cpu);

/** Writes as WRMSR does; false, with nothing changed, when it must raise #GP(0). Also for VMX's MSR lists. */
export const writeMsr = (cpu: Processor, index: number, value: bigint): boolean =>
  rowOf(cpu, index)?.write(cpu, value) ?? false;
