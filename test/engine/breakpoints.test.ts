import assert from 'node:assert';
import { EngineExit } from '../../emulator/engine/host';
import { FlatMachine } from './flat-machine';

const HLT = 0xf4;
const C = 1;
// L: inc eax; dec ecx; jnz L; hlt
const LOOP = [0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa, HLT];

describe('breakpoints', () => {
  const started = (): FlatMachine => {
    const m = new FlatMachine();
    m.load(0x1000, LOOP);
    m.setGpr(C, 3n);
    m.rip = 0x1000n;
    return m;
  };

  it('stop before the instruction, each time it is reached', () => {
    const m = started();
    m.engine.setBreakpoints(new Set([0x1002n]));
    for (let hit = 1; hit <= 3; hit++) {
      assert.equal(m.engine.run(1000, hit > 1), EngineExit.Breakpoint);
      assert.equal(m.rip, 0x1002n);
      assert.equal(m.gpr(0), BigInt(hit));
    }
    assert.equal(m.engine.run(1000, true), EngineExit.Helper);
    assert.equal(m.retired, 9n);
  });

  it('report again without skipBreakpoint', () => {
    const m = started();
    m.engine.setBreakpoints(new Set([0x1000n]));
    assert.equal(m.engine.run(1000, false), EngineExit.Breakpoint);
    assert.equal(m.engine.run(1000, false), EngineExit.Breakpoint);
    assert.equal(m.retired, 0n);
  });

  it('can be set and removed in code that is already decoded', () => {
    const m = started();
    assert.equal(m.engine.run(4, false), EngineExit.Budget);
    m.engine.setBreakpoints(new Set([0x1004n]));
    assert.equal(m.engine.run(1000, false), EngineExit.Breakpoint);
    assert.equal(m.rip, 0x1004n);
    m.engine.setBreakpoints(new Set());
    assert.equal(m.engine.run(1000, false), EngineExit.Helper);
  });

  it('stop at a helper instruction and at one across a page boundary', () => {
    const m = new FlatMachine();
    m.load(0x1ffd, [0xb8, 1, 2, 3, 4, HLT]);
    m.engine.setBreakpoints(new Set([0x1ffdn, 0x2002n]));
    m.rip = 0x1ffdn;
    assert.equal(m.engine.run(10, false), EngineExit.Breakpoint);
    assert.equal(m.rip, 0x1ffdn);
    assert.equal(m.engine.run(10, true), EngineExit.Breakpoint);
    assert.equal(m.rip, 0x2002n);
    assert.equal(m.engine.run(10, true), EngineExit.Helper);
  });

  it('do not stop inside an instruction that contains the address', () => {
    const m = started();
    m.engine.setBreakpoints(new Set([0x1003n]));
    assert.equal(m.engine.run(1000, false), EngineExit.Helper);
  });
});
