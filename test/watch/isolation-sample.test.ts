import assert from 'node:assert/strict';
import type { Finding } from '../../emulator/watch/isolation/finding';
import { parsePolicy } from '../../emulator/watch/isolation/policy';
import { resolvePolicy } from '../../emulator/watch/isolation/resolve';
import { IsolationSanitizer } from '../../emulator/watch/isolation/sanitizer';
import { sampleMachine, samplePolicy } from './sample-machine';

/** The monitor is linked this far above the physical addresses that it is loaded at (monitor.ld). */
const MONITOR_BASE = 0xffff_ffff_a000_0000n;
const PHYSICAL = { kind: 'host-physical', cr0: 0n, cr3: 0n, cr4: 0n, efer: 0n, eptp: 0n } as const;
const END = { why: 'ended', outcome: { kind: 'exit-port', code: 0 } };

function run(program: string, modules: readonly string[], withDisk: boolean) {
  const { machine, images } = sampleMachine(program, modules, withDisk);
  const findings: Finding[] = [];
  const policy = resolvePolicy(parsePolicy(samplePolicy()), images);
  const sanitizer = new IsolationSanitizer(machine, policy, { report: (finding) => findings.push(finding) });
  assert.deepEqual(machine.run(1_000_000_000), END);
  sanitizer.check();
  return { machine, findings, sanitizer };
}

describe('isolation: the sample, below a monitor that does its work', function () {
  this.timeout(240_000);

  const runs: readonly [string, string, readonly string[], boolean][] = [
    ['the story, with disk and IOMMU', 'vmm', ['monitor', 'guest'], true],
    ['the attacks, with disk and IOMMU', 'attacks', ['monitor', 'guest'], true],
    ['beneath a hypervisor that knows of nothing', 'chain', ['monitor', 'vmm=hypervisor', 'guest'], false],
  ];
  for (const [title, program, modules, withDisk] of runs) {
    it(`${title}: silent, and pages have changed hands`, () => {
      const { findings, sanitizer, machine } = run(program, modules, withDisk);
      assert.deepEqual(
        findings.map((finding) => finding.title),
        [],
      );
      const { changes } = sanitizer.ownership;
      assert.ok(changes.filter(({ from, to }) => from === 0 && to === 1).length > 10, 'the guest got pages');
      // Who wrote an entry is known once its table is in force.
      const lost = changes.filter(({ from, to }) => from === 1 && to === 0);
      assert.ok(lost.length > 0, 'and lost some');
      assert.ok(
        lost.every(({ writer }) => writer?.by.kind === 'root'),
        'by the monitor',
      );
      // At the instruction that stores to the entry, whatever code ran in one stretch with it
      for (const { writer } of lost) {
        assert.ok(writer);
        const { rip } = writer;
        const instruction = machine.decode({ ...PHYSICAL, codeSize: 64 }, rip - MONITOR_BASE);
        assert.ok(instruction?.isMemory, `0x${rip.toString(16)}: ${instruction?.row.mnemonic}`);
        assert.match(instruction.row.mnemonic, /^(MOV|OR|AND|STOS|MOVS|XCHG)/);
      }
    });
  }
});
