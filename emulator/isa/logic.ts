import type { Value } from '../wasm/expression';
import type { FunctionBuilder } from '../wasm/function-builder';
import { groupOneForms } from './arithmetic';
import type { Meaning } from './context';
import { row, type RowDefinition } from './row';

type Operation = (f: FunctionBuilder, a: Value, b: Value) => Value;

const logical =
  (operation: Operation): Meaning =>
  (x) => {
    const { f, width } = x;
    const a = x.readForWrite(0);
    const r = f.let(operation(f, f.let(a), x.read(1)));
    x.write(0, r);
    x.setFlagsLogic(width, r);
  };

const test: Meaning = (x) => {
  const { f, width } = x;
  const a = f.let(x.read(0));
  x.setFlagsLogic(width, f.let(f.and(a, x.read(1))));
};

const complement: Meaning = (x) => {
  const { f } = x;
  x.write(0, f.let(x.mask(f.not(x.readForWrite(0)))));
};

const testOptions = { meaning: test, undefinedFlags: 'A' } as const;
const TEST = 'Ands for the flags only';

export const logicRows: readonly RowDefinition[] = [
  ...groupOneForms(
    'OR',
    1,
    'Bitwise or',
    logical((f, a, b) => f.or(a, b)),
    { lockable: true, undefinedFlags: 'A' },
  ),
  ...groupOneForms(
    'AND',
    4,
    'Bitwise and',
    logical((f, a, b) => f.and(a, b)),
    { lockable: true, undefinedFlags: 'A' },
  ),
  ...groupOneForms(
    'XOR',
    6,
    'Bitwise exclusive or',
    logical((f, a, b) => f.xor(a, b)),
    {
      lockable: true,
      undefinedFlags: 'A',
    },
  ),
  row('TEST', '84 /r', 'Eb,Gb', TEST, testOptions),
  row('TEST', '85 /r', 'Ev,Gv', TEST, testOptions),
  row('TEST', 'A8 ib', 'AL,Ib', TEST, testOptions),
  row('TEST', 'A9 iz', 'rAX,Iz', TEST, testOptions),
  row('TEST', 'F6 /0 ib', 'Eb,Ib', TEST, testOptions),
  row('TEST', 'F6 /1 ib', 'Eb,Ib', TEST, testOptions),
  row('TEST', 'F7 /0 iz', 'Ev,Iz', TEST, testOptions),
  row('TEST', 'F7 /1 iz', 'Ev,Iz', TEST, testOptions),
  row('NOT', 'F6 /2', 'Eb', 'Inverts every bit', { meaning: complement, lockable: true }),
  row('NOT', 'F7 /2', 'Ev', 'Inverts every bit', { meaning: complement, lockable: true }),
];
