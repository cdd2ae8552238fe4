import assert from 'node:assert';
import { EngineExit } from '../../emulator/engine/host';
import { RAM_BASE, State } from '../../emulator/memory/layout';
import { FlatMachine } from './flat-machine';

/** Decoded code is a cache: whatever changes under it, execution is as if every instruction were fetched anew. */

const HLT = 0xf4;
const A = 0;
const C = 1;
const D = 2;

describe('decoded code and changes of memory', () => {
  it('executes an instruction that the one before it has just written', () => {
    const m = new FlatMachine();
    // mov byte [0x100b],7 ; mov al,1 -> the immediate becomes 7
    m.load(0x1000, [0xc6, 0x04, 0x25, 0x09, 0x10, 0, 0, 7, 0xb0, 1, HLT]);
    m.rip = 0x1000n;
    assert.equal(m.run(), EngineExit.Helper);
    assert.equal(m.gpr(A) & 0xffn, 7n);
    assert.equal(m.retired, 2n);
  });

  it('takes a rewritten loop body from the next iteration on', () => {
    const m = new FlatMachine();
    // L: add rax,1 (48 83 c0 01); mov byte [L+3],2; dec ecx; jnz L; hlt
    m.load(0x1000, [0x48, 0x83, 0xc0, 1, 0xc6, 0x04, 0x25, 0x03, 0x10, 0, 0, 2, 0xff, 0xc9, 0x75, 0xf0, HLT]);
    m.setGpr(C, 10n);
    m.rip = 0x1000n;
    assert.equal(m.run(), EngineExit.Helper);
    assert.equal(m.gpr(A), 1n + 9n * 2n);
  });

  it('keeps decoded instructions when data in their page is written', () => {
    const m = new FlatMachine();
    // L: mov [0x1800],rcx; dec ecx; jnz L; hlt
    m.load(0x1000, [0x48, 0x89, 0x0c, 0x25, 0x00, 0x18, 0, 0, 0xff, 0xc9, 0x75, 0xf4, HLT]);
    m.setGpr(C, 1000n);
    m.rip = 0x1000n;
    assert.equal(m.run(), EngineExit.Helper);
    assert.ok(m.engine.statistics.recordsDecoded < 10);
    assert.equal(m.memory.view.getBigUint64(RAM_BASE + 0x1800, true), 1n);
  });

  it('drops code that changed from outside', () => {
    const m = new FlatMachine();
    m.load(0x1000, [0xb0, 1, HLT]);
    m.rip = 0x1000n;
    m.run();
    m.load(0x1001, [9]);
    m.rip = 0x1000n;
    m.run();
    assert.equal(m.gpr(A), 9n);
  });

  it('executes an instruction across a page boundary, whatever its second page holds now', () => {
    const m = new FlatMachine();
    // mov eax, imm32 with two bytes in each page; hlt
    m.load(0x1ffd, [0xb8, 0x11, 0x22, 0x33, 0x44, HLT]);
    for (const value of [0x33, 0x77, 0x78]) {
      m.load(0x2000, [value]);
      m.rip = 0x1ffdn;
      assert.equal(m.run(), EngineExit.Helper);
      assert.equal(m.gpr(A), BigInt(0x44002211 + value * 0x10000));
      assert.equal(m.rip, 0x2002n);
    }
  });

  it('faults at an instruction whose second page is absent, before executing it', () => {
    const m = new FlatMachine();
    m.load(0x1ffb, [0xb2, 5, 0xb8, 0x11, 0x22, 0x33, 0x44, HLT]);
    m.host.unmapped.add(0x2000n);
    m.rip = 0x1ffbn;
    assert.equal(m.run(), EngineExit.Fault);
    assert.equal(m.rip, 0x1ffdn);
    assert.equal(m.gpr(D), 5n);
    assert.equal(m.gpr(A), 0n);
    assert.equal(m.retired, 1n);
    assert.equal(m.memory.view.getBigUint64(State.FAULT_LINEAR, true), 0x2000n);
    m.host.unmapped.clear();
    assert.equal(m.run(), EngineExit.Helper);
    assert.equal(m.gpr(A), 0x44332211n);
  });

  it('goes on when more code was executed than the record arena holds', () => {
    const m = new FlatMachine(64, 16 << 20);
    // A chain through 2000 pages, twice: add eax,1; jmp rel32 to the same place one page on; the last returns.
    const pages = 2000;
    const next = [0x83, 0xc0, 1, 0xe9, 0xf8, 0x0f, 0, 0];
    for (let page = 0; page < pages; page++) m.load(0x10000 + page * 4096, page === pages - 1 ? [HLT] : next);
    for (let round = 1; round <= 2; round++) {
      m.rip = 0x10000n;
      assert.equal(m.run(), EngineExit.Helper);
      assert.equal(m.gpr(A), BigInt(round * (pages - 1)));
    }
  });
});

describe('precise faults', () => {
  it('leaves registers, flags and memory as they were', () => {
    const m = new FlatMachine();
    m.host.unmapped.add(0x5000n);
    m.host.readOnly.add(0x6000n);
    const programs: readonly (readonly number[])[] = [
      [0x48, 0x01, 0x03], // add [rbx],rax
      [0x48, 0x03, 0x03], // add rax,[rbx]
      [0xff, 0x33], // push [rbx]
      [0x8f, 0x03], // pop [rbx]
      [0x48, 0x87, 0x03], // xchg [rbx],rax
      [0x48, 0x0f, 0xb1, 0x0b], // cmpxchg [rbx],rcx
      [0xa4], // movsb
      [0xff, 0x13], // call [rbx]
    ];
    for (const address of [0x5010n, 0x6010n, 0x4ffdn]) {
      for (const code of programs) {
        const reads = code[0] === 0xff || code[1] === 0x03;
        if (address === 0x6010n && reads) continue;
        m.load(0x1000, [...code, HLT]);
        for (let r = 0; r < 16; r++) m.setGpr(r, 0x8000n + BigInt(r));
        m.setGpr(3, address);
        m.setGpr(7, address);
        m.rflags = 0x8d7n;
        m.rip = 0x1000n;
        const before = m.memory.u8.slice(RAM_BASE + 0x2000, RAM_BASE + 0x9000);
        // Only a single byte is moved: it does not reach into the next page.
        if (code[0] === 0xa4 && address === 0x4ffdn) continue;
        assert.equal(m.run(), EngineExit.Fault, `${code.join()} at ${address}`);
        assert.equal(m.rip, 0x1000n);
        for (let r = 0; r < 16; r++) {
          assert.equal(m.gpr(r), r === 3 || r === 7 ? address : 0x8000n + BigInt(r), `r${r} of ${code.join()}`);
        }
        assert.equal(m.rflags, 0x8d7n);
        assert.deepEqual(m.memory.u8.slice(RAM_BASE + 0x2000, RAM_BASE + 0x9000), before);
      }
    }
  });

  it('raises #GP for a jump to an address that is not canonical, at the jump', () => {
    const m = new FlatMachine();
    m.load(0x1000, [0xff, 0xe0]);
    m.setGpr(A, 1n << 47n);
    m.rip = 0x1000n;
    assert.equal(m.run(), EngineExit.Fault);
    assert.equal(m.faultVector, 13);
    assert.equal(m.rip, 0x1000n);
    assert.equal(m.retired, 0n);
  });

  it('takes #SS for a stack reference that is not canonical, #GP for others', () => {
    const cases: readonly (readonly [readonly number[], number])[] = [
      [[0x50], 12], // push rax
      [[0x8b, 0x45, 0], 12], // mov eax,[rbp]
      [[0x8b, 0x03], 13], // mov eax,[rbx]
      [[0xff, 0x33], 13], // push [rbx]
      [[0xc9], 12], // leave
    ];
    for (const [code, vector] of cases) {
      const m = new FlatMachine();
      m.host.nonCanonicalFaults = true;
      m.load(0x1000, code);
      for (const register of [3, 4, 5]) m.setGpr(register, (1n << 47n) + BigInt(register << 16));
      m.rip = 0x1000n;
      assert.equal(m.run(), EngineExit.Fault);
      assert.equal(m.faultVector, vector, code.join());
    }
  });

  it('raises #GP for an instruction longer than 15 bytes and stops at undefined ones', () => {
    const m = new FlatMachine();
    m.load(0x1000, [...Array.from({ length: 15 }, () => 0x66), 0x90]);
    m.rip = 0x1000n;
    assert.equal(m.run(), EngineExit.Fault);
    assert.equal(m.faultVector, 13);
    m.load(0x1000, [0xf0, 0x48, 0x89, 0x03]); // lock mov: not lockable
    m.rip = 0x1000n;
    assert.equal(m.run(), EngineExit.Helper);
    assert.equal(m.engine.instruction.row.helper, 'ud');
  });

  it('belongs to the next run when the budget ends at a jump into an absent page', () => {
    const m = new FlatMachine();
    m.load(0x1000, [0xff, 0xe0]);
    m.setGpr(A, 0x5000n);
    m.host.unmapped.add(0x5000n);
    m.rip = 0x1000n;
    assert.equal(m.run(1), EngineExit.Budget);
    assert.equal(m.rip, 0x5000n);
    assert.equal(m.retired, 1n);
    assert.equal(m.run(1), EngineExit.Fault);
    assert.equal(m.retired, 1n);
  });
});

describe('string instructions', () => {
  it('count one step an iteration and can be stopped between elements', () => {
    const whole = new FlatMachine();
    const parts = new FlatMachine();
    for (const m of [whole, parts]) {
      m.load(0x1000, [0xf3, 0xa4, HLT]);
      m.load(
        0x3000,
        Array.from({ length: 100 }, (_, i) => i + 1),
      );
      m.setGpr(C, 100n);
      m.setGpr(6, 0x3000n);
      m.setGpr(7, 0x3ff0n);
      m.rip = 0x1000n;
    }
    assert.equal(whole.run(), EngineExit.Helper);
    for (let n = 1; n <= 100; n++) {
      assert.equal(parts.run(1), EngineExit.Budget);
      assert.equal(parts.gpr(C), BigInt(100 - n));
      assert.equal(parts.rip, n < 100 ? 0x1000n : 0x1002n);
    }
    assert.equal(whole.retired, 100n);
    for (const m of [whole, parts]) assert.equal(m.memory.u8[RAM_BASE + 0x3ff0 + 99], 100);
  });
});
