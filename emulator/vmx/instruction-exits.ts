import { Cr4 } from '../arch/control-registers';
import { Efer } from '../arch/control-registers';
import { Primary, Secondary } from '../arch/controls';
import { ExitReason } from '../arch/exit-reasons';
import type { Instruction } from '../isa/instruction';
import type { ExitRule } from '../isa/row';
import { hostPhysical } from '../memory/address';
import { State } from '../memory/layout';
import type { VmxCore } from './core';
import { clts, lmsw, movFromCr, movToCr } from './control-register-exits';
import {
  descriptorTableInformation,
  displacementQualification,
  instructionExit,
  invalidateInformation,
  memoryInformation,
  randomInformation,
  systemSegmentInformation,
  vmreadInformation,
} from './instruction-information';
import { portAccess } from './io-exits';
import { Slot } from './vmcs';
import { vmFunctionExits } from './vm-functions';

/**
 * Instructions that cause VM exits (SDM vol. 3, 26.1.2 and 26.1.3), a row for each rule that the instruction table
 * names. `exits` decides, and on true has filled `core.exit`. It is asked at the point of the instruction's own checks
 * where the manual puts the exit (26.1.1), so a row repeats no check of privilege.
 */
export interface InstructionExitRow {
  readonly section: string;
  /** What decides, in words */
  readonly decides: string;
  /** Secondary control without which the instruction raises #UD in non-root operation, before all else */
  readonly definedBy?: number;
  readonly exits: (core: VmxCore, insn: Instruction) => boolean;
}

const always =
  (reason: number) =>
  (core: VmxCore, insn: Instruction): boolean => {
    instructionExit(core, insn, reason);
    return true;
  };

const never = (): boolean => false;

const primary =
  (mask: number, reason: number, information?: (insn: Instruction) => number) =>
  (core: VmxCore, insn: Instruction): boolean => {
    if (!(core.vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS) & mask)) return false;
    instructionExit(core, insn, reason, 0n, information?.(insn) ?? 0);
    return true;
  };

const secondary =
  (mask: number, reason: number, information: (insn: Instruction) => number = () => 0, qualifies = false) =>
  (core: VmxCore, insn: Instruction): boolean => {
    if (!(core.secondaryControls & mask)) return false;
    instructionExit(core, insn, reason, qualifies ? displacementQualification(insn) : 0n, information(insn));
    return true;
  };

/** VMX instructions exit from non-root whatever the privilege level, but #UD comes first (SDM vol. 3, chapter 31). */
function vmxInstruction(core: VmxCore, insn: Instruction): boolean {
  const { cpu } = core;
  if (cpu.realMode || cpu.virtual8086 || ((cpu.state.efer & Efer.LMA) !== 0n && cpu.codeSize !== 64)) return false;
  const row = VMX_INSTRUCTIONS[insn.row.mnemonic];
  if (!row || (row.bitmap !== undefined && shadowed(core, insn, row.bitmap))) return false;
  instructionExit(core, insn, row.reason, displacementQualification(insn), row.information?.(insn) ?? 0);
  return true;
}

const SHADOWED_ENCODINGS = 0x8000n;

/** VMCS shadowing: an encoding whose bit in the bitmap is 0 is accessed without a VM exit (SDM vol. 3, 26.1.2). */
function shadowed(core: VmxCore, insn: Instruction, bitmap: number): boolean {
  if (!(core.secondaryControls & Secondary.VMCS_SHADOWING)) return false;
  const { cpu, vmcs } = core;
  const register = cpu.state.gpr(insn.reg);
  const encoding = cpu.codeSize === 64 ? register : register & 0xffff_ffffn;
  if (encoding >= SHADOWED_ENCODINGS) return false;
  const byte = cpu.physical.read(hostPhysical(vmcs.get64(bitmap) + (encoding >> 3n)), 1);
  return ((byte >> (encoding & 7n)) & 1n) === 0n;
}

interface VmxInstructionExit {
  readonly reason: number;
  /** Slot of the bitmap that with VMCS shadowing decides */
  readonly bitmap?: number;
  readonly information?: (insn: Instruction) => number;
}

const VMX_INSTRUCTIONS: Readonly<Record<string, VmxInstructionExit>> = {
  VMCLEAR: { reason: ExitReason.VMCLEAR, information: memoryInformation },
  VMPTRLD: { reason: ExitReason.VMPTRLD, information: memoryInformation },
  VMPTRST: { reason: ExitReason.VMPTRST, information: memoryInformation },
  VMXON: { reason: ExitReason.VMXON, information: memoryInformation },
  VMREAD: { reason: ExitReason.VMREAD, bitmap: Slot.VMREAD_BITMAP, information: vmreadInformation },
  VMWRITE: { reason: ExitReason.VMWRITE, bitmap: Slot.VMWRITE_BITMAP, information: vmreadInformation },
  INVEPT: { reason: ExitReason.INVEPT, information: invalidateInformation },
  INVVPID: { reason: ExitReason.INVVPID, information: invalidateInformation },
  VMLAUNCH: { reason: ExitReason.VMLAUNCH },
  VMRESUME: { reason: ExitReason.VMRESUME },
  VMXOFF: { reason: ExitReason.VMXOFF },
};

function invlpg(core: VmxCore, insn: Instruction): boolean {
  if (!(core.vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS) & Primary.INVLPG_EXITING)) return false;
  instructionExit(core, insn, ExitReason.INVLPG, linearAddress(core, insn));
  return true;
}

/** The operand's linear address without any check: segment base plus offset. */
function linearAddress(core: VmxCore, insn: Instruction): bigint {
  const { cpu } = core;
  const offset = cpu.linear.effectiveAddress(insn);
  if (cpu.codeSize === 64 && insn.segment < 4) return offset;
  const address = cpu.state.segmentBase(insn.segment) + offset;
  return cpu.codeSize === 64 ? BigInt.asUintN(64, address) : address & 0xffff_ffffn;
}

function invpcid(core: VmxCore, insn: Instruction): boolean {
  if (!(core.vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS) & Primary.INVLPG_EXITING)) return false;
  const information = invalidateInformation(insn);
  instructionExit(core, insn, ExitReason.INVPCID, displacementQualification(insn), information);
  return true;
}

/** The qualification tells whether MONITOR's address range was armed (SDM vol. 3, 28.2.1). */
function mwait(core: VmxCore, insn: Instruction): boolean {
  if (!(core.vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS) & Primary.MWAIT_EXITING)) return false;
  instructionExit(core, insn, ExitReason.MWAIT, BigInt(core.cpu.state.get32(State.MONITOR_ARMED)));
  return true;
}

/** PAUSE exiting, else PAUSE-loop exiting at CPL 0. Times are in TSC units (SDM vol. 3, 25.6.13). */
function pause(core: VmxCore, insn: Instruction): boolean {
  const { vmcs, cpu } = core;
  if (!(vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS) & Primary.PAUSE_EXITING)) {
    if (!(core.secondaryControls & Secondary.PAUSE_LOOP_EXITING) || cpu.cpl !== 0) return false;
    const { first, last } = core.pauseLoop;
    const { now } = cpu;
    const continues = last <= now && now - last <= BigInt(vmcs.get32(Slot.PLE_GAP));
    core.pauseLoop = { first: continues ? first : now, last: now };
    if (!continues || now - first <= BigInt(vmcs.get32(Slot.PLE_WINDOW))) return false;
  }
  instructionExit(core, insn, ExitReason.PAUSE);
  return true;
}

const MSR_RANGE = 0x2000;
const HIGH_MSRS = 0xc000_0000;

/** The MSR bitmaps: read low, read high, write low, write high, 1 KByte each (SDM vol. 3, 25.6.9). */
function msrIntercepted(core: VmxCore, index: number, write: boolean): boolean {
  const { vmcs, cpu } = core;
  if (!(vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS) & Primary.USE_MSR_BITMAPS)) return true;
  const high = index >= HIGH_MSRS;
  const bit = high ? index - HIGH_MSRS : index;
  if (bit >= MSR_RANGE) return true;
  const offset = (write ? 2048 : 0) + (high ? 1024 : 0) + (bit >>> 3);
  const byte = cpu.physical.read(hostPhysical(vmcs.get64(Slot.MSR_BITMAPS) + BigInt(offset)), 1);
  return ((byte >> BigInt(bit & 7)) & 1n) !== 0n;
}

const msr =
  (reason: number, write: boolean) =>
  (core: VmxCore, insn: Instruction): boolean => {
    const index = Number(core.cpu.state.gpr(1) & 0xffff_ffffn);
    if (!msrIntercepted(core, index, write)) return false;
    instructionExit(core, insn, reason);
    return true;
  };

function movDr(core: VmxCore, insn: Instruction): boolean {
  if (!(core.vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS) & Primary.MOV_DR_EXITING)) return false;
  const read = insn.row.helper === 'mov_from_dr';
  const qualification = (insn.reg & 7) | (read ? 1 << 4 : 0) | (insn.rm << 8);
  instructionExit(core, insn, ExitReason.MOV_DR, BigInt(qualification));
  return true;
}

function getsec(core: VmxCore, insn: Instruction): boolean {
  if ((core.cpu.state.cr4 & Cr4.SMXE) === 0n) return false;
  instructionExit(core, insn, ExitReason.GETSEC);
  return true;
}

const conditional = '26.1.3';
const unconditional = '26.1.2';

// prettier-ignore
export const INSTRUCTION_EXITS: Readonly<Record<ExitRule, InstructionExitRow>> = {
  CPUID: { section: unconditional, decides: 'always', exits: always(ExitReason.CPUID) },
  GETSEC: { section: unconditional, decides: 'always; with CR4.SMXE = 0 it raises #UD first', exits: getsec },
  INVD: { section: unconditional, decides: 'always', exits: always(ExitReason.INVD) },
  XSETBV: { section: unconditional, decides: 'always', exits: always(ExitReason.XSETBV) },
  VMX: { section: unconditional, decides: 'always; VMREAD and VMWRITE with VMCS shadowing by their bitmaps', exits: vmxInstruction },
  VMCALL: { section: unconditional, decides: 'always', exits: always(ExitReason.VMCALL) },
  VMFUNC: { section: '26.5.6', decides: 'VM-function controls, and what the function says of its arguments; #UD without enable VM functions', definedBy: Secondary.ENABLE_VM_FUNCTIONS, exits: vmFunctionExits },
  HLT: { section: conditional, decides: 'HLT exiting', exits: primary(Primary.HLT_EXITING, ExitReason.HLT) },
  INVLPG: { section: conditional, decides: 'INVLPG exiting', exits: invlpg },
  INVPCID: { section: conditional, decides: 'INVLPG exiting; #UD without enable INVPCID', definedBy: Secondary.ENABLE_INVPCID, exits: invpcid },
  MWAIT: { section: conditional, decides: 'MWAIT exiting', exits: mwait },
  MONITOR: { section: conditional, decides: 'MONITOR exiting', exits: primary(Primary.MONITOR_EXITING, ExitReason.MONITOR) },
  RDPMC: { section: conditional, decides: 'RDPMC exiting', exits: primary(Primary.RDPMC_EXITING, ExitReason.RDPMC) },
  RDTSC: { section: conditional, decides: 'RDTSC exiting', exits: primary(Primary.RDTSC_EXITING, ExitReason.RDTSC) },
  RDTSCP: { section: conditional, decides: 'RDTSC exiting; #UD without enable RDTSCP', definedBy: Secondary.ENABLE_RDTSCP, exits: primary(Primary.RDTSC_EXITING, ExitReason.RDTSCP) },
  RDRAND: { section: conditional, decides: 'RDRAND exiting', exits: secondary(Secondary.RDRAND_EXITING, ExitReason.RDRAND, randomInformation) },
  RDSEED: { section: conditional, decides: 'RDSEED exiting', exits: secondary(Secondary.RDSEED_EXITING, ExitReason.RDSEED, randomInformation) },
  PAUSE: { section: conditional, decides: 'PAUSE exiting, or PAUSE-loop exiting at CPL 0', exits: pause },
  WBINVD: { section: conditional, decides: 'WBINVD exiting', exits: secondary(Secondary.WBINVD_EXITING, ExitReason.WBINVD) },
  MOV_TO_CR: { section: conditional, decides: 'CR0/CR4 guest/host mask and read shadow; CR3-load exiting and CR3-target values; CR8-load exiting', exits: movToCr },
  MOV_FROM_CR: { section: conditional, decides: 'CR3-store exiting; CR8-store exiting', exits: movFromCr },
  CLTS: { section: conditional, decides: 'bit 3 of CR0 guest/host mask and of CR0 read shadow', exits: clts },
  LMSW: { section: conditional, decides: 'CR0 guest/host mask and read shadow, bits 3:0', exits: lmsw },
  SMSW: { section: '26.3', decides: 'never: SMSW reads CR0 through guest/host mask and read shadow', exits: never },
  MOV_DR: { section: conditional, decides: 'MOV-DR exiting', exits: movDr },
  IO: { section: conditional, decides: 'I/O bitmaps, or unconditional I/O exiting', exits: portAccess },
  RDMSR: { section: conditional, decides: 'MSR bitmaps', exits: msr(ExitReason.RDMSR, false) },
  WRMSR: { section: conditional, decides: 'MSR bitmaps', exits: msr(ExitReason.WRMSR, true) },
  GDTR_IDTR: { section: conditional, decides: 'descriptor-table exiting', exits: secondary(Secondary.DESCRIPTOR_TABLE_EXITING, ExitReason.GDTR_IDTR_ACCESS, descriptorTableInformation, true) },
  LDTR_TR: { section: conditional, decides: 'descriptor-table exiting', exits: secondary(Secondary.DESCRIPTOR_TABLE_EXITING, ExitReason.LDTR_TR_ACCESS, systemSegmentInformation, true) },
  XSAVES: { section: conditional, decides: 'XSS-exiting bitmap, of which IA32_XSS has no bit here; #UD without enable XSAVES/XRSTORS', definedBy: Secondary.ENABLE_XSAVES_XRSTORS, exits: never },
  TASK_SWITCH: { section: '26.4.2', decides: 'reported by the task switch itself', exits: never },
  RSM: { section: conditional, decides: 'outside SMM RSM raises #UD', exits: never },
};
