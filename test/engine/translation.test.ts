import assert from 'node:assert';
import { EngineExit } from '../../emulator/engine/host';
import { effectsOf } from '../../emulator/isa/effects';
import type { InstructionRow } from '../../emulator/isa/row';
import { INSTRUCTION_TABLE } from '../../emulator/isa/table';
import { RAM_BASE } from '../../emulator/memory/layout';
import { CODE_ADDRESS, WINDOW_ADDRESS } from '../isa/native-cpu';
import { Random, seedFromEnvironment } from '../isa/random';
import { makeCase, type SemanticCase } from '../isa/semantic-cases';
import { FlatMachine } from './flat-machine';

/**
 * Every row with a meaning, translated against interpreted (which is checked against the host processor): the
 * instruction between a NOP, after which it is translated, and INT3, where execution stops.
 */

const CASES_PER_ROW = Number(process.env['CASES'] ?? 4);
const NOP = 0x90;
const INT3 = 0xcc;
const WINDOW_PAGES = 0x3000;

function prepare(m: FlatMachine, c: SemanticCase): void {
  const { memory } = m;
  memory.u8.fill(0, RAM_BASE + WINDOW_ADDRESS - 0x1000, RAM_BASE + WINDOW_ADDRESS + 0x2000);
  memory.u8.set(c.memory, RAM_BASE + WINDOW_ADDRESS);
  m.load(CODE_ADDRESS - 1, [NOP, ...c.code, INT3]);
  c.gpr.forEach((value, register) => m.setGpr(register, value));
  m.rflags = c.rflags;
  m.rip = BigInt(CODE_ADDRESS - 1);
}

function outcome(m: FlatMachine, exit: EngineExit): unknown {
  const { u8 } = m.memory;
  return {
    exit,
    vector: exit === EngineExit.Fault ? m.faultVector : undefined,
    rip: m.rip,
    rflags: m.rflags,
    gpr: Array.from({ length: 16 }, (_, r) => m.gpr(r)),
    memory: Buffer.from(
      u8.slice(RAM_BASE + WINDOW_ADDRESS - 0x1000, RAM_BASE + WINDOW_ADDRESS - 0x1000 + WINDOW_PAGES),
    ).toString('hex'),
  };
}

/** Executes enough for the threshold to count from now on. */
function warmUp(m: FlatMachine): void {
  m.load(0x1000, [0x90, 0xeb, 0xfd]); // L: nop; jmp L
  m.rip = 0x1000n;
  m.run(100_000);
}

/** Rows that run on to the next instruction: where a jump leads is no code. */
function goesOn(row: InstructionRow): boolean {
  if (!row.meaning || !row.modes.long) return false;
  const { ending } = effectsOf(row, 32, false, 'none');
  return ending === 'next' || ending === 'repeat';
}

describe('translated code against the interpreter, row by row', function () {
  this.timeout(0);
  const seed = seedFromEnvironment();
  before(() => console.log(`      SEED=${seed}`));

  it('has the same outcome', () => {
    const random = new Random(seed);
    const interpreted = new FlatMachine();
    interpreted.engine.translatorEnabled = false;
    const translated = new FlatMachine();
    translated.engine.hotThreshold = 1;
    warmUp(translated);
    let inRegions = 0;
    let total = 0;
    const wrong: string[] = [];
    for (const row of INSTRUCTION_TABLE.filter(goesOn)) {
      let made = 0;
      for (let tries = 0; made < CASES_PER_ROW && tries < CASES_PER_ROW * 40; tries++) {
        const c = makeCase(row, 64, random);
        if (!c) continue;
        made++;
        total++;
        const results = [interpreted, translated].map((m) => {
          prepare(m, c);
          assert.equal(m.run(1), EngineExit.Budget);
          const before = m.engine.statistics.translated;
          const result = outcome(m, m.run(1000));
          if (m.engine.statistics.translated > before) inRegions++;
          return result;
        });
        try {
          assert.deepEqual(results[1], results[0]);
        } catch (error) {
          wrong.push(
            `${row.mnemonic} ${row.notation} [${Buffer.from(c.code).toString('hex')}] ${String(error).slice(0, 900)}`,
          );
        }
      }
    }
    assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${total} differ, SEED=${seed}`);
    assert.ok(inRegions > total / 2, `only ${inRegions} of ${total} cases were executed in translated code`);
  });
});
