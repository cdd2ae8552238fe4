import assert from 'node:assert/strict';
import { DEFAULT_POLICY, parsePolicy, PolicyError } from '../../emulator/watch/isolation/policy';
import { areaText, parseArea } from '../../emulator/watch/isolation/areas';

const refused = (given: unknown, message: RegExp) =>
  assert.throws(
    () => parsePolicy(given),
    (error: Error) => error instanceof PolicyError && message.test(error.message),
    message.source,
  );

describe('isolation: the policy file', () => {
  it('may be empty: then the first VMCS of each processor is the VMM', () => {
    assert.deepEqual(parsePolicy({}), DEFAULT_POLICY);
    assert.equal(DEFAULT_POLICY.vmm, 'first');
  });

  it('names memory by image, symbol, physical and guest-physical range', () => {
    const forms = ['monitor', 'monitor!vms', 'monitor!heap..heap_end', '0x1000..0x3000', 'guest 2: 0x5000..0x6000'];
    for (const form of forms) assert.equal(areaText(parseArea(form) ?? assert.fail(form)), form);
    assert.deepEqual(parseArea('0x1000+0x2000'), { kind: 'physical', start: 0x1000n, end: 0x3000n });
    assert.deepEqual(parseArea('guest: 0x0+0x10'), { kind: 'guest', guest: 0, start: 0n, end: 0x10n });
    for (const wrong of ['', '0x2000..0x1000', '0x1000', 'guest 1: here', 'a!b!c', '0x1+0x0'])
      assert.equal(parseArea(wrong), undefined, wrong);
  });

  it('reads every part', () => {
    const policy = parsePolicy({
      monitor: 'monitor',
      vmm: { layers: ['vmm'] },
      shared: ['0x1000+0x1000'],
      unique: false,
      devices: 'required',
      effects: { CPUID: { shows: ['rax'], takes: ['RAX', 'r8'], advances: true, fields: ['GUEST_RFLAGS'] } },
      controls: { set: ['secondary.ENABLE_VPID'], clear: ['pin.PROCESS_POSTED_INTERRUPTS'] },
      launch: { GUEST_CR0: { set: '0x80000001' } },
      at: { every: 1000 },
      severity: { 'entry-state': 'report' },
      secrets: 'monitor!vms',
      encryption: { function: 'monitor!aes_cbc_encrypt', output: 'rdx', length: 'rcx' },
    });
    assert.deepEqual(policy.effects.CPUID?.takes, ['rax', 'r8']);
    assert.deepEqual(policy.controls.clear, [{ word: 'pin', symbol: 'PROCESS_POSTED_INTERRUPTS', mask: 0x80 }]);
    assert.deepEqual(policy.launch, [{ field: 'GUEST_CR0', set: 0x80000001n, clear: 0n }]);
    assert.deepEqual(policy.at, { entries: true, invalidations: false, every: 1000, end: true });
    assert.equal(policy.severity['entry-state'], 'report');
    assert.equal(policy.severity['guest-page'], 'stop');
    assert.equal(policy.encryption[0]?.function, 'aes_cbc_encrypt');
    assert.ok(Object.values(parsePolicy({ severity: 'report' }).severity).every((value) => value === 'report'));
  });

  it('refuses what it does not know, and says where and what may stand there', () => {
    refused([], /^isolation must be an object with any of monitor, vmm/);
    refused({ monitors: [] }, /^isolation has no "monitors"\. Valid: monitor, vmm/);
    refused({ monitor: ['0x2000..0x1000'] }, /^isolation\.monitor\[0\] must be "layer", "layer!symbol"/);
    refused({ vmm: 'second' }, /^isolation\.vmm must be "first", "none"/);
    refused({ effects: { CPU: {} } }, /^isolation\.effects has no "CPU"\. Valid: EXCEPTION_OR_NMI/);
    refused({ effects: { CPUID: { takes: ['eax'] } } }, /^isolation\.effects\.CPUID\.takes\[0\] must be one of rax/);
    refused({ launch: { CR0: {} } }, /no VMCS field "CR0"/);
    refused({ launch: { HOST_CR0: {} } }, /HOST_CR0 is no field of the guest-state area/);
    refused({ controls: { set: ['ENABLE_EPT'] } }, /controls\.set\[0\] must be a control such as/);
    refused({ severity: { 'guest-pages': 'stop' } }, /has no "guest-pages"\. Valid: guest-page/);
    refused({ at: { every: -1 } }, /isolation\.at\.every must be a whole number/);
    refused({ encryption: [{ function: 'aes' }] }, /isolation\.encryption\[0\] needs/);
  });
});
