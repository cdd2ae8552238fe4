import assert from 'node:assert';
import { EngineExit } from '../../emulator/engine/host';
import { FlatMachine } from './flat-machine';

const HLT = 0xf4;

describe('interpreter', () => {
  it('adds up a loop and stops at a helper instruction', () => {
    const m = new FlatMachine();
    // xor eax,eax; mov ecx,1000; L: add rax,rcx; dec ecx; jnz L; hlt
    m.load(0x1000, [0x31, 0xc0, 0xb9, 0xe8, 3, 0, 0, 0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xf9, HLT]);
    m.rip = 0x1000n;
    assert.equal(m.run(), EngineExit.Helper);
    assert.equal(m.engine.instruction.row.mnemonic, 'HLT');
    assert.equal(m.gpr(0), 500500n);
    assert.equal(m.rip, 0x100en);
    assert.equal(m.retired, 3002n);
  });

  it('stops exactly at every budget', () => {
    for (let budget = 1; budget < 40; budget++) {
      const m = new FlatMachine();
      m.load(0x1000, [0x31, 0xc0, 0xb9, 0xe8, 3, 0, 0, 0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xf9, HLT]);
      m.rip = 0x1000n;
      assert.equal(m.run(budget), EngineExit.Budget);
      assert.equal(m.retired, BigInt(budget));
      const inLoop = budget - 2;
      const expected = budget === 1 ? 0x1002n : [0x1007n, 0x100an, 0x100cn][inLoop % 3];
      assert.equal(m.rip, expected);
      assert.equal(m.run(3002 - budget + 5), EngineExit.Helper);
      assert.equal(m.retired, 3002n);
    }
  });
});
