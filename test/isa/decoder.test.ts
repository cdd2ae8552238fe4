import assert from 'node:assert';
import { Decoder, DecoderOptions, Formatter, FormatterSyntax, Mnemonic } from 'iced-x86';
import { decode } from '../../emulator/isa/decoder';
import { formatInstruction } from '../../emulator/isa/disassemble';
import type { Instruction } from '../../emulator/isa/instruction';
import { INSTRUCTION_TABLE, UNDEFINED_ROW } from '../../emulator/isa/table';
import { randomEncoding } from './encode';
import { Random, seedFromEnvironment } from './random';

const ADDRESS = 0x1000n;
const TRIES_PER_ROW = 100;
const RANDOM_TRIES = 15_000;
const SIZES = [64, 32, 16] as const;
const PREFIXES = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

const formatter = new Formatter(FormatterSyntax.Intel);
formatter.hexPrefix = '0x';
formatter.hexSuffix = '';
formatter.digitSeparator = '';
formatter.uppercaseHex = false;
formatter.spaceAfterOperandSeparator = true;
formatter.branchLeadingZeros = false;
formatter.smallHexNumbersInDecimal = true;

interface Reference {
  readonly length: number;
  readonly text: string;
  readonly valid: boolean;
}

/** One decoder an address size; each decodes one instruction and is freed. */
function reference(bytes: Uint8Array, codeSize: 16 | 32 | 64): Reference {
  const decoder = new Decoder(codeSize, bytes, DecoderOptions.None);
  decoder.ip = ADDRESS;
  const instruction = decoder.decode();
  const result = {
    length: instruction.length,
    text: formatter.format(instruction),
    valid: instruction.mnemonic !== Mnemonic.INVALID,
  };
  instruction.free();
  decoder.free();
  return result;
}

/** Leaves out what two writers of assembly may put differently: sizes of memory operands, names for one instruction. */
function normal(text: string): string {
  return text
    .replace(/\b(byte|word|dword|qword|fword|tbyte|xmmword) (ptr|bcst) /g, '')
    .replace(/\b(fword|tbyte) ptr /g, '')
    .replace(/\b(xacquire|xrelease|bnd|notrack|hint-(not-)?taken) /g, '')
    .replace(/^(rep|repe|repne) (?!(ins|outs|movs|stos|lods|cmps|scas))/, '')
    .replace(/\b(jmp|call) far /, '$1 far ')
    .replace(/^xlat\b.*/, 'xlatb')
    .replace(/^sal /, 'shl ')
    .replace(/\b(0x)0+(?=[0-9a-f])/g, '$1')
    .replace(/0x([0-9])(?![0-9a-f])/g, '$1')
    .replace(/ <.*>/g, '')
    .replace(/ far (\w+), (\w+)$/, ' far $2:$1')
    .replace(/\bshort /g, '')
    .replace(/\b(ss|ds|es):(?=\[)/g, '')
    .replace(/^((data16|data32|data64|addr16|addr32|rep(ne|e)?|[c-gs]s) )+(?!(ins|outs|movs|stos|lods|cmps|scas))/, '')
    .replace(/^ret far/, 'retf')
    .replace(/^imul (\w+), \1, (?=-?[0-9])/, 'imul $1, ')
    .replace(/^(lar|lsl) (\w+), [er]?(\w+?)[dw]?$/, '$1 $2, $3')
    .replace(/^xchg (\w?ax), \1$/, 'nop')
    .replace(/^rdssp[dq] .*/, 'hint')
    .replace(/^(wbnoinvd|getsecq)$/, (name) => (name === 'getsecq' ? 'getsec' : 'wbinvd'))
    .replace(/^(prefetch\w+|cldemote) .*/, 'hint')
    .trim();
}

const hexOf = (bytes: Uint8Array, length: number): string => Buffer.from(bytes.slice(0, length)).toString('hex');

/** Undefined when both decoders agree. */
function disagreement(bytes: Uint8Array, codeSize: 16 | 32 | 64, mine: Instruction): string | undefined {
  const theirs = reference(bytes, codeSize);
  const text = formatInstruction(mine);
  const shown = `${codeSize}-bit ${hexOf(bytes, Math.max(mine.length, theirs.length))}: ${text} (${mine.length}), reference: ${theirs.text} (${theirs.length})`;
  if (mine.row === UNDEFINED_ROW) return undefined;
  if (!theirs.valid) return mine.row.helper === 'ud' ? undefined : shown;
  if (theirs.length !== mine.length) return shown;
  // Newer processors give names to some of the reserved hints.
  const hint = normal(theirs.text) === 'hint' && /^(NOP|PREFETCH)/.test(mine.row.mnemonic);
  return hint || normal(theirs.text) === normal(text) ? undefined : shown;
}

describe('decoder and disassembly against iced-x86', function () {
  this.timeout(0);
  const seed = seedFromEnvironment();
  before(() => console.log(`      SEED=${seed}`));

  for (const codeSize of SIZES) {
    it(`every row, ${codeSize}-bit code`, () => {
      const random = new Random(seed);
      const wrong = new Map<string, string>();
      for (const row of INSTRUCTION_TABLE) {
        if (codeSize === 64 ? !row.modes.long : !row.modes.legacy) continue;
        let hits = 0;
        for (let i = 0; i < TRIES_PER_ROW; i++) {
          const bytes = randomEncoding(row, random, { codeSize, prefixes: PREFIXES });
          const mine = decode(bytes, 0, bytes.length, ADDRESS, codeSize);
          if (mine?.row !== row) continue;
          hits++;
          const found = disagreement(bytes, codeSize, mine);
          if (found !== undefined && !wrong.has(row.notation)) wrong.set(row.notation, `${row.notation}: ${found}`);
        }
        assert.ok(hits > 0, `${row.mnemonic} ${row.notation} never decoded`);
      }
      assert.deepEqual([...wrong.values()].slice(0, 30), []);
    });

    it(`random bytes, ${codeSize}-bit code`, () => {
      const random = new Random(seed + 1);
      const known = new Set(INSTRUCTION_TABLE.flatMap((row) => row.mnemonic.toLowerCase().split('/')));
      const wrong: string[] = [];
      for (let i = 0; i < RANDOM_TRIES; i++) {
        const bytes = Uint8Array.from({ length: 15 }, () => random.byte());
        if (random.bool()) bytes[random.below(3)] = 0x0f;
        const mine = decode(bytes, 0, bytes.length, ADDRESS, codeSize);
        if (!mine) continue;
        const found = disagreement(bytes, codeSize, mine);
        if (found !== undefined) wrong.push(found);
        else if (mine.row === UNDEFINED_ROW) {
          const theirs = reference(bytes, codeSize);
          const mnemonic =
            normal(theirs.text)
              .replace(/^(lock|rep|repe|repne) /, '')
              .split(' ')[0] ?? '';
          if (theirs.valid && known.has(mnemonic) && !/mm\d/.test(theirs.text))
            wrong.push(`${codeSize}-bit ${hexOf(bytes, theirs.length)}: undefined, reference: ${theirs.text}`);
        }
      }
      assert.deepEqual(wrong.slice(0, 12), [], `${wrong.length} differ`);
    });
  }
});
