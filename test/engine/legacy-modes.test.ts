import assert from 'node:assert';
import { EngineExit } from '../../emulator/engine/host';
import { RAM_BASE, Segment } from '../../emulator/memory/layout';
import { FlatMachine } from './flat-machine';

const HLT = 0xf4;
const A = 0;
const B = 3;
const SP = 4;
const BP = 5;
const GENERAL_PROTECTION = 13;
const STACK_FAULT = 12;
const DATA = 0xc093;
const READ_ONLY = 0xc091;
const EXPAND_DOWN = 0xc097;
const EXECUTE_ONLY = 0xc099;
const UNUSABLE = 1 << 16;

describe('segments outside 64-bit mode', () => {
  const at = (code: readonly number[], codeSize: 16 | 32 = 32): FlatMachine => {
    const m = new FlatMachine(codeSize);
    m.load(0x1000, [...code, HLT]);
    m.rip = 0x1000n;
    m.setGpr(SP, 0x3000n);
    return m;
  };
  const vector = (m: FlatMachine): number | undefined => (m.run() === EngineExit.Fault ? m.faultVector : undefined);

  it('adds the base and wraps at 4 GiB', () => {
    const m = at([0x8b, 0x03]); // mov eax,[ebx]
    m.setSegment(Segment.DS, DATA, -1, 0xfffff000n);
    m.load(0x2000, [0x78, 0x56, 0x34, 0x12]);
    m.setGpr(B, 0x3000n);
    assert.equal(vector(m), undefined);
    assert.equal(m.gpr(A), 0x12345678n);
  });

  it('checks the limit to the last byte', () => {
    for (const [offset, expected] of [
      [0x0ffcn, undefined],
      [0x0ffdn, GENERAL_PROTECTION],
      [0xffffffffn, GENERAL_PROTECTION],
    ] as const) {
      const m = at([0x8b, 0x03]);
      m.setSegment(Segment.DS, DATA, 0xfff, 0x2000n);
      m.setGpr(B, offset);
      assert.equal(vector(m), expected, `offset ${offset}`);
      if (expected !== undefined) assert.equal(m.rip, 0x1000n);
    }
  });

  it('takes #SS for the stack segment, by base register and for pushes', () => {
    const frame = at([0x8b, 0x45, 0]); // mov eax,[ebp+0]
    frame.setSegment(Segment.SS, DATA, 0xfff, 0n);
    frame.setGpr(BP, 0x1000n);
    assert.equal(vector(frame), STACK_FAULT);
    const push = at([0x50]);
    push.setSegment(Segment.SS, DATA, 0xfff, 0n);
    push.setGpr(SP, 0x1002n);
    assert.equal(vector(push), STACK_FAULT);
    assert.equal(push.gpr(SP), 0x1002n);
  });

  it('honours segment types', () => {
    const cases: readonly (readonly [number, readonly number[], number | undefined])[] = [
      [READ_ONLY, [0x8b, 0x03], undefined],
      [READ_ONLY, [0x89, 0x03], GENERAL_PROTECTION],
      [READ_ONLY, [0xff, 0x03], GENERAL_PROTECTION],
      [EXECUTE_ONLY, [0x8b, 0x03], GENERAL_PROTECTION],
      [0xc09b, [0x8b, 0x03], undefined],
      [0xc09b, [0x89, 0x03], GENERAL_PROTECTION],
      [UNUSABLE, [0x8b, 0x03], GENERAL_PROTECTION],
    ];
    for (const [access, code, expected] of cases) {
      const m = at(code);
      m.setSegment(Segment.DS, access, -1, 0n);
      m.setGpr(B, 0x2000n);
      assert.equal(vector(m), expected, `access ${access.toString(16)}, ${code.join()}`);
    }
  });

  it('takes offsets above the limit in an expand-down segment', () => {
    for (const [offset, expected] of [
      [0x0fffn, GENERAL_PROTECTION],
      [0x1000n, undefined],
      [0x3000n, undefined],
    ] as const) {
      const m = at([0x8b, 0x03]);
      m.setSegment(Segment.DS, EXPAND_DOWN, 0xfff, 0n);
      m.setGpr(B, offset);
      assert.equal(vector(m), expected, `offset ${offset}`);
    }
  });

  it('applies segment overrides', () => {
    const m = at([0x64, 0x8b, 0x03]); // mov eax,fs:[ebx]
    m.setSegment(Segment.FS, DATA, -1, 0x1000n);
    m.load(0x2000, [0xef, 0xbe, 0xad, 0xde]);
    m.setGpr(B, 0x1000n);
    assert.equal(vector(m), undefined);
    assert.equal(m.gpr(A), 0xdeadbeefn);
  });

  it('wraps 16-bit addresses and the 16-bit stack', () => {
    const m = at([0x8a, 0x87, 0x01, 0xff, 0x50], 16); // mov al,[bx-0xff]; push ax
    m.load(0x2fff + 0x1, [0x5a]);
    m.setSegment(Segment.DS, 0x93, 0xffff, 0x3000n);
    m.setGpr(B, 0x00ffn);
    m.setGpr(SP, 0xabcd0000n);
    assert.equal(vector(m), undefined);
    assert.equal(m.gpr(A), 0x5an);
    assert.equal(m.gpr(SP), 0xabcdfffen);
    assert.equal(m.memory.view.getUint16(RAM_BASE + 0xfffe, true), 0x5a);
  });

  it('executes with a code segment base and raises #GP at a target beyond its limit', () => {
    const m = new FlatMachine(16);
    m.load(0x2100, [0xe8, 0x05, 0x00, HLT]); // call +5
    m.load(0x2108, [0xc3]);
    m.setSegment(Segment.CS, 0x9b, 0xfff, 0x2000n);
    m.rip = 0x100n;
    m.setGpr(SP, 0x3000n);
    assert.equal(m.run(), EngineExit.Helper);
    assert.equal(m.rip, 0x103n);
    m.load(0x2100, [0xe9, 0x00, 0x70]); // jmp +0x7000
    m.rip = 0x100n;
    assert.equal(m.run(), EngineExit.Fault);
    assert.equal(m.faultVector, GENERAL_PROTECTION);
    assert.equal(m.rip, 0x100n);
  });

  it('decodes the same bytes anew when the code size changes', () => {
    const m = at([0xb8, 1, 0, 0, 0, 0x40]); // 32-bit: mov eax,1; inc eax
    assert.equal(m.run(), EngineExit.Helper);
    assert.equal(m.gpr(A), 2n);
    m.setMode(64);
    m.load(0x1006, [0x90, HLT]); // 64-bit: mov eax,1; REX nop
    m.rip = 0x1000n;
    assert.equal(m.run(), EngineExit.Helper);
    assert.equal(m.gpr(A), 1n);
  });
});

describe('FS and GS in 64-bit mode', () => {
  it('have a base; the others have none', () => {
    const m = new FlatMachine();
    // mov rax,gs:[0x10] ; mov rbx,ds:[0x2010]
    m.load(0x1000, [0x65, 0x48, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0, 0x3e, 0x48, 0x8b, 0x1c, 0x25, 0x10, 0x20, 0, 0, HLT]);
    m.load(0x3010, [1]);
    m.load(0x2010, [2]);
    m.setSegment(Segment.GS, DATA, 0, 0x3000n);
    m.setSegment(Segment.DS, DATA, 0, 0x5000n);
    m.rip = 0x1000n;
    assert.equal(m.run(), EngineExit.Helper);
    assert.equal(m.gpr(A), 1n);
    assert.equal(m.gpr(B), 2n);
  });
});
