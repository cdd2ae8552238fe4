import assert from 'node:assert/strict';
import { Primary, Secondary } from '../../emulator/arch/controls';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { instruction, OPERAND, type VmxBench } from './bench';
import { ALL, EPT, eptGuest, load, loadFar, mapPage, PAGE, store, VMCALL } from './ept-guest';
import { CODE, type GuestBench } from './guest-code';

const RAX = 0;
const RCX = 1;
const OTHER = 0xb_0000n;
/** A second linear address of everything: entry 1 of the guest's PML4 leads to the same tables. */
const ALIAS = 0x80_0000_0000n;
const GUEST_PML4 = 0xa000n;

const guest = (code: readonly number[], controls = 0, prepare: (bench: VmxBench) => void = () => undefined) =>
  eptGuest(code, controls, (bench) => {
    bench.write64(GUEST_PML4 + 8n, bench.read64(GUEST_PML4));
    bench.write64(PAGE, 1n);
    bench.write64(OTHER, 2n);
    bench.set('VPID', 5);
    prepare(bench);
  });

/** Enters until the next VMCALL, and steps over it. @returns the guest's RAX */
function call(g: GuestBench): bigint {
  assert.equal(g.enter(), ExitReason.VMCALL);
  const { bench } = g;
  bench.set('GUEST_RIP', bench.get('GUEST_RIP') + 3n);
  return bench.state.gpr(RAX);
}

function invept(bench: VmxBench, eptp: bigint): void {
  bench.state.setGpr(RCX, 1n);
  bench.write64(OPERAND + 8n, 0n);
  const row = instruction('INVEPT', 'invept', { reg: RCX, mod: 0, isMemory: true, displacement: OPERAND }, 'VMX');
  bench.write64(OPERAND, eptp);
  assert.deepEqual(bench.run(row), { kind: 'done' });
}

describe('guest-physical mappings (SDM vol. 3, 29.4)', () => {
  const twice = [...load(PAGE), ...VMCALL, ...loadFar(ALIAS + PAGE), ...VMCALL];

  for (const vpid of [0, Secondary.ENABLE_VPID]) {
    const name = vpid ? 'with a VPID' : 'without VPIDs';
    it(`outlive a change of EPT without INVEPT, at another linear address too, ${name}`, () => {
      const g = guest(twice, vpid);
      assert.equal(call(g), 1n);
      mapPage(g.bench, PAGE, ALL, OTHER);
      assert.equal(call(g), 1n, 'stale, as on silicon');
    });

    it(`go with INVEPT of their root, ${name}`, () => {
      const g = guest(twice, vpid);
      assert.equal(call(g), 1n);
      mapPage(g.bench, PAGE, ALL, OTHER);
      invept(g.bench, EPT | 0x1en);
      assert.equal(call(g), 2n);
    });
  }

  it('stay over INVEPT of another root', () => {
    const g = guest(twice);
    assert.equal(call(g), 1n);
    mapPage(g.bench, PAGE, ALL, OTHER);
    invept(g.bench, 0xd_001en);
    assert.equal(call(g), 1n);
  });

  it('of a page go with an EPT violation at it, with the combined mapping of the linear address', () => {
    const code = [...load(PAGE), ...VMCALL, ...store(PAGE), ...load(PAGE), ...VMCALL];
    const g = guest(code, Secondary.ENABLE_VPID, (bench) => mapPage(bench, PAGE, 5n));
    assert.equal(call(g), 1n);
    mapPage(g.bench, PAGE, 5n, OTHER);
    assert.equal(g.enter(), ExitReason.EPT_VIOLATION);
    g.bench.set('GUEST_RIP', g.bench.get('GUEST_RIP') + BigInt(store(PAGE).length));
    assert.equal(call(g), 2n);
  });

  it('give no right that EPT has taken, and wait for no flush where it gave one', () => {
    const g = guest([...load(PAGE), ...VMCALL, ...store(PAGE), ...VMCALL], 0, (bench) => mapPage(bench, PAGE, 5n));
    assert.equal(call(g), 1n);
    mapPage(g.bench, PAGE, ALL);
    call(g);
  });
});

describe('combined mappings (SDM vol. 3, 29.4)', () => {
  // The guest's own table: a 1-GByte page, to which linear 8000000000H leads.
  const twice = [...loadFar(ALIAS + PAGE), ...VMCALL, ...loadFar(ALIAS + PAGE), ...VMCALL];
  const OTHER_PDPT = 0xc_0000n;
  const remap = (bench: VmxBench): void => {
    // Linear 8000000000H + PAGE now leads to OTHER: through a page of 4 KByte.
    bench.write64(OTHER_PDPT, 0xc_1007n);
    bench.write64(0xc_1000n, 0xc_2007n);
    bench.write64(0xc_2000n + (PAGE >> 12n) * 8n, OTHER | 7n);
    bench.write64(GUEST_PML4 + 8n, OTHER_PDPT | 7n);
  };

  it('of a VPID outlive VM exits and entries', () => {
    const g = guest(twice, Secondary.ENABLE_VPID);
    assert.equal(call(g), 1n);
    remap(g.bench);
    assert.equal(call(g), 1n);
  });

  it('without VPIDs go with every VM exit', () => {
    const g = guest(twice);
    assert.equal(call(g), 1n);
    remap(g.bench);
    assert.equal(call(g), 2n);
  });
});

describe('INVPCID in non-root operation', () => {
  const INVPCID = [0x66, 0x0f, 0x38, 0x82, 0x0c, 0x25, 0x00, 0x00, 0x0a, 0x00];
  const code = [...INVPCID, ...VMCALL];

  it('is undefined without "enable INVPCID"', () => {
    const g = guest(code);
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(g.handler, 6);
  });

  it('exits with "INVLPG exiting", with its operands', () => {
    const g = guest(code, Secondary.ENABLE_INVPCID, (bench) =>
      bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.INVLPG_EXITING),
    );
    assert.equal(g.enter(), ExitReason.INVPCID);
    assert.equal(g.bench.get('EXIT_QUALIFICATION'), PAGE);
    assert.equal(g.bench.get('EXIT_INSTRUCTION_INFORMATION') >> 28n, 1n);
  });

  it('works otherwise', () => {
    const g = guest(code, Secondary.ENABLE_INVPCID, (bench) => {
      bench.write64(PAGE, 0n);
      bench.write64(PAGE + 8n, 0n);
    });
    g.bench.state.setGpr(RCX, 2n);
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(g.bench.get('GUEST_RIP'), CODE + BigInt(INVPCID.length));
  });
});
