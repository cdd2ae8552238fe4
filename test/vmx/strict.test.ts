import assert from 'node:assert/strict';
import { Secondary } from '../../emulator/arch/controls';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { instruction, OPERAND, type VmxBench } from './bench';
import { ALL, eptGuest, load, mapPage, PAGE, pte, store, VMCALL } from './ept-guest';
import type { GuestBench } from './guest-code';

const RCX = 1;
const OTHER = 0xb_0000n;
const PML4 = 0xa000n;
const WB = 0x30n;

const guest = (code: readonly number[], controls = 0, prepare: (bench: VmxBench) => void = () => undefined) =>
  eptGuest(
    code,
    controls,
    (bench) => {
      bench.write64(PAGE, 1n);
      bench.write64(OTHER, 2n);
      bench.set('VPID', 5);
      prepare(bench);
    },
    true,
  );

function call(g: GuestBench): void {
  assert.equal(g.enter(), ExitReason.VMCALL);
  g.bench.set('GUEST_RIP', g.bench.get('GUEST_RIP') + 3n);
}

/** A store by the hypervisor, in root operation */
const hostStore = (bench: VmxBench, at: bigint, value: bigint): void => bench.cpu.linear.write(at, 8, value);

function invept(bench: VmxBench): void {
  bench.state.setGpr(RCX, 2n);
  bench.write64(OPERAND, 0n);
  bench.write64(OPERAND + 8n, 0n);
  bench.run(instruction('INVEPT', 'invept', { reg: RCX, mod: 0, isMemory: true, displacement: OPERAND }, 'VMX'));
}

describe('strict mode under EPT', () => {
  const code = [...load(PAGE), ...VMCALL, ...load(PAGE), ...VMCALL];

  it('tells what is cached, what the EPT entry says now, who changed it, and that INVEPT is missing', () => {
    const g = guest(code);
    call(g);
    hostStore(g.bench, pte(PAGE), OTHER | WB | ALL);
    call(g);
    assert.equal(g.bench.state.gpr(0), 1n, 'the stale mapping is used');
    assert.equal(g.bench.stale.length, 1);
    const [use] = g.bench.stale;
    assert.equal(use?.access, 'read');
    assert.equal(use?.linear, PAGE);
    assert.equal(use?.guestPhysical, PAGE);
    assert.equal(use?.hostPhysical, PAGE);
    assert.equal(use?.currentHostPhysical, OTHER);
    assert.equal(use?.difference, 'another page');
    assert.equal(use?.entry?.name, 'EPT PTE');
    assert.equal(use?.entry?.address, pte(PAGE));
    assert.equal(use?.entry?.before, PAGE | WB | ALL);
    assert.equal(use?.entry?.now, OTHER | WB | ALL);
    assert.equal(use?.entry?.writer.root, true);
    assert.equal(use?.invalidation, 'INVEPT for the EPT pointer with root 0x80000');
  });

  it('is silent after INVEPT, and while only rights are given', () => {
    const g = guest(code, Secondary.ENABLE_VPID, (bench) => mapPage(bench, PAGE, 5n));
    call(g);
    hostStore(g.bench, pte(PAGE), PAGE | WB | ALL);
    call(g);
    assert.deepEqual(g.bench.stale, []);
    const other = guest(code);
    call(other);
    hostStore(other.bench, pte(PAGE), OTHER | WB | ALL);
    invept(other.bench);
    call(other);
    assert.equal(other.bench.state.gpr(0), 2n);
    assert.deepEqual(other.bench.stale, []);
  });

  it('tells of a right that was taken, and of a mapping that is gone', () => {
    for (const [flags, difference] of [
      [5n, 'this access is not allowed'],
      [0n, 'EPT does not map it'],
    ] as const) {
      const g = guest([...store(PAGE), ...VMCALL, ...store(PAGE), ...VMCALL]);
      call(g);
      hostStore(g.bench, pte(PAGE), PAGE | WB | flags);
      call(g);
      assert.equal(g.bench.stale.length, 1);
      assert.equal(g.bench.stale[0]?.difference, difference);
      assert.equal(g.bench.stale[0].access, 'write');
    }
  });

  it('tells of a dirty flag that was cleared without INVEPT', () => {
    const g = guest([...store(PAGE), ...VMCALL, ...store(PAGE), ...VMCALL], Secondary.ENABLE_VPID, (bench) =>
      bench.or('EPT_POINTER', 1n << 6n),
    );
    call(g);
    hostStore(g.bench, pte(PAGE), PAGE | WB | ALL | 0x100n);
    call(g);
    assert.match(g.bench.stale[0]?.difference ?? '', /dirty flag/);
    assert.equal(g.bench.read64(pte(PAGE)) & 0x200n, 0n);
  });

  it('tells INVVPID from INVLPG by who changed the guest table', () => {
    // The guest's PML4 entry 0 leads to a 1-GByte page; entry 1 is made to lead there, and then elsewhere.
    const far = (1n << 39n) + PAGE;
    const loadFar = [0x48, 0xa1, ...Array.from({ length: 8 }, (_, i) => Number((far >> BigInt(i * 8)) & 0xffn))];
    const g = guest([...loadFar, ...VMCALL, ...loadFar, ...VMCALL], Secondary.ENABLE_VPID, (bench) =>
      bench.write64(PML4 + 8n, bench.read64(PML4)),
    );
    call(g);
    hostStore(g.bench, PML4 + 8n, 0n);
    call(g);
    assert.equal(g.bench.stale.length, 1);
    assert.equal(g.bench.stale[0]?.entry?.name, 'PML4E');
    assert.equal(g.bench.stale[0].difference, 'an entry is not present');
    assert.equal(g.bench.stale[0].invalidation, 'INVVPID for VPID 5');
  });

  it('sees stores of the guest to its own tables', () => {
    // mov rbx, PML4 + 8; mov qword [rbx], 0; then the far address again
    const far = (1n << 39n) + PAGE;
    const loadFar = [0x48, 0xa1, ...Array.from({ length: 8 }, (_, i) => Number((far >> BigInt(i * 8)) & 0xffn))];
    const clear = [0x48, 0xc7, 0x04, 0x25, 0x08, 0xa0, 0, 0, 0, 0, 0, 0];
    const g = guest([...loadFar, ...clear, ...loadFar, ...VMCALL], Secondary.ENABLE_VPID, (bench) =>
      bench.write64(PML4 + 8n, bench.read64(PML4)),
    );
    call(g);
    assert.equal(g.bench.stale.length, 1);
    assert.equal(g.bench.stale[0]?.invalidation, 'INVLPG or MOV to CR3');
    assert.equal(g.bench.stale[0].entry?.writer.root, false);
    assert.equal(g.bench.stale[0].rip, g.bench.get('GUEST_RIP') - 3n - 10n);
  });
});
