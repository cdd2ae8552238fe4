import { i32 } from '../wasm/expression';
import { type Meaning, Register } from './context';
import { lowRflags, normalFromRflags, overflowFlag } from './flag-arithmetic';
import { row, type RowDefinition } from './row';

/** Instructions on single flags. CLI and STI depend on privilege and are helpers. */

const DIRECTION = 1 << 10;

const setCarryTo =
  (value: number): Meaning =>
  (x) =>
    x.setCarry(i32(value));

const complementCarry: Meaning = (x) => x.setCarry(x.f.let(x.f.isZero(x.carry())));

const clearDirection: Meaning = (x) => x.setSystemFlags(x.f.and(x.systemFlags(), i32(~DIRECTION)));
const setDirection: Meaning = (x) => x.setSystemFlags(x.f.or(x.systemFlags(), i32(DIRECTION)));

/** AH = SF ZF 0 AF 0 PF 1 CF */
const loadToAh: Meaning = (x) => {
  const { f } = x;
  const ah = f.shl(lowRflags(f, x.flags()), i32(8));
  x.setRegister(Register.A, 16, f.let(f.or(x.register(Register.A, 8), ah)));
};

const storeFromAh: Meaning = (x) => {
  const { f } = x;
  const ah = f.and(f.shrU(x.register(Register.A, 16), i32(8)), i32(0xd5));
  const overflow = f.shl(overflowFlag(f, x.flags()), i32(11));
  x.setNormalFlags(normalFromRflags(f, f.let(f.or(ah, overflow))));
};

export const flagRows: readonly RowDefinition[] = [
  row('CLC', 'F8', '', 'Clears CF', { meaning: setCarryTo(0) }),
  row('STC', 'F9', '', 'Sets CF', { meaning: setCarryTo(1) }),
  row('CMC', 'F5', '', 'Inverts CF', { meaning: complementCarry }),
  row('CLD', 'FC', '', 'Clears DF: strings upwards', { meaning: clearDirection }),
  row('STD', 'FD', '', 'Sets DF: strings downwards', { meaning: setDirection }),
  row('LAHF', '9F', '', 'Loads flags into AH', { meaning: loadToAh }),
  row('SAHF', '9E', '', 'Stores AH into flags', { meaning: storeFromAh }),
  row('CLI', 'FA', '', 'Clears IF', { helper: 'cli' }),
  row('STI', 'FB', '', 'Sets IF', { helper: 'sti' }),
];
