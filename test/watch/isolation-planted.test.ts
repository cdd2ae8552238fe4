import assert from 'node:assert/strict';
import type { Finding } from '../../emulator/watch/isolation/finding';
import { parsePolicy } from '../../emulator/watch/isolation/policy';
import { resolvePolicy } from '../../emulator/watch/isolation/resolve';
import { IsolationSanitizer } from '../../emulator/watch/isolation/sanitizer';
import { sampleMachine, samplePolicy } from './sample-machine';

const HOST = { kind: 'host-physical', cr0: 0n, cr3: 0n, cr4: 0n, efer: 0n, eptp: 0n, codeSize: 64 } as const;

describe('isolation: faults planted by the debugger', function () {
  this.timeout(120_000);

  it('finds a page of the guest that an entry of EPT-x is made to map, and whose page it is', () => {
    const { machine, images } = sampleMachine('vmm', ['monitor', 'guest'], false);
    const findings = new Array<Finding>();
    const policy = resolvePolicy(parsePolicy(samplePolicy()), images);
    const sanitizer = new IsolationSanitizer(machine, policy, { report: (finding) => findings.push(finding) });
    machine.run(3_000_000);
    assert.equal(findings.length, 0);
    const page = sanitizer.ownership.changes.at(-1)?.page ?? assert.fail('the guest has no page');
    assert.equal(sanitizer.ownership.of(page), 1);
    const vmm = machine.contexts.find(({ root }) => !root) ?? assert.fail('the VMM was not entered');
    const { steps } = machine.walk({ ...vmm.space, kind: 'guest-physical' }, BigInt(page) * 4096n);
    const last = steps.at(-1) ?? assert.fail('EPT-x has no entry for the page');
    const entry = new Uint8Array(8);
    new DataView(entry.buffer).setBigUint64(0, last.entry | 7n, true);
    assert.equal(machine.writeMemory(HOST, last.entryAddress, entry), 8);
    machine.run(1_000_000);
    const found = findings.at(0);
    assert.ok(found);
    assert.equal(found.rule, 'guest-page');
    assert.match(
      found.title,
      new RegExp(`^The VMM can read, write and execute page 0x${page.toString(16)}000 of guest 1`),
    );
    assert.ok(
      found.path.some(({ address }) => address === last.entryAddress),
      'the path names the entry',
    );
  });
});
