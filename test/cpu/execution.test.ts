import { strict as assert } from 'node:assert';
import { hostPhysical } from '../../emulator/memory/address';
import { Segment, State } from '../../emulator/memory/layout';
import { Bench, GDT, HANDLER, KERNEL_CODE } from './harness';

const [RAX, RCX, RDX, RBX, RSP, RDI] = [0, 1, 2, 3, 4, 7];
/** Page table that `paged` puts at linear 400000H to 5FFFFFH */
const TABLE = 0x30000;
const DEVICE = 0xfe000000n;
const PAGE_FAULT = Number(HANDLER) + 14 * 16;

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

  /** 64-bit mode with a page table for linear 400000H: first page at 60000H, the others not present. */
  function paged(parts = {}, ramSize = 0x200000): Bench {
    const b = new Bench(parts, true, ramSize).longMode();
    b.write64(0x22010, BigInt(TABLE) | 7n);
    b.write64(TABLE, 0x60007n);
    b.write64(0x60000, 0x1111n);
    b.write64(0x61000, 0x2222n);
    return b;
  }

  it('keeps using a stale translation until INVLPG', () => {
    const b = paged();
    // mov rbx,[400000h]; mov qword [30000h],61067h; mov rcx,[400000h]; invlpg [400000h]; mov rdx,[400000h]; hlt
    b.load(0x8000, '488b1c2500004000 48c7042500000300 67100600 488b0c2500004000 0f013c2500004000 488b142500004000 f4');
    assert.equal(b.cpu.run(100).why, 'halted');
    assert.deepEqual(
      [RBX, RCX, RDX].map((r) => b.cpu.state.gpr(r)),
      [0x1111n, 0x1111n, 0x2222n],
    );
  });

  it('restarts an instruction after its page fault, with nothing of it done before', () => {
    const b = paged();
    // mov rax,1122334455667788h; mov [400ffch],rax; hlt
    b.load(0x8000, '48b88877665544332211 48890425fc0f4000 f4');
    // mov rcx,cr2; hlt, then mov qword [30008h],62067h; add rsp,8; iretq
    b.load(PAGE_FAULT, '0f20d1 f4 48c7042508000300 67200600 4883c408 48cf');
    assert.equal(b.cpu.run(100).why, 'halted');
    const { state } = b.cpu;
    assert.equal(state.gpr(RCX), 0x401000n, 'CR2 is the first byte that failed');
    assert.equal(b.read64(state.gpr(RSP)), 2n, 'write, supervisor, not present');
    assert.equal(b.read64(state.gpr(RSP) + 8n), 0x800an);
    assert.equal(b.read32(0x60ffcn), 0, 'the first half was not stored');
    assert.equal(state.get64(State.RETIRED), 3n);
    state.set32(State.ACTIVITY, 0);
    assert.equal(b.cpu.run(100).why, 'halted');
    assert.equal(state.rip, 0x8013n);
    assert.equal(b.read32(0x60ffcn), 0x55667788);
    assert.equal(b.read32(0x62000n), 0x11223344);
    assert.equal(b.read64(BigInt(TABLE)) & 0x60n, 0x60n);
  });

  it('executes what a program writes over its own code', () => {
    const b = paged();
    // mov ecx,2; 1: mov eax,1; add ebx,eax; mov byte [8006h],5; dec ecx; jnz 1b; hlt
    b.load(0x8000, 'b902000000 b801000000 01c3 c604250680000005 ffc9 75ed f4');
    assert.equal(b.cpu.run(100).why, 'halted');
    assert.equal(b.cpu.state.gpr(RBX), 6n);
  });

  it('executes what is written through another mapping of the code', () => {
    const b = paged();
    b.write64(TABLE, 0x8007n);
    // mov ecx,2; 1: mov eax,1; add ebx,eax; mov byte [400006h],5; dec ecx; jnz 1b; hlt
    b.load(0x8000, 'b902000000 b801000000 01c3 c604250600400005 ffc9 75ed f4');
    assert.equal(b.cpu.run(100).why, 'halted');
    assert.equal(b.cpu.state.gpr(RBX), 6n);
  });

  it('shows devices the exact clock, once an access, and takes their interrupt before the next instruction', () => {
    const log: string[] = [];
    let pending = -1;
    const interrupts = {
      pendingVector: () => pending,
      acknowledge: () => {
        const vector = pending;
        pending = -1;
        return vector;
      },
      nextDeadline: () => Infinity,
      advance: () => undefined,
      taskPriority: 0,
    };
    const b = paged({ interrupts });
    b.physical.addRange({
      name: 'device',
      base: hostPhysical(DEVICE),
      size: 0x1000n,
      read: (offset, size) => {
        log.push(`read ${offset.toString(16)} ${size} at ${b.cpu.clock}`);
        return 0x77n;
      },
      write: (offset, size, value) => {
        log.push(`write ${offset.toString(16)} ${size} ${value.toString(16)} at ${b.cpu.clock}`);
        pending = 0x30;
      },
    });
    b.write64(TABLE + 0x100 * 8, DEVICE | 7n);
    // nop; nop; mov eax,[500010h]; mov [500020h],eax; nop; hlt
    b.load(0x8000, '90 90 8b042510005000 89042520005000 90 f4');
    b.load(Number(HANDLER) + 0x30 * 16, 'f4');
    b.cpu.state.rflags = 0x202n;
    assert.equal(b.cpu.run(100).why, 'halted');
    assert.deepEqual(log, ['read 10 4 at 2', 'write 20 4 77 at 3']);
    assert.equal(b.cpu.state.gpr(RAX), 0x77n);
    assert.equal(b.read64(b.cpu.state.gpr(RSP)), 0x8010n, 'the interrupt came right after the store');
  });

  it('stops a REP at the page that faults, with its registers at that iteration', () => {
    const b = paged();
    // mov ecx,4; mov edi,400ff8h; mov eax,41h; cld; rep stosd; hlt
    b.load(0x8000, 'b904000000 bff80f4000 b841000000 fc f3ab f4');
    b.load(PAGE_FAULT, 'f4');
    assert.equal(b.cpu.run(100).why, 'halted');
    const { state } = b.cpu;
    assert.equal(state.gpr(RCX), 2n);
    assert.equal(state.gpr(RDI), 0x401000n);
    assert.equal(b.read64(state.gpr(RSP) + 8n), 0x8010n);
    assert.equal(b.read64(0x60ff8n), 0x41_0000_0041n);
  });

  it('gives user code its own translations', () => {
    const b = paged().userMode();
    b.write64(TABLE, 0x60005n);
    // mov eax,[400000h]; mov [400000h],eax
    b.load(0x8000, '8b042500004000 89042500004000');
    b.load(PAGE_FAULT, 'f4');
    assert.equal(b.cpu.run(100).why, 'halted');
    assert.equal(b.cpu.cpl, 0);
    assert.equal(b.read64(b.cpu.state.gpr(RSP)), 7n, 'present, write, user');
    assert.equal(b.cpu.state.gpr(RAX), 0x1111n);
  });

  it('says what it cannot execute: code outside RAM', () => {
    const b = paged();
    b.write64(TABLE, DEVICE | 7n);
    b.cpu.state.rip = 0x400123n;
    const result = b.cpu.run(100);
    assert.equal(result.why, 'unsupported');
    assert.match(result.why === 'unsupported' ? result.description : '', /0xfe000123.*0x400123/);
  });

  it('raises #DB at an instruction breakpoint of the program, once, and goes on with RF', () => {
    const b = paged();
    // mov eax,8010h; mov dr0,rax; mov eax,2; mov dr7,rax; inc ebx; inc ebx; hlt
    b.load(0x8000, 'b810800000 0f23c0 b802000000 0f23f8 ffc3 ffc3 f4');
    // inc ecx; iretq
    b.load(Number(HANDLER) + 16, 'ffc1 48cf');
    assert.equal(b.cpu.run(100).why, 'halted');
    const { state } = b.cpu;
    assert.equal(state.gpr(RBX), 2n);
    assert.equal(state.gpr(RCX), 1n);
    assert.equal(state.get64(State.DR + 32) & 0xfn, 1n);
  });

  it('executes and rewrites code beyond 2 GByte of RAM', () => {
    const b = paged({}, 0xa0000000);
    b.write64(TABLE + 8 * 8, 0x90000007n);
    // mov ecx,2; 1: mov eax,1; add ebx,eax; mov byte [408006h],5; dec ecx; jnz 1b; hlt
    b.load(0x90000000, 'b902000000 b801000000 01c3 c604250680400005 ffc9 75ed f4');
    b.cpu.state.rip = 0x408000n;
    assert.equal(b.cpu.run(100).why, 'halted');
    assert.equal(b.cpu.state.gpr(RBX), 6n);
  });

  it('runs the same in slices of any size', () => {
    const program = 'be64000000 31c0 01f0 a802 7402 0fa2 ffce 75f4 f4'; // a loop with CPUID in some iterations
    const states = [1, 3, 7, 10_000].map((slice) => {
      const b = paged();
      b.load(0x8000, program);
      for (let i = 0; i < 2000 && b.cpu.run(slice).why === 'budget'; i++);
      return [RAX, RBX, RCX, RDX]
        .map((r) => b.cpu.state.gpr(r))
        .concat(b.cpu.state.get64(State.RETIRED), b.cpu.state.rip);
    });
    for (const state of states) assert.deepEqual(state, states[0]);
  });
});
