import assert from 'node:assert';
import { EngineExit } from '../../emulator/engine/host';
import type { InstructionRow } from '../../emulator/isa/row';
import { INSTRUCTION_TABLE } from '../../emulator/isa/table';
import { RAM_BASE } from '../../emulator/memory/layout';
import { FlatMachine } from '../engine/flat-machine';
import { CODE_ADDRESS, type NativeOutcome, runNatively, unavailable, WINDOW_ADDRESS, WINDOW_SIZE } from './native-cpu';
import { Random, seedFromEnvironment } from './random';
import { definedFlags, makeCase, resultUndefined, type SemanticCase } from './semantic-cases';

const CASES_PER_ROW = Number(process.env['CASES'] ?? 30);
const SIGILL = 4;
const SIGFPE = 8;

/** The vector that the host reports as this signal. */
const vectorOf: Record<number, readonly number[]> = { [SIGILL]: [6], [SIGFPE]: [0], 11: [5, 13, 14], 7: [17] };

const name = (row: InstructionRow): string => `${row.mnemonic} ${row.notation}`;
const hex = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join(' ');

function execute(machine: FlatMachine, c: SemanticCase): EngineExit {
  const { memory } = machine;
  memory.u8.fill(0, RAM_BASE + WINDOW_ADDRESS - 0x1000, RAM_BASE + WINDOW_ADDRESS + 0x2000);
  memory.u8.set(c.memory, RAM_BASE + WINDOW_ADDRESS);
  machine.load(CODE_ADDRESS, c.code);
  c.gpr.forEach((value, register) => machine.setGpr(register, value));
  machine.rflags = c.rflags;
  machine.rip = BigInt(CODE_ADDRESS);
  return machine.run(1);
}

/** What differs between the emulated and the native outcome, in words; empty when nothing does. */
function difference(machine: FlatMachine, exit: EngineExit, c: SemanticCase, native: NativeOutcome): string[] {
  const found: string[] = [];
  const width = c.mode;
  if (native.signal !== 0) {
    const expected = vectorOf[native.signal] ?? [];
    if (exit !== EngineExit.Fault || !expected.includes(machine.faultVector))
      found.push(`native signal ${native.signal}, emulated exit ${exit} vector ${machine.faultVector}`);
  } else if (exit !== EngineExit.Budget) found.push(`emulated exit ${exit}, vector ${machine.faultVector}`);
  for (let r = 0; r < (width === 64 ? 16 : 8); r++) {
    const [a, b] = [BigInt.asUintN(width, machine.gpr(r)), BigInt.asUintN(width, native.gpr[r] ?? 0n)];
    if (a !== b) found.push(`r${r} emulated ${a.toString(16)} native ${b.toString(16)}`);
  }
  // Between the iterations of REPNE CMPS the processor still shows the flags from before (SDM vol. 2, REP); nothing reads
  // them there.
  const unfinished = c.instruction.row.repeatable && native.rip === 0n;
  const mask = native.signal === 0 && !unfinished ? definedFlags(c) : 0n;
  const [a, b] = [machine.rflags & mask, native.rflags & mask];
  if (a !== b) found.push(`flags emulated ${a.toString(16)} native ${b.toString(16)}`);
  const rip = BigInt.asUintN(width, machine.rip - BigInt(CODE_ADDRESS));
  if (rip !== BigInt.asUintN(width, native.rip)) found.push(`rip emulated +${rip} native +${native.rip}`);
  // Processors store a CALL's return address before they find its target not canonical; the manual has it the other
  // way round.
  if (native.signal !== 0 && c.instruction.row.mnemonic === 'CALL') return found;
  for (let i = 0; i < WINDOW_SIZE; i++) {
    const byte = machine.memory.u8[RAM_BASE + WINDOW_ADDRESS + i];
    if (byte !== native.memory[i]) found.push(`memory +${i} emulated ${byte} native ${native.memory[i]}`);
  }
  return found;
}

for (const mode of [64, 32] as const) {
  describe(`semantics against the host processor, ${mode}-bit`, function () {
    this.timeout(0);
    const seed = seedFromEnvironment();
    const rows = INSTRUCTION_TABLE.filter(
      (row) => row.meaning && !row.helper && (mode === 64 ? row.modes.long : row.modes.legacy),
    );
    const byMnemonic = new Map<string, InstructionRow[]>();
    for (const row of rows) byMnemonic.set(row.mnemonic, [...(byMnemonic.get(row.mnemonic) ?? []), row]);

    before(function () {
      const reason = unavailable();
      if (reason !== undefined) {
        console.log(`      not run: ${reason}`);
        this.skip();
      }
      console.log(`      SEED=${seed}`);
    });

    for (const [mnemonic, forms] of byMnemonic) {
      it(mnemonic, () => {
        const random = new Random(seed ^ (mnemonic.charCodeAt(0) * 7919 + mnemonic.length));
        const machine = new FlatMachine(mode);
        const cases: SemanticCase[] = [];
        for (const row of forms) {
          let made = 0;
          for (let tries = 0; made < CASES_PER_ROW && tries < CASES_PER_ROW * 40; tries++) {
            const c = makeCase(row, mode, random);
            if (!c) continue;
            cases.push(c);
            made++;
          }
          assert.ok(made > 0, `no case for ${name(row)}`);
        }
        const outcomes = runNatively(cases);
        const wrong: string[] = [];
        cases.forEach((c, n) => {
          if (resultUndefined(c)) return;
          const outcome = outcomes[n];
          assert.ok(outcome);
          const exit = execute(machine, c);
          const found = difference(machine, exit, c, outcome);
          if (found.length)
            wrong.push(
              `${name(c.instruction.row)} [${hex(c.code)}]: ${found.slice(0, 4).join('; ')}, rcx ${c.gpr[1]?.toString(16)} rflags ${c.rflags.toString(16)}`,
            );
        });
        assert.deepEqual(wrong.slice(0, 6), [], `${wrong.length} of ${cases.length} cases differ, SEED=${seed}`);
      });
    }
  });
}
