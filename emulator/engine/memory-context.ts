import { SegmentUse, typeOf, type Width } from '../isa/context';
import { parseOperandCode } from '../isa/operand';
import { Segment, State, TLB_ADDEND, TLB_READ, TLB_WRITE } from '../memory/layout';
import { i32, i64, type Value } from '../wasm/expression';
import { I32, I64, Op, type ValueType } from '../wasm/opcodes';
import { Field } from './record';
import { LOAD, RecordContext, STORE } from './record-context';
import { BOUNDS_SIZE, Scratch, segmentSlot, SLOT_BASE, Stop } from './scratch';

const GENERAL_PROTECTION = 13;
const STACK_FAULT = 12;

/** The part of a handler's context that accesses memory: address calculation, segmentation, the inline TLB. */
export abstract class MemoryContext extends RecordContext {
  private displacement: Value | undefined;
  protected operandAddress: Value | undefined;
  /** Wasm address of the operand that is being modified, 0 when it must go by the slow path */
  private hostAddress: Value | undefined;

  // Operands

  isMemory(operand: number): boolean {
    const { kind } = parseOperandCode(this.operandCode(operand));
    return kind === 'M' || kind === 'O' || (kind === 'E' && this.variant.memory !== 'none');
  }

  read(operand: number): Value {
    if (!this.isMemory(operand)) return this.readRegister(operand);
    const width = this.widthOf(operand);
    return this.loadLinear(this.operandLinear(width, false), width);
  }

  readForWrite(operand: number): Value {
    if (!this.isMemory(operand)) return this.readRegister(operand);
    const width = this.widthOf(operand);
    const { value, host } = this.loadForWrite(this.operandLinear(width, true), width);
    this.hostAddress = host;
    return value;
  }

  write(operand: number, value: Value): void {
    const width = this.widthOf(operand);
    if (!this.isMemory(operand)) this.pending.push({ address: this.registerAddress(operand), width, value });
    else if (this.hostAddress) this.storeHost(this.hostAddress, width, value);
    else this.storeLinear(this.operandLinear(width, true), width, value);
  }

  displaceMemory(delta: Value): void {
    this.displacement = this.f.let(delta);
    this.operandAddress = undefined;
  }

  baseIsStackPointer(): Value {
    return this.f.eq(this.field16(Field.BASE), i32(State.GPR + 4 * 8));
  }

  effectiveAddress(): Value {
    const { f } = this;
    const absolute = this.row.operands.some((code) => parseOperandCode(code).kind === 'O');
    let address: Value;
    if (absolute) address = this.field64(Field.IMMEDIATE);
    else {
      address = f.add(this.addressRegister(Field.BASE), f.signExtend(this.field32(Field.DISPLACEMENT)));
      if (this.variant.memory !== 'base') {
        const index = this.addressRegister(Field.INDEX);
        address = f.add(address, f.shl(index, f.zeroExtend(this.field8(Field.SCALE))));
      }
    }
    if (this.displacement) address = f.add(address, this.displacement);
    return this.wrapOffset(address, this.addressSize);
  }

  /** The base or index register of the memory operand; i64 */
  protected addressRegister(field: number): Value {
    return this.f.load64(this.field16(field));
  }

  protected operandLinear(width: Width, forWrite: boolean): Value {
    const plain = this.variant.memory === 'base' || this.variant.memory === 'index';
    const offset = this.effectiveAddress();
    this.operandAddress ??= this.f.copy(plain ? offset : this.linear(SegmentUse.Operand, offset, width, forWrite));
    return this.operandAddress;
  }

  // Memory

  load(segment: SegmentUse, offset: Value, width: Width): Value {
    return this.loadLinear(this.linear(segment, offset, width, false), width);
  }

  store(segment: SegmentUse, offset: Value, width: Width, value: Value): void {
    this.storeLinear(this.linear(segment, offset, width, true), width, value);
  }

  probeForWrite(segment: SegmentUse, offset: Value, width: Width): void {
    this.loadForWrite(this.linear(segment, offset, width, true), width);
  }

  /** The linear address of an offset: SDM vol. 3, 3.4; 64-bit mode: only FS and GS have a base, nothing is checked. */
  private linear(segment: SegmentUse, offset: Value, width: Width, forWrite: boolean): Value {
    const { f } = this;
    if (this.longMode) {
      if (segment !== SegmentUse.Operand) return offset;
      const slot = f.shl(this.field8(Field.SEGMENT), i32(3));
      return f.add(offset, f.load64(slot, SLOT_BASE));
    }
    const bound = f.let(offset);
    const first = segmentSlot(Segment.ES);
    const number = segment === SegmentUse.ES ? Segment.ES : segment === SegmentUse.SS ? Segment.SS : undefined;
    const slot = number === undefined ? f.let(this.field8(Field.SEGMENT)) : i32(segmentSlot(number));
    // Slots are 4 apart, bounds 16 bytes: bounds address = BOUNDS + (slot - first) * 4.
    const bounds = f.let(f.shl(f.sub(slot, i32(first)), i32(2)));
    const low = f.load(Op.i64Load32U, I64, bounds, Scratch.BOUNDS + (forWrite ? BOUNDS_SIZE / 2 : 0));
    const high = f.load(Op.i64Load32U, I64, bounds, Scratch.BOUNDS + (forWrite ? BOUNDS_SIZE / 2 : 0) + 4);
    const outside = f.or(f.ltU(bound, low), f.gtU(f.add(bound, i64(width / 8 - 1)), high));
    f.if(outside);
    const stack = f.eq(slot, i32(segmentSlot(Segment.SS)));
    this.raise(f.select(stack, i32(STACK_FAULT), i32(GENERAL_PROTECTION)), 0);
    f.end();
    const base = f.load64(f.shl(slot, i32(3)), SLOT_BASE);
    return f.and(f.add(bound, base), i64(0xffffffff));
  }

  /**
   * The TLB entry of an address and whether an access of that width hits: one comparison covers presence, permission
   * and page crossing, since the last byte's page is compared with the entry of the first.
   */
  private probe(linear: Value, width: Width, tag: number): { hit: Value; host: Value } {
    const { f } = this;
    const bank = f.load32(i32(State.TLB_BANK));
    const entry = f.let(f.add(bank, f.and(f.shrU(f.wrap(linear), i32(7)), i32(0x7fe0))));
    const last = width > 8 ? f.add(linear, i64(width / 8 - 1)) : linear;
    return {
      hit: f.eq(f.load64(entry, tag), f.and(last, i64(-4096))),
      host: f.add(f.wrap(linear), f.load32(entry, TLB_ADDEND)),
    };
  }

  protected loadLinear(address: Value, width: Width): Value {
    const { f } = this;
    const type = typeOf(width);
    const linear = f.let(address);
    const { hit, host } = this.probe(linear, width, TLB_READ);
    f.if(hit, type);
    f.emit(f.load(LOAD[width], type, host));
    f.else();
    this.callSlowLoad(linear, width, false, type);
    f.end();
    return f.pop(type);
  }

  protected loadForWrite(address: Value, width: Width): { value: Value; host: Value } {
    const { f } = this;
    const type = typeOf(width);
    const linear = f.let(address);
    const { hit, host } = this.probe(linear, width, TLB_WRITE);
    const hostLocal = f.temporary(I32);
    f.if(hit, type);
    f.set(hostLocal, host);
    f.emit(f.load(LOAD[width], type, f.local(hostLocal)));
    f.else();
    f.set(hostLocal, i32(0));
    this.callSlowLoad(linear, width, true, type);
    f.end();
    return { value: f.pop(type), host: f.local(hostLocal) };
  }

  /** Leaves the loaded value on the stack. */
  protected callSlowLoad(linear: Value, width: Width, forWrite: boolean, type: ValueType): void {
    const { f } = this;
    f.call(this.frame.slowLoad, linear, i32(width / 8), i32(forWrite ? 1 : 0));
    if (type === I32) f.code.byte(Op.i32Wrap);
    this.leaveOnFault();
  }

  protected storeLinear(address: Value, width: Width, value: Value): void {
    const { f } = this;
    const linear = f.let(address);
    const bound = f.let(value);
    const { hit, host } = this.probe(linear, width, TLB_WRITE);
    f.if(hit);
    f.store(STORE[width], host, bound);
    f.else();
    f.call(this.frame.slowStore, linear, i32(width / 8), f.zeroExtend(bound));
    this.leaveOnFault();
    f.end();
  }

  protected storeHost(host: Value, width: Width, value: Value): void {
    const { f } = this;
    const bound = f.let(value);
    f.if(host);
    f.store(STORE[width], host, bound);
    f.else();
    if (!this.operandAddress) throw new Error(`${this.row.mnemonic}: write without an address`);
    f.call(this.frame.slowStore, this.operandAddress, i32(width / 8), f.zeroExtend(bound));
    this.leaveOnFault();
    f.end();
  }

  protected leaveOnFault(): void {
    const { f } = this;
    f.if(f.load32(i32(State.FAULT)));
    f.store32(i32(Scratch.STOP), i32(Stop.Fault));
    this.frame.leaveBefore();
    f.end();
  }
}
