import { INSTRUCTION_TABLE } from '../isa/table';
import { makeVariant, type MemoryForm, type Variant } from './variant';

/**
 * What compilers emit most, in 64-bit mode: these handlers are inline in the interpreter's dispatch, all others are
 * called. Measured: about 130 inline are best; a dispatch of all handlers in one function is optimised too late.
 */
type Pattern = readonly [mnemonics: string, operands: string, sizes: readonly (32 | 64)[], ...memory: MemoryForm[]];

const BOTH = [32, 64] as const;
const PATTERNS: readonly Pattern[] = [
  ['MOV', 'Ev,Gv', BOTH, 'none', 'base', 'index'],
  ['MOV', 'Gv,Ev', BOTH, 'base', 'index'],
  ['MOV', 'Zv,Iv', BOTH, 'none'],
  ['MOV', 'Ev,Iz', BOTH, 'base'],
  ['MOV', 'Eb,Gb', [32], 'base', 'index'],
  ['MOV', 'Eb,Ib', [32], 'base'],
  ['ADD SUB AND OR XOR CMP TEST', 'Ev,Gv', BOTH, 'none'],
  ['ADD SUB AND OR XOR CMP', 'Gv,Ev', BOTH, 'base'],
  ['ADD CMP', 'Ev,Gv', BOTH, 'base'],
  ['ADD SUB AND OR XOR CMP', 'Ev,sIb', BOTH, 'none'],
  ['ADD CMP', 'Ev,sIb', BOTH, 'base'],
  ['CMP', 'Eb,Ib', [32], 'none', 'base'],
  ['CMP', 'AL,Ib', [32], 'none'],
  ['TEST', 'Eb,Gb', [32], 'none'],
  ['TEST', 'Eb,Ib', [32], 'none'],
  ['LEA', 'Gv,M', BOTH, 'base', 'index'],
  ['MOVZX', 'Gv,Eb', [32], 'none', 'base', 'index'],
  ['MOVZX', 'Gv,Ew', [32], 'base', 'index'],
  ['MOVSXD', 'Gv,Ed', [64], 'none', 'base', 'index'],
  ['SHL SHR SAR', 'Ev,Ib', BOTH, 'none'],
  ['SHL SHR SAR', 'Ev,1', BOTH, 'none'],
  ['ROL ROR', 'Ev,Ib', [32], 'none'],
  ['IMUL', 'Gv,Ev', BOTH, 'none'],
  ['PUSH POP', 'Zv', [64], 'none'],
  ['RET', '', [64], 'none'],
  ['NOP', '', [32], 'none'],
];
/** Relative transfers: within the page, and CALL also out of it. */
const JUMPS = 'JB JAE JE JNE JBE JA JS JNS JL JGE JLE JG JMP CALL';

let cached: readonly Variant[] | undefined;

export function hotVariants(): readonly Variant[] {
  cached ??= collect();
  return cached;
}

function collect(): Variant[] {
  const found = new Map<string, Variant>();
  const add = (mnemonic: string, operands: string, size: 32 | 64, memory: MemoryForm, near: boolean): void => {
    const row = INSTRUCTION_TABLE.find(
      (candidate) =>
        candidate.mnemonic === mnemonic &&
        candidate.operands.join() === operands &&
        candidate.modes.long &&
        candidate.meaning,
    );
    if (!row) throw new Error(`no row ${mnemonic} ${operands}`);
    const attributes = { longMode: true, addressSize: 64, stackSize: 64, repeatPrefix: 'none', near } as const;
    const variant = makeVariant(row, size, memory, attributes);
    found.set(variant.key, variant);
  };
  for (const [mnemonics, operands, sizes, ...memory] of PATTERNS) {
    for (const mnemonic of mnemonics.split(' '))
      for (const size of sizes) for (const form of memory) add(mnemonic, operands, size, form, false);
  }
  for (const mnemonic of JUMPS.split(' ')) add(mnemonic, 'Jz', 64, 'none', true);
  add('CALL', 'Jz', 64, 'none', false);
  add('JMP', 'Jz', 64, 'none', false);
  return [...found.values()];
}
