import { Access } from '../engine/host';
import type { Instruction } from '../isa/instruction';
import { hostPhysical, linear as asLinear, type LinearAddress } from '../memory/address';
import { Segment } from '../memory/layout';
import { Vector } from '../arch/exceptions';
import { ApicAccess, ExitKind, type EptFault, type Processor } from './processor';
import { APIC_PAGE, DEVICE, eptFaultKind, FAULT, FaultKind, Privilege, type Translation } from './translation';
import { segmentFault } from './segment-access';

const ADDRESS_16 = 0xffffn;
const ADDRESS_32 = 0xffffffffn;
const NO_REGISTER = -1;

export { Privilege };

/**
 * Memory as helpers use it: every access is translated and checked, and a failed one is thrown (an exception, or the
 * sentinel after an EPT exit). Addresses are linear: segmentation is applied by `operandAddress` and `segmentAddress`.
 * Without `privilege` the access is made with the current privilege level; Privilege.System is an implicit
 * supervisor access (descriptor tables, TSS; SDM vol. 3, 4.6).
 */
export class LinearMemory {
  constructor(
    private readonly cpu: Processor,
    private readonly translation: Translation,
  ) {}

  /** @param size 1, 2, 4 or 8 bytes; the result is zero-extended */
  read(linear: bigint, size: number, privilege: Privilege = Privilege.Current): bigint {
    const address = this.canonical(linear);
    if (crossesPage(address, size)) {
      let value = 0n;
      this.checkParts(address, size, Access.Read, privilege);
      this.requireAlignment(address, size, privilege);
      for (let i = 0; i < size; i++) value |= this.read(this.wrap(address + BigInt(i)), 1, privilege) << BigInt(i * 8);
      return value;
    }
    const at = this.translate(address, Access.Read, privilege);
    this.requireAlignment(address, size, privilege);
    if (at === APIC_PAGE)
      return this.cpu.virtualization.apic?.readPage(pageOffset(address), size) ?? this.refuseApic(address, Access.Read);
    if (at === DEVICE) return this.cpu.physical.read(hostPhysical(BigInt(this.translation.deviceAddress)), size);
    this.cpu.physical.memory.accessWatch?.reading(at, size);
    this.translation.secrecy?.reading(at, size);
    return this.translation.load(at, size);
  }

  write(linear: bigint, size: number, value: bigint, privilege: Privilege = Privilege.Current): void {
    const address = this.canonical(linear);
    if (crossesPage(address, size)) {
      this.checkParts(address, size, Access.Write, privilege);
      this.requireAlignment(address, size, privilege);
      for (let i = 0; i < size; i++) this.write(this.wrap(address + BigInt(i)), 1, value >> BigInt(i * 8), privilege);
      return;
    }
    const at = this.translate(address, Access.Write, privilege);
    this.requireAlignment(address, size, privilege);
    if (at === APIC_PAGE) {
      if (!this.cpu.virtualization.apic?.writePage(pageOffset(address), size, value))
        this.refuseApic(address, Access.Write);
    } else if (at === DEVICE)
      this.cpu.physical.write(hostPhysical(BigInt(this.translation.deviceAddress)), size, value);
    else this.translation.store(at, size, BigInt.asUintN(size * 8, value));
  }

  /** Alignment comes after the page (SDM vol. 3, table 6-2), and only for accesses of the program itself. */
  private requireAlignment(address: bigint, size: number, privilege: Privilege): void {
    if (!this.translation.alignmentChecked || privilege !== Privilege.Current) return;
    if (Number(address & 15n) & (size - 1)) throw this.cpu.fault(Vector.AC, 0);
  }

  /** Raises whatever an access to these bytes would raise, and changes nothing but accessed and dirty flags. */
  check(linear: bigint, size: number, access: Access, privilege: Privilege = Privilege.Current): void {
    const address = this.canonical(linear);
    this.translate(address, access, privilege);
    const last = this.wrap(address + BigInt(size - 1));
    if (crossesPage(address, size)) this.translate(this.canonical(last) & ~0xfffn, access, privilege);
  }

  /** `check` for a write whose value has side effects to be had: it also fails where the APIC-access page would refuse it. */
  checkWrite(linear: bigint, size: number): void {
    const address = this.canonical(linear);
    if (crossesPage(address, size)) this.checkParts(address, size, Access.Write, Privilege.Current);
    else if (this.translate(address, Access.Write, Privilege.Current) === APIC_PAGE) {
      if (!this.cpu.virtualization.apic?.writesPage(pageOffset(address), size)) this.refuseApic(address, Access.Write);
    }
  }

  /** `check` for an access that crosses pages: none of its parts is virtualized when it is on the APIC-access page. */
  private checkParts(address: bigint, size: number, access: Access, privilege: Privilege): void {
    const last = this.canonical(this.wrap(address + BigInt(size - 1))) & ~0xfffn;
    for (const part of [address, last])
      if (this.translate(part, access, privilege) === APIC_PAGE) this.refuseApic(part, access);
  }

  /** The offset part of a memory operand, truncated to the address size. */
  effectiveAddress(insn: Instruction): bigint {
    const { state } = this.cpu;
    let offset = insn.displacement;
    if (insn.ripRelative) offset += insn.rip + BigInt(insn.length);
    if (insn.base !== NO_REGISTER) offset += state.gpr(insn.base);
    if (insn.index !== NO_REGISTER) offset += state.gpr(insn.index) << BigInt(insn.scale);
    return truncate(offset, insn.addressSize);
  }

  /** Segmentation of a memory operand: the linear address, after the checks of the segment (#GP, #SS). */
  operandAddress(insn: Instruction, size: number, access: Access = Access.Read): LinearAddress {
    return this.segmentAddress(insn.segment, this.effectiveAddress(insn), size, access);
  }

  /**
   * Linear address of `size` bytes at an offset of a segment. Raises #GP(0), or #SS(0) for SS, when the limit, type,
   * null or canonical check fails (SDM vol. 3, 5.3 and 5.5; vol. 1, 3.3.7.1).
   */
  segmentAddress(segment: Segment, offset: bigint, size: number, access: Access = Access.Read): LinearAddress {
    const { state } = this.cpu;
    const base = state.segmentBase(segment);
    if (this.cpu.codeSize === 64) {
      const address = segment === Segment.FS || segment === Segment.GS ? base + offset : offset;
      const linear = asLinear(address);
      if (!isCanonical(linear) || !isCanonical(linear + BigInt(size - 1)))
        throw this.cpu.fault(segment === Segment.SS ? Vector.SS : Vector.GP, 0);
      return linear;
    }
    if (segmentFault(this.cpu, segment, offset, size, access))
      throw this.cpu.fault(segment === Segment.SS ? Vector.SS : Vector.GP, 0);
    return asLinear((base + offset) & ADDRESS_32);
  }

  /** Reads the memory or register operand `rm` of `size` bytes, zero-extended. */
  readRm(insn: Instruction, size: number): bigint {
    if (insn.isMemory) return this.read(this.operandAddress(insn, size), size);
    return BigInt.asUintN(size * 8, this.cpu.state.gpr(insn.rm));
  }

  /** Writes the memory or register operand `rm`; a 4-byte register write clears the upper half. */
  writeRm(insn: Instruction, size: number, value: bigint): void {
    if (insn.isMemory) this.write(this.operandAddress(insn, size, Access.Write), size, value);
    else writeRegister(this.cpu, insn.rm, size, value);
  }

  private translate(address: bigint, access: Access, privilege: Privilege): number {
    const at = this.translation.translate(address, access, privilege);
    if (at === FAULT) this.raise();
    return at;
  }

  private refuseApic(address: bigint, access: Access): never {
    this.translation.refuseApicAccess(address, access === Access.Write ? ApicAccess.WRITE : ApicAccess.READ);
    this.raise();
  }

  /** Throws what the translation recorded. */
  private raise(): never {
    const { fault } = this.translation;
    if (fault.kind === FaultKind.Exception) {
      if (fault.vector === (Vector.PF as number)) throw this.cpu.pageFault(fault.linear, fault.errorCode);
      throw this.cpu.fault(fault.vector, fault.errorCode);
    }
    if (fault.kind === FaultKind.ApicAccess)
      throw raiseApicAccess(this.cpu, fault.qualification, this.cpu.engine.instruction.length);
    throw raiseEptFault(this.cpu, {
      kind: eptFaultKind(fault.kind),
      convertible: fault.convertible,
      guestPhysical: BigInt(fault.guestPhysical),
      linear: fault.linear,
      qualification: BigInt(fault.qualification),
    });
  }

  private canonical(linear: bigint): bigint {
    const address = BigInt.asUintN(64, linear);
    if (this.cpu.longMode && !isCanonical(address)) throw this.cpu.fault(Vector.GP, 0);
    return address;
  }

  private wrap(linear: bigint): bigint {
    return this.cpu.longMode ? BigInt.asUintN(64, linear) : linear & ADDRESS_32;
  }
}

/** Reports an EPT fault to VT-x; the result, the VM exit or #VE, is to be thrown. */
export function raiseEptFault(cpu: Processor, fault: EptFault): Error {
  switch (cpu.virtualization.eptFault(fault)) {
    case ExitKind.Taken:
      return cpu.exitTaken();
    case ExitKind.VirtualizationException:
      return cpu.fault(Vector.VE);
    case ExitKind.None:
    case ExitKind.Handled:
      break;
  }
  throw new Error('an EPT fault outside VMX non-root operation');
}

/** Reports an access to the APIC-access page that is not virtualized; the result is to be thrown. */
export function raiseApicAccess(cpu: Processor, qualification: number, instructionLength: number): Error {
  if (cpu.virtualization.apicAccess(qualification, instructionLength) === ExitKind.Taken) return cpu.exitTaken();
  throw new Error('an APIC access outside VMX non-root operation');
}

/** Writes a general register as an instruction of this operand size (bytes) does: 4 bytes zero-extend, 1 and 2 merge. */
export function writeRegister(cpu: Processor, number: number, size: number, value: bigint): void {
  const { state } = cpu;
  if (size >= 4) state.setGpr(number, BigInt.asUintN(size * 8, value));
  else {
    const mask = (1n << BigInt(size * 8)) - 1n;
    state.setGpr(number, (state.gpr(number) & ~mask) | (value & mask));
  }
}

/** Bits 63:47 all equal (4-level paging; SDM vol. 1, 3.3.7.1). */
export const isCanonical = (linear: bigint): boolean => BigInt.asIntN(48, linear) === BigInt.asIntN(64, linear);

const pageOffset = (linear: bigint): number => Number(linear & 0xfffn);
const crossesPage = (linear: bigint, size: number): boolean => Number(linear & 0xfffn) + size > 4096;

export const truncate = (offset: bigint, addressSize: 16 | 32 | 64): bigint =>
  addressSize === 64 ? BigInt.asUintN(64, offset) : addressSize === 32 ? offset & ADDRESS_32 : offset & ADDRESS_16;
