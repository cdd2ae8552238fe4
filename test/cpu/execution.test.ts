import { strict as assert } from 'node:assert';
import { Segment, State } from '../../emulator/memory/layout';
import { Bench, GDT, HANDLER, KERNEL_CODE } from './harness';

const RBX = 3;

/** Programs that the generated interpreter and the processor run together. */
describe('programs', () => {
  it('switches from protected mode to 64-bit mode, computes, and traps', () => {
    const b = new Bench({}, true).longMode();
    // Back to what a PVH loader leaves: flat 32-bit protected mode, paging off.
    const { state } = b.cpu;
    state.cr0 = 0x31n;
    state.cr4 = 0n;
    state.efer = 0n;
    state.setSegment(Segment.CS, { selector: 0x30, access: 0xc09b, limit: 0xffffffff, base: 0n });
    b.cpu.contextChanged();
    b.load(
      0x8000,
      `0f20e0 83c820 0f22e0          mov eax,cr4; or eax,20h (PAE); mov cr4,eax
       b800000200 0f22d8             mov eax,20000h; mov cr3,eax
       b9800000c0 0f32 0d01090000 0f30  EFER |= SCE, LME, NXE
       0f20c0 0d01000180 0f22c0      CR0 |= PG, WP, PE
       ea318000000800                jmp 8:8031h
       b810000000 8ed8 8ed0          mov eax,10h; mov ds,eax; mov ss,eax
       bc00900000 b9e8030000 31c0    mov esp,9000h; mov ecx,1000; xor eax,eax
       01c8 ffc9 75fa                add eax,ecx; dec ecx; jnz
       89c3 b801000000 0fa2          mov ebx,eax; mov eax,1; cpuid
       0f0b                          ud2`
        .split('\n')
        .map((line) => line.trim().split(/ {2,}/)[0])
        .join(''),
    );
    state.rip = 0x8000n;
    b.load(Number(HANDLER) + 6 * 16, 'f4');
    const result = b.cpu.run(100_000);
    assert.deepEqual(result, { why: 'halted' });
    assert.equal(state.rip, HANDLER + 6n * 16n + 1n, 'the #UD handler halted');
    assert.equal(b.cpu.codeSize, 64);
    assert.equal(state.segmentSelector(Segment.CS), KERNEL_CODE);
    assert.equal(state.gpr(0), 0x000506e3n);
    assert.equal(state.get64(State.RETIRED), 19n + 3n * 1000n + 3n + 1n);
    assert.equal(b.read64(BigInt(GDT + 8)) >> 40n, 0xaf9bn, 'the accessed bit of the code descriptor is set');
    assert.equal(state.gpr(RBX) & 0xffffn, 0x0800n);
  });
});
