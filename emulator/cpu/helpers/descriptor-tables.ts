import { Cr4 } from '../../arch/control-registers';
import { Vector } from '../../arch/exceptions';
import { Access } from '../../engine/host';
import type { Instruction } from '../../isa/instruction';
import { Segment, State } from '../../memory/layout';
import {
  errorOf,
  findDescriptor,
  isCode,
  isConforming,
  isNull,
  isReadable,
  isWritableData,
  nullSegment,
  readDescriptor,
  rplOf,
  systemBase,
  type Descriptor,
} from '../descriptors';
import { isCanonical, writeRegister } from '../linear-memory';
import type { Helper, HelperTable, Processor } from '../processor';
import { Privilege } from '../translation';
import { requirePrivilege, requireProtectedMode, sizeBytes } from './operands';

const LDT = 2;
const TSS_16 = 1;
const TSS = 9;
const BUSY = 2;

/** Bytes of the base in a pseudo-descriptor: 8 in 64-bit mode, else 4, of which 16-bit operands use 3. */
const baseBytes = (insn: Instruction): 4 | 8 => (insn.codeSize === 64 ? 8 : 4);

function denyUserMode(cpu: Processor): void {
  if (cpu.state.cr4 & Cr4.UMIP && cpu.cpl !== 0) throw cpu.fault(Vector.GP, 0);
}

const loadTable =
  (register: number): Helper =>
  (cpu, insn) => {
    requirePrivilege(cpu);
    if (cpu.exits(insn)) return;
    const size = baseBytes(insn);
    const at = cpu.linear.operandAddress(insn, 2 + size);
    const limit = cpu.linear.read(at, 2);
    let base = cpu.linear.read(at + 2n, size);
    if (insn.codeSize !== 64 && insn.operandSize === 16) base &= 0xffffffn;
    if (!isCanonical(base)) throw cpu.fault(Vector.GP, 0);
    cpu.state.set64(register, base);
    cpu.state.set32(register + 8, Number(limit));
  };

const storeTable =
  (register: number): Helper =>
  (cpu, insn) => {
    denyUserMode(cpu);
    if (cpu.exits(insn)) return;
    const size = baseBytes(insn);
    const at = cpu.linear.operandAddress(insn, 2 + size, Access.Write);
    cpu.linear.check(at, 2 + size, Access.Write);
    cpu.linear.write(at, 2, BigInt(cpu.state.get32(register + 8)));
    cpu.linear.write(at + 2n, size, cpu.state.get64(register));
  };

const storeSelector =
  (segment: Segment): Helper =>
  (cpu, insn) => {
    requireProtectedMode(cpu);
    denyUserMode(cpu);
    if (cpu.exits(insn)) return;
    const value = BigInt(cpu.state.segmentSelector(segment));
    if (insn.isMemory) cpu.linear.writeRm(insn, 2, value);
    else writeRegister(cpu, insn.rm, sizeBytes(insn), value);
  };

const lldt: Helper = (cpu, insn) => {
  requireProtectedMode(cpu);
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  const selector = Number(cpu.linear.readRm(insn, 2));
  if (isNull(selector)) {
    cpu.state.setSegment(Segment.LDTR, nullSegment(selector));
    return;
  }
  const descriptor = globalDescriptor(cpu, selector);
  if (descriptor.codeOrData || descriptor.type !== LDT) throw cpu.fault(Vector.GP, errorOf(selector));
  if (!descriptor.present) throw cpu.fault(Vector.NP, errorOf(selector));
  const base = systemBase(cpu, descriptor);
  cpu.state.setSegment(Segment.LDTR, { selector, access: descriptor.access, limit: descriptor.limit, base });
};

const ltr: Helper = (cpu, insn) => {
  requireProtectedMode(cpu);
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  const selector = Number(cpu.linear.readRm(insn, 2));
  if (isNull(selector)) throw cpu.fault(Vector.GP, 0);
  const descriptor = globalDescriptor(cpu, selector);
  const available = descriptor.type === TSS || (descriptor.type === TSS_16 && !cpu.longMode);
  if (descriptor.codeOrData || !available) throw cpu.fault(Vector.GP, errorOf(selector));
  if (!descriptor.present) throw cpu.fault(Vector.NP, errorOf(selector));
  const base = systemBase(cpu, descriptor);
  const rights = ((descriptor.raw >> 40n) & 0xffn) | BigInt(BUSY);
  cpu.linear.write(descriptor.at + 5n, 1, rights, Privilege.System);
  cpu.state.setSegment(Segment.TR, { selector, access: descriptor.access | BUSY, limit: descriptor.limit, base });
};

/** LDT and TSS descriptors live in the GDT only. */
function globalDescriptor(cpu: Processor, selector: number): Descriptor {
  if (selector & 4) throw cpu.fault(Vector.GP, errorOf(selector));
  return readDescriptor(cpu, selector);
}

const setZero = (cpu: Processor, set: boolean): void => {
  const { state } = cpu;
  state.rflags = set ? state.rflags | 0x40n : state.rflags & ~0x40n;
};

/** System types that LAR and LSL accept (SDM vol. 2, LAR and LSL): gates have no limit. */
const LAR_TYPES = { legacy: [1, 2, 3, 4, 5, 9, 11, 12], long: [2, 9, 11, 12] };
const LSL_TYPES = { legacy: [1, 2, 3, 9, 11], long: [2, 9, 11] };

/** The descriptor when the program may see it: by type, and by privilege unless it is conforming code. */
function visible(cpu: Processor, selector: number, types: typeof LAR_TYPES): Descriptor | undefined {
  if (isNull(selector)) return undefined;
  const descriptor = findDescriptor(cpu, selector);
  if (!descriptor) return undefined;
  if (!descriptor.codeOrData && !(cpu.longMode ? types.long : types.legacy).includes(descriptor.type)) return undefined;
  if (isCode(descriptor) && isConforming(descriptor)) return descriptor;
  return cpu.cpl > descriptor.dpl || rplOf(selector) > descriptor.dpl ? undefined : descriptor;
}

const lar: Helper = (cpu, insn) => {
  requireProtectedMode(cpu);
  const selector = Number(cpu.linear.readRm(insn, 2));
  const descriptor = visible(cpu, selector, LAR_TYPES);
  if (descriptor) writeRegister(cpu, insn.reg, sizeBytes(insn), (descriptor.raw >> 32n) & 0x00ffff00n);
  setZero(cpu, descriptor !== undefined);
};

const lsl: Helper = (cpu, insn) => {
  requireProtectedMode(cpu);
  const selector = Number(cpu.linear.readRm(insn, 2));
  const descriptor = visible(cpu, selector, LSL_TYPES);
  if (descriptor) writeRegister(cpu, insn.reg, sizeBytes(insn), BigInt(descriptor.limit));
  setZero(cpu, descriptor !== undefined);
};

const verify =
  (suits: (descriptor: Descriptor) => boolean): Helper =>
  (cpu, insn) => {
    requireProtectedMode(cpu);
    const selector = Number(cpu.linear.readRm(insn, 2));
    const descriptor = visible(cpu, selector, { legacy: [], long: [] });
    setZero(cpu, descriptor !== undefined && suits(descriptor));
  };

export const descriptorTableHelpers: HelperTable = {
  lgdt: loadTable(State.GDTR),
  lidt: loadTable(State.IDTR),
  sgdt: storeTable(State.GDTR),
  sidt: storeTable(State.IDTR),
  lldt,
  ltr,
  sldt: storeSelector(Segment.LDTR),
  str: storeSelector(Segment.TR),
  lar,
  lsl,
  verr: verify(isReadable),
  verw: verify(isWritableData),
};
