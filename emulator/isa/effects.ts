import { FunctionBuilder } from '../wasm/function-builder';
import { i32, i64, type Value } from '../wasm/expression';
import { type AddressWidth, Context, type RepeatPrefix, typeOf, type Width } from './context';
import type { NormalFlags } from './flag-arithmetic';
import { operandKind } from './operand';
import type { InstructionRow } from './row';

export type Ending = 'next' | 'jump' | 'branch' | 'jumpTo' | 'repeat';

/** What a meaning does, found by running it once against `EffectsContext`. */
export interface Effects {
  /** Needs the flags even when nothing reads those it writes (ADC; not INC, which only keeps CF) */
  readonly readsFlags: boolean;
  /** Replaces all six arithmetic flags whatever they were */
  readonly overwritesFlags: boolean;
  readonly writesFlags: boolean;
  readonly usesMemory: boolean;
  readonly canRaise: boolean;
  /** May end early with no effect at all (`finishIf`) */
  readonly finishes: boolean;
  readonly ending: Ending;
  /** Code differs by addressing attributes, apart from the memory operand's */
  readonly usesStackSize: boolean;
  readonly usesAddressSize: boolean;
  readonly usesSegments: boolean;
  /** General registers that it writes whatever its operands are, as bits; not those that it only may write */
  readonly registersWritten: number;
  /** Positions of register operands that it writes */
  readonly operandsWritten: readonly number[];
}

/** Runs a meaning to record its effects; the code it emits is thrown away. */
class EffectsContext extends Context {
  readonly longMode = true;
  private flagsWritten = false;
  private flagsRead = false;
  private memory = false;
  private raises = false;
  private finishes = false;
  private ending: Ending = 'next';
  private usedStackSize = false;
  private usedAddressSize = false;
  private usedSegments = false;
  private registers = 0;
  private readonly operands = new Set<number>();

  constructor(
    readonly row: InstructionRow,
    readonly operandSize: 16 | 32 | 64,
    private readonly memoryForm: boolean,
    readonly repeatPrefix: RepeatPrefix,
    readonly flagsLive: boolean,
  ) {
    super(new FunctionBuilder([]));
  }

  get effects(): Effects {
    return {
      readsFlags: this.flagsRead,
      overwritesFlags: this.flagsWritten && !this.flagsRead && !this.finishes,
      writesFlags: this.flagsWritten,
      usesMemory: this.memory,
      canRaise: this.raises || this.memory,
      finishes: this.finishes,
      ending: this.ending,
      usesStackSize: this.usedStackSize,
      usesAddressSize: this.usedAddressSize,
      usesSegments: this.usedSegments,
      registersWritten: this.registers,
      operandsWritten: [...this.operands],
    };
  }

  get stackSize(): AddressWidth {
    this.usedStackSize = true;
    return 64;
  }

  get addressSize(): AddressWidth {
    this.usedAddressSize = true;
    return 64;
  }

  private unknown(width: Width): Value {
    return this.f.local(this.f.newLocal(typeOf(width)));
  }

  isMemory(operand: number): boolean {
    const kind = operandKind(this.operandCode(operand));
    return kind === 'M' || kind === 'O' || (kind === 'E' && this.memoryForm);
  }

  read(operand: number): Value {
    if (this.isMemory(operand)) this.memory = true;
    return this.unknown(this.widthOf(operand));
  }

  readForWrite(operand: number): Value {
    return this.read(operand);
  }

  write(operand: number, _value: Value): void {
    if (this.isMemory(operand)) this.memory = true;
    else this.operands.add(operand);
  }

  /** A register that is written only under a condition does not count as written. */
  override writeIf(operand: number, condition: Value, value: Value, old: Value): void {
    const known = this.operands.has(operand);
    super.writeIf(operand, condition, value, old);
    if (!known) this.operands.delete(operand);
  }

  protected readWhole(): Value {
    return this.unknown(64);
  }

  protected writeWhole(operand: number): void {
    this.operands.add(operand);
  }

  displaceMemory(_delta: Value): void {
    // The address does not matter here.
  }

  baseIsStackPointer(): Value {
    return i32(0);
  }

  effectiveAddress(): Value {
    return this.unknown(64);
  }

  gpr(_register: number): Value {
    return this.unknown(64);
  }

  setGpr(register: number, _value: Value): void {
    this.registers |= 1 << register;
  }

  load(_segment: unknown, _offset: Value, width: Width): Value {
    this.memory = this.usedSegments = true;
    return this.unknown(width);
  }

  store(_segment: unknown, _offset: Value, _width: Width, _value: Value): void {
    this.memory = this.usedSegments = true;
  }

  probeForWrite(): void {
    this.memory = this.usedSegments = true;
  }

  protectedMode(): Value {
    return i32(1);
  }

  checkTarget(): void {
    this.raises = true;
  }

  setFlags(): void {
    this.flagsWritten = true;
  }

  setFlagsLogic(): void {
    this.flagsWritten = true;
  }

  setNormalFlags(): void {
    this.flagsWritten = true;
  }

  flags(): NormalFlags {
    this.flagsRead = true;
    return { result: this.unknown(64), aux: this.unknown(32) };
  }

  condition(_code: number): Value {
    this.flagsRead = true;
    return this.unknown(32);
  }

  systemFlags(): Value {
    return i32(0);
  }

  setSystemFlags(): void {
    // Only the arithmetic flags are recorded.
  }

  nextRip(): Value {
    return i64(0);
  }

  jump(): void {
    this.ending = 'jump';
  }

  branch(_condition: Value): void {
    this.ending = 'branch';
  }

  jumpTo(_target: Value): void {
    this.ending = 'jumpTo';
    this.raises = true;
  }

  repeatIf(_condition: Value): void {
    this.ending = 'repeat';
  }

  finishIf(_condition: Value): void {
    this.finishes = true;
  }

  raiseIf(_condition: Value, _vector: number): void {
    this.raises = true;
  }

  helperIf(): void {
    this.raises = true;
  }

  readVmcs(): Value {
    this.raises = true;
    return this.unknown(64);
  }

  writeVmcs(): void {
    this.raises = true;
  }
}

const cache = new Map<string, Effects>();

/** Effects of a row with a meaning, for a register or memory form. */
export function effectsOf(
  row: InstructionRow,
  operandSize: 16 | 32 | 64,
  memoryForm: boolean,
  repeatPrefix: RepeatPrefix,
): Effects {
  if (!row.meaning) throw new Error(`${row.mnemonic} ${row.notation} has no meaning, its helper decides`);
  const key = `${row.id}.${operandSize}.${memoryForm ? 'm' : 'r'}.${repeatPrefix}`;
  let effects = cache.get(key);
  if (!effects) {
    const dead = new EffectsContext(row, operandSize, memoryForm, repeatPrefix, false);
    row.meaning(dead);
    const live = new EffectsContext(row, operandSize, memoryForm, repeatPrefix, true);
    row.meaning(live);
    effects = { ...live.effects, readsFlags: dead.effects.readsFlags };
    cache.set(key, effects);
  }
  return effects;
}
