import { i32, i64, type Value } from '../wasm/expression';
import { type Context, type Meaning, Register, SegmentUse } from './context';
import { FlagKind } from './flag-arithmetic';
import { row, type RowDefinition } from './row';

/**
 * String instructions. With a repeat prefix one iteration is one step: the counter is tested, one element is moved, and
 * the instruction pointer stays until the last (SDM vol. 2, REP), so that interrupts and stops fall between elements.
 */

const DIRECTION = 1 << 10;

/** Adds or subtracts the element size, by DF. */
function advance(x: Context, registers: readonly number[]): void {
  const { f } = x;
  const bytes = x.width / 8;
  const delta = f.let(f.select(f.and(x.systemFlags(), i32(DIRECTION)), i64(-bytes), i64(bytes)));
  for (const register of registers)
    x.setPointer(register, x.addressSize, f.let(x.wrapOffset(f.add(x.gpr(register), delta), x.addressSize)));
}

/** Wraps one iteration; `stop` gives the condition, after the iteration, that ends REPE and REPNE. */
function repeated(x: Context, iteration: () => void, stop?: () => Value): void {
  const { f } = x;
  if (x.repeatPrefix === 'none') {
    iteration();
    return;
  }
  x.finishIf(f.isZero(x.pointer(Register.C)));
  iteration();
  const left = f.let(x.wrapOffset(f.sub(x.gpr(Register.C), i64(1)), x.addressSize));
  x.setPointer(Register.C, x.addressSize, left);
  const more = f.ne(left, i64(0));
  x.repeatIf(f.let(stop ? f.and(more, f.isZero(stop())) : more));
}

const source = (x: Context): Value => x.load(SegmentUse.Operand, x.f.let(x.pointer(Register.SI)), x.width);
const destinationOffset = (x: Context): Value => x.f.let(x.pointer(Register.DI));
const destination = (x: Context): Value => x.load(SegmentUse.ES, destinationOffset(x), x.width);

const move: Meaning = (x) =>
  repeated(x, () => {
    const value = x.f.let(source(x));
    x.store(SegmentUse.ES, destinationOffset(x), x.width, value);
    advance(x, [Register.SI, Register.DI]);
  });

const store: Meaning = (x) =>
  repeated(x, () => {
    x.store(SegmentUse.ES, destinationOffset(x), x.width, x.register(Register.A, x.width));
    advance(x, [Register.DI]);
  });

const load: Meaning = (x) =>
  repeated(x, () => {
    x.setRegister(Register.A, x.width, x.f.let(source(x)));
    advance(x, [Register.SI]);
  });

/** Compares a with b; REPE stops when they differ, REPNE when they are equal. */
const comparison =
  (a: (x: Context) => Value, b: (x: Context) => Value, registers: readonly number[]): Meaning =>
  (x) => {
    const { f } = x;
    let left: Value = i32(0);
    let right: Value = i32(0);
    repeated(
      x,
      () => {
        left = f.let(a(x));
        right = f.let(b(x));
        x.setFlags(FlagKind.Subtract, x.width, left, right, f.let(x.mask(f.sub(left, right))));
        advance(x, registers);
      },
      () => (x.repeatPrefix === 'rep' ? f.ne(left, right) : f.eq(left, right)),
    );
  };

const compare = comparison(source, destination, [Register.SI, Register.DI]);
const scan = comparison((x) => x.register(Register.A, x.width), destination, [Register.DI]);

const forms = (
  name: string,
  byte: string,
  wide: string,
  operands: (s: string) => string,
  summary: string,
  meaning: Meaning,
): RowDefinition[] => [
  row(`${name}B`, byte, operands('b'), summary, { meaning, repeatable: true }),
  row(`${name}W/${name}D/${name}Q`, wide, operands('v'), summary, { meaning, repeatable: true }),
];

const io = (helper: string) => ({ helper, exit: 'IO', repeatable: true, size64: 'max32' }) as const;

export const stringRows: readonly RowDefinition[] = [
  ...forms('MOVS', 'A4', 'A5', (s) => `Y${s},X${s}`, 'Moves an element from DS:rSI to ES:rDI', move),
  ...forms('CMPS', 'A6', 'A7', (s) => `X${s},Y${s}`, 'Compares DS:rSI with ES:rDI', compare),
  ...forms('STOS', 'AA', 'AB', (s) => `Y${s},${s === 'b' ? 'AL' : 'rAX'}`, 'Stores the accumulator at ES:rDI', store),
  ...forms('LODS', 'AC', 'AD', (s) => `${s === 'b' ? 'AL' : 'rAX'},X${s}`, 'Loads the accumulator from DS:rSI', load),
  ...forms(
    'SCAS',
    'AE',
    'AF',
    (s) => `${s === 'b' ? 'AL' : 'rAX'},Y${s}`,
    'Compares the accumulator with ES:rDI',
    scan,
  ),
  row('INSB', '6C', 'Yb,DX', 'Reads a port into ES:rDI', io('ins')),
  row('INSW/INSD', '6D', 'Yv,DX', 'Reads a port into ES:rDI', io('ins')),
  row('OUTSB', '6E', 'DX,Xb', 'Writes DS:rSI to a port', io('outs')),
  row('OUTSW/OUTSD', '6F', 'DX,Xv', 'Writes DS:rSI to a port', io('outs')),
];
