import { Cr0 } from '../arch/control-registers';
import { Primary } from '../arch/controls';
import { ExitReason } from '../arch/exit-reasons';
import type { Instruction } from '../isa/instruction';
import type { VmxCore } from './core';
import { instructionExit } from './instruction-information';
import { Slot } from './vmcs';

/** Exit qualification, bits 5:4: how the register was accessed (SDM vol. 3, table 28-3) */
const AccessType = { MOV_TO_CR: 0, MOV_FROM_CR: 1, CLTS: 2, LMSW: 3 } as const;
const LMSW_MEMORY = 1 << 6;
const MACHINE_STATUS_WORD = 0xfn;
const CR3_TARGETS = [
  Slot.CR3_TARGET_VALUE_0,
  Slot.CR3_TARGET_VALUE_1,
  Slot.CR3_TARGET_VALUE_2,
  Slot.CR3_TARGET_VALUE_3,
] as const;

const accessQualification = (register: number, type: number, gpr: number): bigint =>
  BigInt(register | (type << 4) | (gpr << 8));

/** MOV to CR0, CR3, CR4, CR8. `insn.reg` is the control register, `insn.rm` the general one. */
export function movToCr(core: VmxCore, insn: Instruction): boolean {
  const { cpu } = core;
  const source = cpu.state.gpr(insn.rm);
  const value = cpu.codeSize === 64 ? source : source & 0xffff_ffffn;
  if (!movToCrIntercepted(core, insn.reg, value)) return false;
  instructionExit(core, insn, ExitReason.CR_ACCESS, accessQualification(insn.reg, AccessType.MOV_TO_CR, insn.rm));
  return true;
}

function movToCrIntercepted(core: VmxCore, register: number, value: bigint): boolean {
  const { vmcs } = core;
  const controls = vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS);
  switch (register) {
    case 0:
      return ((value ^ vmcs.get64(Slot.CR0_READ_SHADOW)) & vmcs.get64(Slot.CR0_GUEST_HOST_MASK)) !== 0n;
    case 3:
      return (controls & Primary.CR3_LOAD_EXITING) !== 0 && !isCr3Target(core, value);
    case 4:
      return ((value ^ vmcs.get64(Slot.CR4_READ_SHADOW)) & vmcs.get64(Slot.CR4_GUEST_HOST_MASK)) !== 0n;
    case 8:
      return (controls & Primary.CR8_LOAD_EXITING) !== 0;
    default:
      return false;
  }
}

function isCr3Target(core: VmxCore, value: bigint): boolean {
  const count = core.vmcs.get32(Slot.CR3_TARGET_COUNT);
  return CR3_TARGETS.some((slot, i) => i < count && core.vmcs.get64(slot) === value);
}

export function movFromCr(core: VmxCore, insn: Instruction): boolean {
  const controls = core.vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS);
  const mask = insn.reg === 3 ? Primary.CR3_STORE_EXITING : insn.reg === 8 ? Primary.CR8_STORE_EXITING : 0;
  if (!(controls & mask)) return false;
  instructionExit(core, insn, ExitReason.CR_ACCESS, accessQualification(insn.reg, AccessType.MOV_FROM_CR, insn.rm));
  return true;
}

/** CLTS exits when the host owns TS and the guest believes it set; otherwise it changes only a TS of its own. */
export function clts(core: VmxCore, insn: Instruction): boolean {
  const owned = core.vmcs.get64(Slot.CR0_GUEST_HOST_MASK) & core.vmcs.get64(Slot.CR0_READ_SHADOW);
  if ((owned & Cr0.TS) === 0n) return false;
  instructionExit(core, insn, ExitReason.CR_ACCESS, accessQualification(0, AccessType.CLTS, 0));
  return true;
}

/** LMSW writes bits 3:0 of CR0 but never clears PE: an owned PE matters only when it would be set. */
export function lmsw(core: VmxCore, insn: Instruction): boolean {
  const { vmcs, cpu } = core;
  const value = cpu.linear.readRm(insn, 2);
  const mask = vmcs.get64(Slot.CR0_GUEST_HOST_MASK) & MACHINE_STATUS_WORD;
  let differing = (value ^ vmcs.get64(Slot.CR0_READ_SHADOW)) & mask;
  if ((value & Cr0.PE) === 0n) differing &= ~Cr0.PE;
  if (differing === 0n) return false;
  const qualification =
    accessQualification(0, AccessType.LMSW, 0) | BigInt(insn.isMemory ? LMSW_MEMORY : 0) | (value << 16n);
  instructionExit(core, insn, ExitReason.CR_ACCESS, qualification);
  if (insn.isMemory) core.exit.guestLinear = cpu.linear.operandAddress(insn, 2);
  return true;
}
