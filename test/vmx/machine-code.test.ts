import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createMachine } from '../../emulator/machine/machine';
import { buildChecks } from './checks-program';
import { agrees, caseModule, entryCases, outcomes } from './cases';

function runHere(elf: string, module: Uint8Array): { serial: string; end: unknown } {
  const machine = createMachine({
    memory: 64,
    kernel: { name: 'checks', bytes: new Uint8Array(readFileSync(elf)) },
    modules: [{ name: 'cases', bytes: module, commandLine: 'cases' }],
    commandLine: '',
    translator: false,
  });
  const bytes: number[] = [];
  machine.onSerial((byte) => bytes.push(byte));
  const end = machine.run(100_000_000);
  return { serial: Buffer.from(bytes).toString('latin1'), end };
}

describe('VM-entry checks as machine code sees them', function () {
  this.timeout(60_000);
  const cases = entryCases();
  let found: string[] = [];
  let end: unknown;

  before(async () => {
    const run = runHere(await buildChecks(), caseModule(cases));
    found = outcomes(run.serial);
    end = run.end;
  });

  it('the program ends', () => assert.deepEqual(end, { why: 'ended', outcome: { kind: 'exit-port', code: 0 } }));

  cases.forEach((entry, i) => {
    it(`${entry.name}: ${entry.expected ?? 'enters'}`, () => {
      assert.ok(agrees(entry, found[i]), `got "${found[i] ?? 'nothing'}"`);
    });
  });
});
