import { Cr0, Cr4 } from '../../arch/control-registers';
import { Vector } from '../../arch/exceptions';
import { Rflags } from '../../arch/flags';
import { State } from '../../memory/layout';
import { writeCr0, writeCr3, writeCr4 } from '../control-registers';
import { writeRegister } from '../linear-memory';
import type { Helper, HelperTable, Processor } from '../processor';
import { requirePrivilege, sizeBytes } from './operands';

const DR_BD = 0x2000n;
const DR7_GD = 0x2000n;
/** DR6 bits that read as 1, DR7 bit 10 (SDM vol. 3, 17.2.3 and 17.2.4) */
const DR6_FIXED = 0xffff0ff0n;
const DR6_WRITABLE = 0xe00fn;
const DR7_FIXED = 0x400n;
const DR7_CLEAR = 0xd800n;

const registerSize = (cpu: Processor): 4 | 8 => (cpu.codeSize === 64 ? 8 : 4);

function readControl(cpu: Processor, number: number): bigint {
  const { state, virtualization } = cpu;
  switch (number) {
    case 0:
      return virtualization.nonRoot ? virtualization.readCr0() : state.cr0;
    case 2:
      return state.cr2;
    case 3:
      return state.cr3;
    case 4:
      return virtualization.nonRoot ? virtualization.readCr4() : state.cr4;
    case 8:
      return BigInt(virtualization.apic?.readTaskPriority() ?? cpu.interrupts.taskPriority);
    default:
      throw cpu.fault(Vector.UD);
  }
}

function existing(cpu: Processor, number: number): void {
  const known = number === 0 || number === 2 || number === 3 || number === 4 || (number === 8 && cpu.codeSize === 64);
  if (!known) throw cpu.fault(Vector.UD);
}

const movFromCr: Helper = (cpu, insn) => {
  existing(cpu, insn.reg);
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  writeRegister(cpu, insn.rm, registerSize(cpu), readControl(cpu, insn.reg));
};

const movToCr: Helper = (cpu, insn) => {
  existing(cpu, insn.reg);
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  const value = BigInt.asUintN(registerSize(cpu) * 8, cpu.state.gpr(insn.rm));
  switch (insn.reg) {
    case 0:
      writeCr0(cpu, value);
      return;
    case 2:
      cpu.state.cr2 = value;
      return;
    case 3:
      writeCr3(cpu, value);
      return;
    case 4:
      writeCr4(cpu, value);
      return;
    default:
      if (value & ~0xfn) throw cpu.fault(Vector.GP, 0);
      if (!cpu.virtualization.apic?.writeTaskPriority(Number(value))) cpu.interrupts.taskPriority = Number(value);
  }
};

const clts: Helper = (cpu, insn) => {
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  writeCr0(cpu, cpu.state.cr0 & ~Cr0.TS);
};

/** LMSW: PE, MP, EM, TS, and PE can only be set (SDM vol. 2, LMSW). */
const lmsw: Helper = (cpu, insn) => {
  requirePrivilege(cpu);
  const value = cpu.linear.readRm(insn, 2);
  if (cpu.exits(insn)) return;
  writeCr0(cpu, (cpu.state.cr0 & ~0xen) | (value & 0xfn));
};

const smsw: Helper = (cpu, insn) => {
  if (cpu.state.cr4 & Cr4.UMIP && cpu.cpl !== 0) throw cpu.fault(Vector.GP, 0);
  if (cpu.exits(insn)) return;
  const value = readControl(cpu, 0);
  if (insn.isMemory) cpu.linear.writeRm(insn, 2, value & 0xffffn);
  else writeRegister(cpu, insn.rm, sizeBytes(insn), value);
};

/** State offset of a debug register; DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them undefined. */
function debugRegister(cpu: Processor, number: number): number {
  if (number > 7 || ((number === 4 || number === 5) && cpu.state.cr4 & Cr4.DE)) throw cpu.fault(Vector.UD);
  const index = number < 4 ? number : number & 1 ? 5 : 4;
  return State.DR + index * 8;
}

/** Access while DR7.GD is set raises #DB with DR6.BD (SDM vol. 3, 17.2.4). */
function generalDetect(cpu: Processor): void {
  if (cpu.state.get64(State.DR + 40) & DR7_GD) throw cpu.debugFault(DR_BD);
}

/** The VM exit of MOV DR comes before #UD for DR4 and DR5 and before the privilege check (SDM vol. 3, 26.1.3). */
const movFromDr: Helper = (cpu, insn) => {
  if (cpu.exits(insn)) return;
  const at = debugRegister(cpu, insn.reg);
  requirePrivilege(cpu);
  generalDetect(cpu);
  writeRegister(cpu, insn.rm, registerSize(cpu), cpu.state.get64(at));
};

const movToDr: Helper = (cpu, insn) => {
  if (cpu.exits(insn)) return;
  const at = debugRegister(cpu, insn.reg);
  requirePrivilege(cpu);
  generalDetect(cpu);
  let value = BigInt.asUintN(registerSize(cpu) * 8, cpu.state.gpr(insn.rm));
  if (at >= State.DR + 32 && value >> 32n) throw cpu.fault(Vector.GP, 0);
  if (at === State.DR + 32) value = (value & DR6_WRITABLE) | DR6_FIXED;
  if (at === State.DR + 40) value = (value & ~DR7_CLEAR) | DR7_FIXED;
  cpu.state.set64(at, value);
  cpu.contextChanged();
};

/** CLAC and STAC: SMAP's switch in RFLAGS.AC (SDM vol. 2). */
const setAlignment =
  (set: boolean): Helper =>
  (cpu) => {
    if (cpu.cpl !== 0) throw cpu.fault(Vector.UD);
    const { state } = cpu;
    state.rflags = set ? state.rflags | Rflags.AC : state.rflags & ~Rflags.AC;
    cpu.contextChanged();
  };

export const controlRegisterHelpers: HelperTable = {
  mov_from_cr: movFromCr,
  mov_to_cr: movToCr,
  clts,
  lmsw,
  smsw,
  mov_from_dr: movFromDr,
  mov_to_dr: movToDr,
  clac: setAlignment(false),
  stac: setAlignment(true),
};
