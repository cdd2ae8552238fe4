import { strict as assert } from 'node:assert';
import { State } from '../../emulator/memory/layout';
import { Bench, HANDLER, instruction } from './harness';

const [RAX, RCX] = [0, 1];
const PCIDE = 1n << 17n;
const KEEP = 1n << 63n;
const [CR3, CR4] = [3, 4];
/** The bench's tables, and a page table that is added under linear 0x400000 */
const PML4 = 0x20000n;
const DIRECTORY = 0x22000;
const TABLE = 0x23000;
const OTHER_TABLE = 0x24000;
const AT = 0x400000n;
const ONE = 0x30000;
const TWO = 0x31000;
const DESCRIPTOR = 0x7000;
const GLOBAL = 0x100n;
const PRESENT = 0x67n;

/** A page at `AT` whose first word tells which frame it is: 1 or 2; CR4.PGE is set. */
function bench(leafFlags = PRESENT): Bench {
  const b = new Bench().longMode();
  b.write64(DIRECTORY + 16, BigInt(TABLE) | PRESENT);
  b.write64(TABLE, BigInt(ONE) | leafFlags);
  b.write64(OTHER_TABLE, BigInt(TWO) | leafFlags);
  b.write64(ONE, 1n);
  b.write64(TWO, 2n);
  assert.equal(move(b, CR4, 0xa0n), undefined);
  return b;
}

function raised(b: Bench, ...script: Parameters<Bench['run']>): number | undefined {
  const before = b.cpu.state.get64(State.RETIRED);
  b.run(...script);
  return b.cpu.state.get64(State.RETIRED) === before ? Number(b.cpu.state.rip - HANDLER) / 16 : undefined;
}

function move(b: Bench, register: number, value: bigint): number | undefined {
  b.cpu.state.setGpr(RAX, value);
  return raised(b, instruction('mov_to_cr', { reg: register, rm: RAX, operandSize: 64 }));
}

function invpcid(b: Bench, type: number, pcid: bigint, linear = 0n): number | undefined {
  b.write64(DESCRIPTOR, pcid);
  b.write64(DESCRIPTOR + 8, linear);
  b.cpu.state.setGpr(RCX, BigInt(type));
  return raised(
    b,
    instruction('invpcid', { reg: RCX, mod: 0, isMemory: true, displacement: BigInt(DESCRIPTOR), operandSize: 64 }),
  );
}

const invlpg = (b: Bench, at: bigint): number | undefined =>
  raised(b, instruction('invlpg', { mod: 0, isMemory: true, displacement: at }));

const frame = (b: Bench): number => Number(b.cpu.linear.read(AT, 8));

describe('cached translations (SDM vol. 3, 4.10)', () => {
  it('outlive a change of the page-table entry until INVLPG', () => {
    const b = bench();
    assert.equal(frame(b), 1);
    b.write64(TABLE, BigInt(TWO) | PRESENT);
    assert.equal(frame(b), 1);
    invlpg(b, AT + 0x1000n);
    assert.equal(frame(b), 1);
    invlpg(b, AT + 0xfffn);
    assert.equal(frame(b), 2);
  });

  it('include the entries above: another page of a directory entry that changed is found by the old table', () => {
    const b = bench();
    b.write64(TABLE + 8, BigInt(ONE) | PRESENT);
    b.write64(OTHER_TABLE + 8, BigInt(TWO) | PRESENT);
    assert.equal(frame(b), 1);
    b.write64(DIRECTORY + 16, BigInt(OTHER_TABLE) | PRESENT);
    const neighbour = (): bigint => b.cpu.linear.read(AT + 0x1000n, 8);
    assert.equal(neighbour(), 1n);
    // INVLPG of any page empties the paging-structure caches of the PCID.
    invlpg(b, 0n);
    assert.equal(neighbour(), 1n, 'its own mapping is still there');
    invlpg(b, AT + 0x1000n);
    assert.equal(neighbour(), 2n);
    assert.equal(frame(b), 1);
  });

  it('never decide a fault: the tables are walked before it is raised', () => {
    const b = bench();
    assert.equal(frame(b), 1);
    b.write64(TABLE + 8, 0n);
    b.write64(OTHER_TABLE + 8, BigInt(TWO) | PRESENT);
    b.write64(DIRECTORY + 16, BigInt(OTHER_TABLE) | PRESENT);
    assert.equal(b.cpu.linear.read(AT + 0x1000n, 8), 2n);
  });

  it('are invalidated for the faulting address by a page fault', () => {
    const b = bench(PRESENT & ~2n);
    assert.equal(frame(b), 1);
    b.write64(TABLE, BigInt(TWO) | (PRESENT & ~2n));
    assert.throws(() => b.cpu.linear.write(AT, 8, 0n));
    assert.equal(frame(b), 2);
  });

  it('of global pages outlive MOV to CR3, others do not', () => {
    for (const [flags, expected] of [
      [PRESENT, 2],
      [PRESENT | GLOBAL, 1],
    ] as const) {
      const b = bench(flags);
      assert.equal(frame(b), 1);
      b.write64(TABLE, BigInt(TWO) | flags);
      move(b, CR3, PML4);
      assert.equal(frame(b), expected);
      move(b, CR4, 0x20n);
      assert.equal(frame(b), 2, 'a change of CR4.PGE invalidates all');
    }
  });
});

describe('process-context identifiers (SDM vol. 3, 4.10.1)', () => {
  const withPcids = (flags = PRESENT): Bench => {
    const b = bench(flags);
    assert.equal(move(b, CR4, 0xa0n | PCIDE), undefined);
    return b;
  };

  it('begin in IA-32e mode with PCID 0, and paging cannot end with them', () => {
    const b = bench();
    assert.equal(move(b, CR3, PML4 | 8n), undefined);
    assert.equal(move(b, CR4, 0xa0n | PCIDE), 13);
    const legacy = new Bench().protectedMode();
    assert.equal(move(legacy, CR4, PCIDE), 13);
    const compatibility = withPcids();
    const { state } = compatibility.cpu;
    state.setSegment(1, { selector: 8, access: 0xc09b, limit: 0xffffffff, base: 0n });
    compatibility.cpu.contextChanged();
    assert.equal(move(compatibility, 0, 0x11n), 13);
  });

  it('keep mappings apart; bit 63 of MOV to CR3 keeps those of the new PCID and is not stored', () => {
    const b = withPcids();
    move(b, CR3, PML4 | 1n);
    assert.equal(b.cpu.state.cr3, PML4 | 1n);
    assert.equal(frame(b), 1);
    b.write64(TABLE, BigInt(TWO) | PRESENT);
    move(b, CR3, PML4 | 2n);
    assert.equal(frame(b), 2);
    move(b, CR3, KEEP | PML4 | 1n);
    assert.equal(b.cpu.state.cr3, PML4 | 1n);
    assert.equal(frame(b), 1, 'stale, as on silicon');
    move(b, CR3, PML4 | 1n);
    assert.equal(frame(b), 2);
  });

  it('bit 63 of CR3 is reserved without them', () => {
    assert.equal(move(bench(), CR3, KEEP | PML4), 13);
  });

  it('INVLPG drops the page of the current PCID, and global ones of all', () => {
    for (const [flags, expected] of [
      [PRESENT, 1],
      [PRESENT | GLOBAL, 2],
    ] as const) {
      const b = withPcids(flags);
      move(b, CR3, PML4 | 1n);
      assert.equal(frame(b), 1);
      b.write64(TABLE, BigInt(TWO) | flags);
      move(b, CR3, PML4 | 2n);
      invlpg(b, AT);
      move(b, CR3, KEEP | PML4 | 1n);
      assert.equal(frame(b), expected);
    }
  });

  it('end together: clearing CR4.PCIDE invalidates all', () => {
    const b = withPcids(PRESENT | GLOBAL);
    assert.equal(frame(b), 1);
    b.write64(TABLE, BigInt(TWO) | PRESENT | GLOBAL);
    move(b, CR4, 0xa0n);
    assert.equal(frame(b), 2);
  });

  describe('INVPCID', () => {
    /** Frame 1 is cached, not global, under PCID 1 and, global at 0x401000, too; then the tables say 2. */
    const cached = (): Bench => {
      const b = withPcids();
      move(b, CR3, PML4 | 1n);
      b.write64(TABLE + 8, BigInt(ONE) | PRESENT | GLOBAL);
      assert.deepEqual(both(b), [1n, 1n]);
      b.write64(TABLE, BigInt(TWO) | PRESENT);
      b.write64(TABLE + 8, BigInt(TWO) | PRESENT | GLOBAL);
      return b;
    };
    const both = (b: Bench): bigint[] => [b.cpu.linear.read(AT, 8), b.cpu.linear.read(AT + 0x1000n, 8)];

    const cases: [string, number, bigint, bigint, bigint[]][] = [
      ['type 0: one address of one PCID, not global', 0, 1n, AT, [2n, 1n]],
      ['type 0 leaves a global page', 0, 1n, AT + 0x1000n, [1n, 1n]],
      ['type 0 of another PCID', 0, 2n, AT, [1n, 1n]],
      ['type 1: one PCID but its global pages', 1, 1n, 0n, [2n, 1n]],
      ['type 1 of another PCID', 1, 2n, 0n, [1n, 1n]],
      ['type 2: all', 2, 0n, 0n, [2n, 2n]],
      ['type 3: all but global pages', 3, 0n, 0n, [2n, 1n]],
    ];
    for (const [what, type, pcid, linear, expected] of cases) {
      it(what, () => {
        const b = cached();
        assert.equal(invpcid(b, type, pcid, linear), undefined);
        assert.deepEqual(both(b), expected);
      });
    }

    it('raises #GP for a bad type, reserved bits, a non-canonical address, a PCID without PCIDs, and above CPL 0', () => {
      assert.equal(invpcid(withPcids(), 4, 0n), 13);
      assert.equal(invpcid(withPcids(), 2, 0x1000n), 13);
      assert.equal(invpcid(withPcids(), 0, 1n, 1n << 47n), 13);
      assert.equal(invpcid(withPcids(), 1, 1n, 1n << 47n), undefined, 'other types have no address');
      assert.equal(invpcid(bench(), 1, 1n), 13);
      assert.equal(invpcid(bench(), 1, 0n), undefined);
      assert.equal(invpcid(bench(), 2, 1n), undefined, 'types 2 and 3 have no PCID');
      assert.equal(invpcid(withPcids().userMode(), 2, 0n), 13);
    });
  });
});
