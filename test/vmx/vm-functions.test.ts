import assert from 'node:assert/strict';
import { VmxMsr } from '../../emulator/arch/capability-msrs';
import { Secondary } from '../../emulator/arch/controls';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { Vector } from '../../emulator/arch/exceptions';
import { readMsr } from '../../emulator/cpu/msr';
import { Segment, State } from '../../emulator/memory/layout';
import { enableEpt, type VmxBench } from './bench';
import { CODE, GuestBench } from './guest-code';

const LIST = 0x7_0000n;
const WB_4_LEVELS = 6n | (3n << 3n);
const ROOTS = [0x7_2000n, 0x7_4000n] as const;
const EPTPS = ROOTS.map((root) => root | WB_4_LEVELS);
const DATA = 0x8_0000n;
const RAX = 0;
const RCX = 1;
const RBX = 3;
/** vmfunc; mov rbx, [0x80000]; vmcall */
const CODE_BYTES = [0x0f, 0x01, 0xd4, 0x48, 0x8b, 0x1c, 0x25, 0x00, 0x00, 0x08, 0x00, 0x0f, 0x01, 0xc1];

/** Two EPTs that map 1 GByte identically; the second has DATA elsewhere, in a guest whose page tables map DATA + 1 GByte. */
function guest(eax: bigint, ecx: bigint, prepare: (bench: VmxBench) => void = () => undefined): GuestBench {
  const g = new GuestBench(CODE_BYTES, (bench) => {
    enableEpt(bench, Secondary.ENABLE_VM_FUNCTIONS);
    bench.set('VM_FUNCTION_CONTROLS', 1);
    bench.set('EPTP_LIST_ADDRESS', LIST);
    ROOTS.forEach((root, i) => {
      bench.write64(root, (root + 0x1000n) | 7n);
      // Without large pages in the first root, so that nothing is cached in common.
      bench.write64(root + 0x1000n, 0xb7n);
      bench.write64(LIST + BigInt(i) * 8n, EPTPS[i] ?? 0n);
    });
    bench.set('EPT_POINTER', EPTPS[0] ?? 0n);
    bench.write64(DATA, 0x1111n);
    prepare(bench);
  });
  g.bench.state.setGpr(RAX, eax);
  g.bench.state.setGpr(RCX, ecx);
  return g;
}

describe('VM functions (SDM vol. 3, 26.5.6)', () => {
  it('IA32_VMX_VMFUNC announces EPTP switching and nothing else', () => {
    assert.equal(readMsr(guest(0n, 0n).bench.cpu, VmxMsr.IA32_VMX_VMFUNC), 1n);
  });

  it('EPTP switching replaces the EPT pointer by the entry, changes no flag, and takes effect at once', () => {
    const g = guest(0xffff_ffff_0000_0000n, 0xffff_ffff_0000_0001n, (bench) => bench.or('GUEST_RFLAGS', 0x8d5));
    const { bench } = g;
    // The second EPT maps the first 2 MByte elsewhere but for the code: here, simply nothing of DATA's page.
    const table = 0x7_6000n;
    bench.write64(ROOTS[1] + 0x1000n, (table + 0x1000n) | 7n);
    bench.write64(table + 0x1000n, (table + 0x2000n) | 7n);
    for (let page = 0n; page < 256n; page++) bench.write64(table + 0x2000n + page * 8n, (page << 12n) | 0x37n);
    bench.write64(table + 0x2000n + (DATA >> 12n) * 8n, 0x9_0000n | 0x37n);
    bench.write64(0x9_0000n, 0x2222n);
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(bench.state.gpr(RBX), 0x2222n);
    assert.equal(bench.get('EPT_POINTER'), EPTPS[1]);
    assert.equal(bench.get('GUEST_RFLAGS') & 0x8d5n, 0x8d5n);
  });

  it('a mapping that was cached under the old EPT is back when the guest switches back', () => {
    // mov rbx, [DATA]; vmfunc to 1; mov edx 0 -> vmfunc to 0; mov rbx, [DATA]; vmcall
    const read = [0x48, 0x8b, 0x1c, 0x25, 0x00, 0x00, 0x08, 0x00];
    const vmfunc = (entry: number) => [0xb9, entry, 0, 0, 0, 0x0f, 0x01, 0xd4];
    const g = guest(0n, 0n);
    g.bytes(CODE, [...read, ...vmfunc(1), ...vmfunc(0), ...read, 0x0f, 0x01, 0xc1]);
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(g.bench.state.gpr(RBX), 0x1111n);
    assert.equal(g.bench.get('EPT_POINTER'), EPTPS[0]);
    assert.deepEqual(
      g.bench.flushes.filter((scope) => /EPT/.test(scope)),
      [],
    );
  });

  it('exits with reason 59 for a function that is not enabled, an index beyond the list, and a bad EPT pointer', () => {
    const exits: [bigint, bigint, (bench: VmxBench) => void][] = [
      [1n, 0n, () => undefined],
      [63n, 0n, () => undefined],
      [0n, 0n, (bench) => bench.set('VM_FUNCTION_CONTROLS', 0)],
      [0n, 512n, () => undefined],
      [0n, 0xffff_ffffn, () => undefined],
      [0n, 2n, (bench) => bench.write64(LIST + 16n, 0n)],
      [0n, 2n, (bench) => bench.write64(LIST + 16n, 0x9001n | (3n << 3n))],
      [0n, 2n, (bench) => bench.write64(LIST + 16n, 0x9006n)],
      [0n, 511n, (bench) => bench.write64(LIST + 511n * 8n, (1n << 45n) | WB_4_LEVELS)],
    ];
    for (const [eax, ecx, prepare] of exits) {
      const g = guest(eax, ecx, prepare);
      assert.equal(g.enter(), ExitReason.VMFUNC, `EAX ${eax}, ECX ${ecx}`);
      assert.equal(g.bench.get('EXIT_QUALIFICATION'), 0n);
      assert.equal(g.bench.get('EXIT_INSTRUCTION_LENGTH'), 3n);
      assert.equal(g.bench.get('EPT_POINTER'), EPTPS[0]);
      assert.equal(g.bench.get('GUEST_RIP'), CODE);
    }
  });

  it('is undefined without the control, for EAX above 63, and outside non-root operation', () => {
    const without = guest(0n, 0n, (bench) =>
      bench.clear('SECONDARY_PROCESSOR_CONTROLS', Secondary.ENABLE_VM_FUNCTIONS),
    );
    assert.equal(without.enter(), ExitReason.VMCALL);
    assert.equal(without.handler, Vector.UD);
    const beyond = guest(64n, 0n);
    assert.equal(beyond.enter(), ExitReason.VMCALL);
    assert.equal(beyond.handler, Vector.UD);
  });

  it('works at CPL 3', () => {
    const g = guest(0n, 1n, (bench) => {
      bench.set('GUEST_CS_SELECTOR', 11);
      bench.set('GUEST_CS_ACCESS_RIGHTS', 0xa0fb);
      bench.set('GUEST_SS_SELECTOR', 19);
      bench.set('GUEST_SS_ACCESS_RIGHTS', 0xc0f3);
    });
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(g.bench.get('EPT_POINTER'), EPTPS[1]);
    assert.equal(g.bench.state.segmentSelector(Segment.CS), 8);
    assert.equal(g.bench.state.get64(State.EPTP), 0n);
  });
});
