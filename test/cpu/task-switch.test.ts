import { strict as assert } from 'node:assert';
import { Segment, State } from '../../emulator/memory/layout';
import { hostPhysical } from '../../emulator/memory/address';
import { Bench, GDT, HANDLER, KERNEL_CODE, KERNEL_DATA, STACK, TASK, TSS } from './harness';

/** Hardware task switches (SDM vol. 3, 8.3), where QEMU is no judge; what it agrees with is in test/asm/task-switches.S. */
const NEW_TASK = 0x38;
const NEW_TSS = 0x4000;
const NEW_STACK = 0xe000;
const NEW_CODE = 0x8800;
const NOT_PRESENT = 0x40;
/** Code of 1 MByte */
const SMALL_CODE = 0x30;
const BUSY_TSS = 0x8b;
const AVAILABLE_TSS = 0x89;
const Offset = {
  EIP: 0x20,
  EFLAGS: 0x24,
  ESP: 0x38,
  ES: 0x48,
  CS: 0x4c,
  SS: 0x50,
  DS: 0x54,
  LDT: 0x60,
  TRAP: 0x64,
} as const;

const describe32 = (base: number, limit: number, rights: number): bigint =>
  BigInt(limit & 0xffff) | (BigInt(base & 0xffffff) << 16n) | (BigInt(rights) << 40n) | (BigInt(base >>> 24) << 56n);

/** 32-bit protected mode with a second task; `ea`: JMP far to it, then HLT. */
function bench(
  change: (put: (offset: number, value: number) => void) => void = () => undefined,
  rights = AVAILABLE_TSS,
): Bench {
  const b = new Bench({}, true).protectedMode();
  const put = (offset: number, value: number) => b.physical.write32(hostPhysical(BigInt(NEW_TSS + offset)), value);
  for (let offset = 0; offset < 0x68; offset += 4) put(offset, 0);
  put(Offset.EIP, NEW_CODE);
  put(Offset.EFLAGS, 2);
  put(Offset.ESP, NEW_STACK);
  put(Offset.CS, KERNEL_CODE);
  for (const segment of [Offset.ES, Offset.SS, Offset.DS]) put(segment, KERNEL_DATA);
  change(put);
  b.write64(GDT + TASK, describe32(TSS, 0x67, BUSY_TSS));
  b.write64(GDT + SMALL_CODE, 0x004f_9a00_0000_ffffn);
  b.write64(GDT + NEW_TASK, describe32(NEW_TSS, 0x67, rights));
  b.write64(GDT + NOT_PRESENT, 0x00cf_1200_0000_ffffn);
  b.cpu.state.set32(State.GDTR + 8, 0x47);
  b.load(0x8000, `ea 00000000 ${NEW_TASK.toString(16)}00 f4`);
  b.load(NEW_CODE, 'f4');
  for (let vector = 0; vector < 32; vector++) b.load(Number(HANDLER) + vector * 16, 'f4');
  return b;
}

/** The vector whose handler halted, or "new" or "old" for the tasks' own code */
function run(b: Bench): string {
  assert.equal(b.cpu.run(20).why, 'halted');
  const { rip } = b.cpu.state;
  if (rip === BigInt(NEW_CODE + 1)) return 'new';
  return rip === 0x8008n ? 'old' : `vector ${(Number(rip) - 1 - Number(HANDLER)) / 16}`;
}

const pushed = (b: Bench) => {
  const at = b.cpu.state.gpr(4);
  return { error: b.read32(at), eip: b.read32(at + 4n), cs: b.read32(at + 8n) };
};

describe('hardware task switch', () => {
  it('JMP enters the new task', () => {
    const b = bench();
    assert.equal(run(b), 'new');
    const { state } = b.cpu;
    assert.equal(state.segmentSelector(Segment.TR), NEW_TASK);
    assert.equal(state.gpr(4), BigInt(NEW_STACK));
    assert.equal(state.cr0 & 8n, 8n, 'CR0.TS');
    assert.equal(b.read32(BigInt(TSS + Offset.EIP)), 0x8007);
    assert.equal(b.read32(BigInt(TSS + Offset.ESP)), Number(STACK));
  });

  for (const [name, offset, value, vector, error] of [
    ['DS not present: #NP', Offset.DS, NOT_PRESENT, 11, NOT_PRESENT],
    ['DS of another table: #TS', Offset.DS, 0x77, 10, 0x74],
    ['DS a system descriptor: #TS', Offset.DS, TASK, 10, TASK],
    ['DS with an RPL above DPL: #TS', Offset.DS, KERNEL_DATA | 3, 10, KERNEL_DATA],
    ['EIP beyond CS: #GP(0)', Offset.EIP, 0x1234_5678, 13, 0],
  ] as const)
    it(`${name}, in the new task, with its EIP`, () => {
      const beyond = offset === Offset.EIP;
      const b = bench((put) => {
        put(offset, value);
        if (beyond) put(Offset.CS, SMALL_CODE);
      });
      assert.equal(run(b), `vector ${vector}`);
      assert.equal(b.cpu.state.segmentSelector(Segment.TR), NEW_TASK);
      assert.deepEqual(pushed(b), { error, eip: beyond ? value : NEW_CODE, cs: beyond ? SMALL_CODE : KERNEL_CODE });
    });

  it('without a stack segment the new task cannot even take its fault', () => {
    const b = bench((put) => put(Offset.SS, 0));
    assert.equal(b.cpu.run(20).why, 'shutdown');
  });

  it('a TSS selector in the LDT raises #GP, also from a task gate; a TSS that is busy too', () => {
    const local = bench();
    local.gate32(3, 0n, { rights: 0x85, selector: NEW_TASK | 4 });
    local.load(0x8000, 'cc');
    assert.equal(run(local), 'vector 13');
    assert.equal(pushed(local).error, NEW_TASK | 4);
    const busy = bench(undefined, BUSY_TSS);
    assert.equal(run(busy), 'vector 13');
    assert.equal(pushed(busy).error, NEW_TASK);
  });

  it('an event from outside reports EXT in the error code', () => {
    const b = bench(undefined, AVAILABLE_TSS & 0x7f);
    b.gate32(6, 0n, { rights: 0x85, selector: NEW_TASK });
    b.load(0x8000, '0f0b');
    assert.equal(run(b), 'vector 11');
    assert.equal(pushed(b).error, NEW_TASK | 1);
  });

  it('the T flag raises #DB with DR6.BT before the first instruction of the task', () => {
    const b = bench((put) => put(Offset.TRAP, 1));
    assert.equal(run(b), 'vector 1');
    assert.equal(b.cpu.state.get64(State.DR + 32) & 0xe00fn, 0x8000n);
    assert.equal(b.read32(b.cpu.state.gpr(4)), NEW_CODE);
  });

  it('a task in virtual-8086 mode', () => {
    const b = bench((put) => {
      put(Offset.EFLAGS, 0x2_0002);
      put(Offset.CS, 0x880);
      put(Offset.EIP, 0);
      put(Offset.SS, 0x900);
      put(4, 0xa000);
      put(8, KERNEL_DATA);
    });
    // HLT at CPL 3: #GP(0).
    assert.equal(run(b), 'vector 13');
    assert.deepEqual(pushed(b), { error: 0, eip: 0, cs: 0x880 });
    assert.equal(b.read32(b.cpu.state.gpr(4) + 12n) & 0x2_0000, 0x2_0000);
  });

  it('nothing of a refused switch stays', () => {
    const b = bench(undefined, AVAILABLE_TSS & 0x7f);
    assert.equal(run(b), 'vector 11');
    assert.equal(b.cpu.state.segmentSelector(Segment.TR), TASK);
    assert.equal(b.read64(BigInt(GDT + TASK)), describe32(TSS, 0x67, BUSY_TSS));
    assert.equal(pushed(b).eip, 0x8000);
  });
});
