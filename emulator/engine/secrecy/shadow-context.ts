import { typeOf, type Width } from '../../isa/context';
import { FlagKind, type NormalFlags } from '../../isa/flag-arithmetic';
import { SHADOW, SHADOW_ACCESS, SHADOW_SOURCES, ShadowAccess, Source, State } from '../../memory/layout';
import { binary, i32, i64, type Value } from '../../wasm/expression';
import { I32 } from '../../wasm/opcodes';
import { InterpreterContext } from '../interpreter-context';
import { LOAD, STORE, type HandlerFrame } from '../record-context';
import type { Variant } from '../variant';
import { every, isNotZero, isZero, type ShadowBuilder } from './shadow-builder';

const RUNNING = SHADOW_ACCESS + ShadowAccess.SOURCE;

/**
 * Emits a handler that executes its instruction as the interpreter's does, and moves secrecy along: registers and flags
 * have shadows in SHADOW; memory is reached by calls, whose callee knows what is secret there. The meaning of the row is
 * run as it is: nothing here knows an instruction.
 */
export class ShadowContext extends InterpreterContext {
  declare readonly f: ShadowBuilder;

  constructor(
    frame: HandlerFrame & { readonly f: ShadowBuilder },
    variant: Variant,
    /** What is loaded from an address that depends on a secret is secret. */
    private readonly addresses: boolean,
  ) {
    super(frame, variant);
  }

  // What is read

  /** The shadow of what is loaded from the state block at `address`; what it comes from joins the instruction's source. */
  private readState(value: Value, address: Value): Value {
    const { f } = this;
    if (!f.tracks || value.kind !== 'load') return value;
    const shadow = f.bind({ ...value, offset: value.offset + SHADOW });
    f.setShadow(value, shadow, address);
    f.plain(() => {
      f.if(isNotZero(shadow));
      const word = f.let(wordOf(address));
      f.store32(i32(RUNNING), f.load32(word, SHADOW_SOURCES + Source.ORIGIN), Source.ORIGIN);
      const labels = f.load32(word, SHADOW_SOURCES + Source.LABELS);
      f.store32(i32(RUNNING), f.or(f.load32(i32(RUNNING), Source.LABELS), labels), Source.LABELS);
      f.end();
    });
    return value;
  }

  protected override readRegister(operand: number): Value {
    const value = super.readRegister(operand);
    return this.isRegister(operand) ? this.readState(value, this.registerAddress(operand)) : value;
  }

  protected override readWhole(operand: number): Value {
    return this.readState(super.readWhole(operand), this.registerAddress(operand));
  }

  override gpr(register: number): Value {
    return this.readState(super.gpr(register), i32(State.GPR + register * 8));
  }

  override register(register: number, width: Width): Value {
    return this.readState(super.register(register, width), i32(State.GPR + register * 8));
  }

  override flags(): NormalFlags {
    const { f } = this;
    const at = i32(State.FLAGS_RESULT);
    const result = this.readState(f.load64(at), at);
    const aux = this.readState(f.load32(i32(State.FLAGS_AUX)), at);
    return { result: f.let(result), aux: f.let(aux) };
  }

  override systemFlags(): Value {
    return this.readState(super.systemFlags(), i32(State.FLAGS_SYSTEM));
  }

  protected override addressRegister(field: number): Value {
    return this.readState(super.addressRegister(field), this.field16(field));
  }

  private isRegister(operand: number): boolean {
    const code = this.operandCode(operand);
    return !/^s?I/.test(code) && code !== '1';
  }

  // What is written

  protected override commit(): void {
    const { f } = this;
    const shadows = this.pending.map(({ address, width, value }) => ({
      address: f.bind(address),
      width,
      shadow: f.bind(f.shadowOf(value)),
    }));
    super.commit();
    f.plain(() => shadows.forEach((write) => this.writeShadow(write.address, write.width, write.shadow)));
  }

  private writeShadow(address: Value, width: Width, shadow: Value): void {
    const { f } = this;
    if (width >= 32) f.store64(address, f.zeroExtend(shadow), SHADOW);
    else f.store(STORE[width], address, f.wrap(shadow), SHADOW);
    this.writeSource(wordOf(address), width >= 32, shadow);
  }

  /** `whole`: nothing is left of what was there. */
  private writeSource(word: Value, whole: boolean, shadow: Value): void {
    const { f } = this;
    if (isZero(shadow)) return;
    const at = f.let(word);
    f.if(isNotZero(shadow));
    const running = (offset: number): Value => f.load32(i32(RUNNING), offset);
    f.store32(at, running(Source.ORIGIN), SHADOW_SOURCES + Source.ORIGIN);
    const labels = running(Source.LABELS);
    const kept = f.load32(at, SHADOW_SOURCES + Source.LABELS);
    f.store32(at, whole ? labels : f.or(labels, kept), SHADOW_SOURCES + Source.LABELS);
    f.end();
  }

  override setFlags(kind: FlagKind.Add | FlagKind.Subtract, width: Width, a: Value, b: Value, r: Value): void {
    const same = kind === FlagKind.Subtract ? this.f.samePlace(a, b) : undefined;
    super.setFlags(kind, width, a, b, r);
    // A register less itself: no flag depends on it.
    if (same) {
      const { f } = this;
      f.plain(() => {
        f.if(same);
        f.store64(i32(SHADOW + State.FLAGS_RESULT), i64(0));
        f.store32(i32(SHADOW + State.FLAGS_AUX), i32(0));
        f.end();
      });
    }
  }

  override setNormalFlags(flags: NormalFlags): void {
    const { f } = this;
    const result = f.bind(f.shadowOf(flags.result));
    const aux = f.bind(f.shadowOf(flags.aux));
    super.setNormalFlags(flags);
    f.plain(() => {
      f.store64(i32(SHADOW + State.FLAGS_RESULT), result);
      f.store32(i32(SHADOW + State.FLAGS_AUX), aux);
      const any = binary('or', isNotZero(result), isNotZero(aux));
      this.writeSource(i32(State.FLAGS_RESULT), true, isZero(result) && isZero(aux) ? i32(0) : any);
    });
  }

  override setSystemFlags(value: Value): void {
    const { f } = this;
    const shadow = f.bind(f.shadowOf(value));
    super.setSystemFlags(value);
    f.plain(() => {
      f.store32(i32(SHADOW + State.FLAGS_SYSTEM), shadow);
      this.writeSource(i32(State.FLAGS_SYSTEM), false, shadow);
    });
  }

  // Memory: always by a call

  protected override operandLinear(width: Width, forWrite: boolean): Value {
    return this.addresses
      ? super.operandLinear(width, forWrite)
      : this.f.plain(() => super.operandLinear(width, forWrite));
  }

  private loadTracked(address: Value, width: Width, forWrite: boolean): Value {
    const { f } = this;
    const type = typeOf(width);
    const linear = f.let(address);
    const through = this.addresses ? f.shadowOf(linear) : i64(0);
    const value = f.plain(() => {
      this.callSlowLoad(linear, width, forWrite, type);
      return f.pop(type);
    });
    const shadow = f.load(type === I32 ? LOAD[32] : LOAD[64], type, i32(SHADOW_ACCESS), ShadowAccess.LOADED);
    f.setShadow(value, f.bind(isZero(through) ? shadow : f.or(shadow, this.masked(every(through, type), width))));
    return value;
  }

  private masked(shadow: Value, width: Width): Value {
    return width < 32 ? this.f.and(shadow, i32(width === 8 ? 0xff : 0xffff)) : shadow;
  }

  protected override loadLinear(address: Value, width: Width): Value {
    return this.loadTracked(address, width, false);
  }

  protected override loadForWrite(address: Value, width: Width): { value: Value; host: Value } {
    return { value: this.loadTracked(address, width, true), host: i32(0) };
  }

  protected override storeLinear(address: Value, width: Width, value: Value): void {
    const { f } = this;
    const linear = f.let(address);
    const shadow = f.bind(f.shadowOf(value));
    const bound = f.let(value);
    f.plain(() => {
      f.store64(i32(SHADOW_ACCESS + ShadowAccess.STORED), f.zeroExtend(shadow));
      f.call(this.frame.slowStore, linear, i32(width / 8), f.zeroExtend(bound));
      this.leaveOnFault();
    });
  }

  protected override storeHost(_host: Value, width: Width, value: Value): void {
    if (!this.operandAddress) throw new Error(`${this.row.mnemonic}: write without an address`);
    this.storeLinear(this.operandAddress, width, value);
  }

  // VMCS data: the helper moves it, and knows what is secret there.

  override readVmcs(): Value {
    this.helperIf(i32(1));
    return i64(0);
  }

  override writeVmcs(): void {
    this.helperIf(i32(1));
  }
}

/** The 8 bytes of the state block that an address lies in */
const wordOf = (address: Value): Value => binary('and', address, i32(~7));
