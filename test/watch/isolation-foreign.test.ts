import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parseElf } from '../../emulator/machine/elf';
import { createMachine } from '../../emulator/machine/machine';
import type { Finding } from '../../emulator/watch/isolation/finding';
import { parsePolicy } from '../../emulator/watch/isolation/policy';
import { resolvePolicy } from '../../emulator/watch/isolation/resolve';
import { PolicyWatch } from '../../emulator/watch/policy-watch';
import { keelImage } from '../foreign/keel-images';

const END = { why: 'ended', outcome: { kind: 'exit-port', code: 0 } };

async function run(policy: unknown): Promise<{ findings: Finding[]; hash: string }> {
  const bytes = new Uint8Array(readFileSync(await keelImage('plain')));
  const kernel = { name: 'keel', bytes };
  const machine = createMachine({ memory: 64, kernel, modules: [], commandLine: '', translator: true });
  const findings: Finding[] = [];
  if (policy !== undefined) {
    const resolved = resolvePolicy(parsePolicy(policy), [{ layer: 'keel', elf: parseElf(bytes, 'keel') }]);
    new PolicyWatch(machine, resolved, { report: (finding) => findings.push(finding) });
  }
  assert.deepEqual(machine.run(100_000_000), END);
  return { findings, hash: machine.stateHash() };
}

const rules = (findings: readonly Finding[]) => [...new Set(findings.map(({ rule }) => rule))].sort();

/** Keel gives its guests all of memory one to one, itself with it, and changes their registers as it likes. */
describe('isolation: a hypervisor of another make, by a small policy', function () {
  this.timeout(120_000);

  it('says what its guests can reach of it and of each other', async () => {
    const { findings } = await run({ monitor: ['keel'], vmm: 'none' });
    assert.deepEqual(rules(findings), ['entry-state', 'monitor-memory', 'two-addresses', 'two-guests']);
    const [first] = findings;
    assert.match(
      first?.title ?? '',
      /^Guest 1 can read, write and execute page 0x1000000 of the monitor, and \d+ more pages$/,
    );
    assert.ok(first && first.path.length > 0, 'by which entries');
  });

  it('without a monitor it is the control structures in force that nobody else may reach', async () => {
    const { findings } = await run({ vmm: 'none' });
    const structures = findings.filter(({ rule }) => rule === 'control-structure').map(({ title }) => title);
    assert.ok(
      structures.some((title) => title.includes('VMCS of guest 1')),
      structures.join('\n'),
    );
    assert.ok(
      structures.some((title) => title.includes('EPT table of guest 1')),
      structures.join('\n'),
    );
  });

  it('is silent about what is declared, and changes nothing of the run', async () => {
    const policy = {
      vmm: 'none',
      shared: ['0x0..0x4000000'],
      unique: false,
      severity: { 'entry-state': 'off', 'control-structure': 'off' },
    };
    const { findings, hash } = await run(policy);
    assert.deepEqual(findings, []);
    const alone = await run(undefined);
    assert.equal(hash, alone.hash);
  });
});
