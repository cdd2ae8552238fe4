import { Segment, State } from '../memory/layout';

/** RFLAGS bits (SDM vol. 1, 3.4.3) that FLAGS_SYSTEM holds, and the one that is always set */
const SYSTEM = 0x3f7700;
const FIXED = 2;

/** A segment register: visible and hidden part. Access rights in VMCS format (SDM vol. 3, "Guest Register State"). */
export interface SegmentRegister {
  readonly selector: number;
  readonly access: number;
  readonly limit: number;
  readonly base: bigint;
}

/**
 * Typed access to the state block of one vCPU, wherever it lies: at address 0 while the vCPU runs, in a copy kept beside
 * while another one does. Holds no state of its own.
 */
export class CpuState {
  private view: DataView;

  /** @param memory the machine, or a copy of a state block */
  constructor(memory: { readonly view: DataView }) {
    this.view = memory.view;
  }

  /** The block lies in another memory from now on. */
  moveTo(memory: { readonly view: DataView }): void {
    this.view = memory.view;
  }

  get64(offset: number): bigint {
    return this.view.getBigUint64(offset, true);
  }

  set64(offset: number, value: bigint): void {
    this.view.setBigUint64(offset, value, true);
  }

  get32(offset: number): number {
    return this.view.getUint32(offset, true);
  }

  set32(offset: number, value: number): void {
    this.view.setUint32(offset, value >>> 0, true);
  }

  /** Copies 8 bytes inside the block. */
  copy64(to: number, from: number): void {
    this.view.setUint32(to, this.view.getUint32(from, true), true);
    this.view.setUint32(to + 4, this.view.getUint32(from + 4, true), true);
  }

  /** Adds 1 to 8 bytes. */
  increment64(offset: number): void {
    const low = (this.view.getUint32(offset, true) + 1) >>> 0;
    this.view.setUint32(offset, low, true);
    if (low === 0) this.view.setUint32(offset + 4, this.view.getUint32(offset + 4, true) + 1, true);
  }

  gpr(number: number): bigint {
    return this.get64(State.GPR + number * 8);
  }

  setGpr(number: number, value: bigint): void {
    this.set64(State.GPR + number * 8, value);
  }

  get rip(): bigint {
    return this.get64(State.RIP);
  }

  set rip(value: bigint) {
    this.set64(State.RIP, value);
  }

  get rflags(): bigint {
    const low = this.get32(State.FLAGS_RESULT);
    const high = this.get32(State.FLAGS_RESULT + 4);
    const aux = this.get32(State.FLAGS_AUX);
    let parity = (low ^ (aux >>> 8)) & 0xff;
    parity ^= parity >>> 4;
    parity ^= parity >>> 2;
    parity ^= parity >>> 1;
    const sign = (high >>> 31) ^ (aux & 1);
    const overflow = (aux ^ (aux << 1)) >>> 31;
    const arithmetic =
      (aux >>> 31) |
      ((~parity & 1) << 2) |
      (((aux >>> 3) & 1) << 4) |
      ((low | high) === 0 ? 0x40 : 0) |
      (sign << 7) |
      (overflow << 11);
    return BigInt(this.get32(State.FLAGS_SYSTEM) | arithmetic | FIXED);
  }

  set rflags(value: bigint) {
    const flags = Number(value & 0x3fffffn);
    const carry = flags & 1;
    const parity = (flags >>> 2) & 1;
    const adjust = (flags >>> 4) & 1;
    const zero = (flags >>> 6) & 1;
    const sign = (flags >>> 7) & 1;
    const overflow = (flags >>> 11) & 1;
    // Result 0 has even parity and a clear sign, result 1 odd parity and a clear sign: aux corrects the rest.
    this.set32(State.FLAGS_RESULT, zero ^ 1);
    this.set32(State.FLAGS_RESULT + 4, 0);
    const parityFix = zero ? 1 - parity : parity;
    this.set32(State.FLAGS_AUX, (carry << 31) | ((carry ^ overflow) << 30) | (parityFix << 8) | (adjust << 3) | sign);
    this.set32(State.FLAGS_SYSTEM, flags & SYSTEM);
  }

  segment(segment: Segment): SegmentRegister {
    const at = State.SEGMENTS + segment * 32;
    return {
      selector: this.view.getUint16(at, true),
      access: this.get32(at + 4),
      limit: this.get32(at + 8),
      base: this.get64(at + 16),
    };
  }

  setSegment(segment: Segment, value: SegmentRegister): void {
    const at = State.SEGMENTS + segment * 32;
    this.view.setUint16(at, value.selector, true);
    this.set32(at + 4, value.access);
    this.set32(at + 8, value.limit);
    this.set64(at + 16, value.base);
  }

  segmentSelector(segment: Segment): number {
    return this.view.getUint16(State.SEGMENTS + segment * 32, true);
  }

  segmentAccess(segment: Segment): number {
    return this.get32(State.SEGMENTS + segment * 32 + 4);
  }

  segmentLimit(segment: Segment): number {
    return this.get32(State.SEGMENTS + segment * 32 + 8);
  }

  segmentBase(segment: Segment): bigint {
    return this.get64(State.SEGMENTS + segment * 32 + 16);
  }

  get cr0(): bigint {
    return this.get64(State.CR0);
  }

  set cr0(value: bigint) {
    this.set64(State.CR0, value);
  }

  get cr2(): bigint {
    return this.get64(State.CR2);
  }

  set cr2(value: bigint) {
    this.set64(State.CR2, value);
  }

  get cr3(): bigint {
    return this.get64(State.CR3);
  }

  set cr3(value: bigint) {
    this.set64(State.CR3, value);
  }

  get cr4(): bigint {
    return this.get64(State.CR4);
  }

  set cr4(value: bigint) {
    this.set64(State.CR4, value);
  }

  get efer(): bigint {
    return this.get64(State.EFER);
  }

  set efer(value: bigint) {
    this.set64(State.EFER, value);
  }

  get retired(): bigint {
    return this.get64(State.RETIRED);
  }
}
