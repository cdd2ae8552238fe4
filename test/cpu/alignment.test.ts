import { strict as assert } from 'node:assert';
import { Vector } from '../../emulator/arch/exceptions';
import { Cr0 } from '../../emulator/arch/control-registers';
import { Rflags } from '../../emulator/arch/flags';
import { State } from '../../emulator/memory/layout';
import { Bench, HANDLER } from './harness';

/** Alignment check (SDM vol. 3, 6.15, "Interrupt 17"): CPL 3, CR0.AM and RFLAGS.AC, data accesses of the program. */
const RAX = 0;
const RBX = 3;
const RCX = 1;
const RSP = 4;
const DATA = 0xc000n;

interface Options {
  readonly user?: boolean;
  readonly mask?: boolean;
  readonly check?: boolean;
  readonly address?: bigint;
  readonly stack?: bigint;
  readonly iterations?: bigint;
}

/** Runs code with RBX = address and RCX = iterations; "halted" ends it, as does the #GP of HLT in user code. */
function run(
  code: string,
  options: Options = {},
): { readonly vector: number; readonly error: number; readonly bench: Bench } {
  const { user = true, mask = true, check = true, address = DATA + 1n, stack = 0xd000n, iterations = 0n } = options;
  const b = new Bench({}, true).longMode();
  if (user) b.userMode();
  b.load(0x8000, `${code} f4`);
  for (let vector = 0; vector < 32; vector++) b.load(Number(HANDLER) + vector * 16, 'f4');
  const { state } = b.cpu;
  if (mask) state.cr0 |= Cr0.AM;
  if (check) state.rflags |= Rflags.AC;
  state.setGpr(RAX, 0n);
  state.setGpr(RBX, address);
  state.setGpr(RCX, iterations);
  state.setGpr(RSP, stack);
  b.cpu.contextChanged();
  b.cpu.engine.hotThreshold = 100;
  assert.equal(b.cpu.run(1_000_000).why, 'halted');
  const at = Number(state.rip) - 1 - Number(HANDLER);
  return { vector: at < 0 ? -1 : at / 16, error: b.read32(state.gpr(RSP)), bench: b };
}

const LOADS = { word: '66 8b 03', doubleword: '8b 03', quadword: '48 8b 03' };

describe('alignment check', () => {
  for (const [name, code] of Object.entries(LOADS))
    it(`a ${name} that is not aligned raises #AC(0)`, () => {
      const { vector, error, bench } = run(code);
      assert.equal(vector, Vector.AC);
      assert.equal(error, 0);
      assert.equal(bench.read64(bench.cpu.state.gpr(RSP) + 8n), 0x8000n);
    });

  it('an aligned one, and a byte, do not', () => {
    for (const code of Object.values(LOADS)) assert.equal(run(code, { address: DATA }).vector, Vector.GP);
    assert.equal(run('8a 03').vector, Vector.GP);
    assert.equal(run('8b 03', { address: DATA + 2n }).vector, Vector.AC);
    assert.equal(run('66 8b 03', { address: DATA + 2n }).vector, Vector.GP);
  });

  it('not at CPL 0, without CR0.AM, or without RFLAGS.AC', () => {
    assert.equal(run('8b 03', { user: false }).vector, -1);
    assert.equal(run('8b 03', { mask: false }).vector, Vector.GP);
    assert.equal(run('8b 03', { check: false }).vector, Vector.GP);
  });

  it('stores, read-modify-writes, pushes and accesses over a page boundary', () => {
    for (const code of ['89 03', '01 03', 'f0 01 03']) {
      const { vector, bench } = run(code);
      assert.equal(vector, Vector.AC);
      assert.equal(bench.read64(DATA), 0n);
    }
    assert.equal(run('50', { stack: 0xd001n }).vector, Vector.AC);
    assert.equal(run('9c', { stack: 0xd004n }).vector, Vector.AC);
    assert.equal(run('48 8b 03', { address: DATA + 0xffcn }).vector, Vector.AC);
    assert.equal(run('48 89 03', { address: DATA + 0xffcn }).vector, Vector.AC);
  });

  it('a page fault comes first', () => {
    assert.equal(run('8b 03', { address: 0x4000_0001n }).vector, Vector.PF);
  });

  it('POPF switches it on and off between two instructions', () => {
    // pushfq; or dword [rsp], 0x40000; popfq; mov eax, [rbx]
    assert.equal(run('9c 810c2400000400 9d 8b 03', { check: false }).vector, Vector.AC);
    // pushfq; and dword [rsp], ~0x40000; popfq; mov eax, [rbx]
    assert.equal(run('9c 812424fffffbff 9d 8b 03').vector, Vector.GP);
  });

  it('in hot code as well: a loop of aligned accesses, then one that is not', () => {
    // loop: add [rbx], eax; dec ecx; jnz loop; inc rbx; add [rbx], eax
    const { vector, bench } = run('01 03 ff c9 75 fa 48 ff c3 01 03', { address: DATA, iterations: 2000n });
    assert.equal(vector, Vector.AC);
    assert.equal(bench.cpu.state.gpr(RBX), DATA + 1n);
    assert.ok(bench.cpu.state.get64(State.RETIRED) > 6000n);
  });

  it('mappings that were cached before are checked too, and work unchecked afterwards', () => {
    // mov eax, [rbx]; set AC; mov eax, [rbx + 3]; the handler is not reached: aligned. Then clear AC and read unaligned.
    const code = '8b 03 9c 810c2400000400 9d 8b 43 03 9c 812424fffffbff 9d 8b 03';
    assert.equal(run(code, { check: false }).vector, Vector.GP);
  });
});
