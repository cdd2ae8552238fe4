import { strict as assert } from 'node:assert';
import { RAM_BASE, TLB_BANK_COUNT, TLB_EXECUTE, TLB_READ, TLB_WRITE } from '../../emulator/memory/layout';
import { MachineMemory } from '../../emulator/memory/machine-memory';
import { Permission, TagMode, Tlb } from '../../emulator/memory/tlb';

const { READ, WRITE, EXECUTE } = Permission;
const ALL = READ | WRITE | EXECUTE;
const HIGH = 0xffff_8000_0000_5000n;
const FRAME = RAM_BASE + 0x9000;

describe('TLB', () => {
  let tlb: Tlb;
  beforeEach(() => {
    tlb = new Tlb(new MachineMemory(0x100000));
  });
  const hit = (bank: number, linear: bigint): boolean => tlb.lookup(bank, linear, TLB_READ) >= 0;

  it('returns the wasm address, for exactly the accesses that were permitted', () => {
    const bank = tlb.select(0, 0, 0, 0);
    tlb.fill(bank, HIGH, FRAME, READ | EXECUTE, false, 4096);
    assert.equal(tlb.lookup(bank, HIGH + 0xabcn, TLB_READ), FRAME + 0xabc);
    assert.equal(tlb.lookup(bank, HIGH + 1n, TLB_EXECUTE), FRAME + 1);
    assert.equal(tlb.lookup(bank, HIGH, TLB_WRITE), -1);
    assert.equal(tlb.lookup(bank, HIGH & 0xffff_ffffn, TLB_READ), -1, 'the whole address is compared');
  });

  it('keeps banks of different tags apart and finds a tag again', () => {
    const a = tlb.select(1, 0, 0x10, TagMode.PAGING);
    const b = tlb.select(2, 0, 0x10, TagMode.PAGING);
    const c = tlb.select(1, 0, 0x11, TagMode.PAGING);
    const d = tlb.select(1, 0, 0x10, TagMode.PAGING | TagMode.USER);
    assert.equal(new Set([a, b, c, d]).size, 4);
    tlb.fill(a, HIGH, FRAME, ALL, false, 4096);
    assert.deepEqual(
      [a, b, c, d].map((bank) => hit(bank, HIGH)),
      [true, false, false, false],
    );
    assert.equal(tlb.select(1, 0, 0x10, TagMode.PAGING), a);
  });

  it('reuses banks in a fixed order, empties them, and spares the one to keep', () => {
    const first = tlb.select(1, 0, 0, 0);
    tlb.fill(first, HIGH, FRAME, ALL, false, 4096);
    for (let i = 2; i <= TLB_BANK_COUNT; i++) tlb.select(i, 0, 0, 0);
    const other = tlb.select(100, 0, 0, 0, first);
    assert.notEqual(other, first);
    assert.equal(hit(first, HIGH), true);
    for (let i = 101; i < 101 + TLB_BANK_COUNT; i++) tlb.select(i, 0, 0, 0);
    assert.equal(hit(tlb.select(1, 0, 0, 0), HIGH), false);
  });

  it('flushes by VPID, by EPT root and by page, and nothing else', () => {
    const guest = tlb.select(1, 0, 0x10, 0);
    const guestUser = tlb.select(1, 0, 0x10, TagMode.USER);
    const otherRoot = tlb.select(1, 0, 0x11, 0);
    const otherVpid = tlb.select(2, 0, 0x10, 0);
    const root = tlb.select(0, 0, 0, 0);
    const banks = [guest, guestUser, otherRoot, otherVpid, root];
    const fill = (): void => banks.forEach((bank) => tlb.fill(bank, HIGH, FRAME, ALL, false, 4096));
    const hits = (): boolean[] => banks.map((bank) => hit(bank, HIGH));
    fill();
    tlb.flushVpid(1);
    assert.deepEqual(hits(), [false, false, false, true, true]);
    fill();
    tlb.flushEptRoot(0x10);
    assert.deepEqual(hits(), [false, false, true, false, true]);
    fill();
    tlb.flushAllEptRoots();
    assert.deepEqual(hits(), [false, false, false, false, true]);
    fill();
    tlb.flushAllVpids();
    assert.deepEqual(hits(), [false, false, false, false, true]);
    fill();
    tlb.flushPage(1, HIGH + 0x123n);
    assert.deepEqual(hits(), [false, false, false, true, true]);
    fill();
    tlb.flushPage(1, HIGH + 0x1000n);
    assert.deepEqual(hits(), [true, true, true, true, true]);
    tlb.flushAll();
    assert.deepEqual(hits(), [false, false, false, false, false]);
  });

  it('keeps global pages over a flush as by MOV to CR3, not over INVLPG', () => {
    const bank = tlb.select(0, 0, 0, 0);
    tlb.fill(bank, HIGH, FRAME, ALL, true, 4096);
    tlb.fill(bank, 0x6000n, FRAME, ALL, false, 4096);
    tlb.flushVpid(0, true);
    assert.equal(hit(bank, HIGH), true);
    assert.equal(hit(bank, 0x6000n), false);
    tlb.flushPage(0, HIGH);
    assert.equal(hit(bank, HIGH), false);
  });

  it('drops every part of a large page', () => {
    const bank = tlb.select(0, 0, 0, 0);
    tlb.fill(bank, 0x201000n, FRAME, ALL, false, 0x200000);
    tlb.fill(bank, 0x3ff000n, FRAME, ALL, false, 0x200000);
    tlb.fill(bank, 0x400000n, FRAME, ALL, false, 0x200000);
    tlb.flushPage(0, 0x280000n);
    assert.deepEqual(
      [0x201000n, 0x3ff000n, 0x400000n].map((at) => hit(bank, at)),
      [false, false, true],
    );
  });

  it('flushes a PCID of a VPID, but not its global pages', () => {
    const [one, two, other] = [tlb.select(1, 1, 0, 0), tlb.select(1, 2, 0, 0), tlb.select(2, 1, 0, 0)];
    for (const bank of [one, two, other]) {
      tlb.fill(bank, HIGH, FRAME, ALL, false, 4096);
      tlb.fill(bank, 0x6000n, FRAME, ALL, true, 4096);
    }
    tlb.flushPcid(1, 1);
    assert.deepEqual(
      [one, two, other].map((bank) => [hit(bank, HIGH), hit(bank, 0x6000n)]),
      [
        [false, true],
        [true, true],
        [true, true],
      ],
    );
  });

  it('remembers a mapping whose tag was withdrawn', () => {
    const bank = tlb.select(0, 0, 0, 0);
    tlb.fill(bank, 0x7000n, FRAME, ALL, false, 4096);
    tlb.withdrawWrite(FRAME);
    assert.equal(tlb.find(bank, 0x7123, 0, WRITE), FRAME);
    tlb.retag(bank, 0x7123, 0, false);
    assert.equal(tlb.lookup(bank, 0x7000n, TLB_WRITE), -1);
    tlb.retag(bank, 0x7123, 0, true);
    assert.equal(tlb.lookup(bank, 0x7000n, TLB_WRITE), FRAME);
  });

  it('comes back from what was saved, its tags with the first use', () => {
    const bank = tlb.select(3, 5, 0x77, TagMode.USER);
    tlb.fill(bank, HIGH, FRAME, READ | EXECUTE, true, 0x200000, 0x1234);
    const saved = tlb.save();
    tlb.flushAll();
    tlb.select(9, 0, 0, 0);
    tlb.restore(saved);
    assert.equal(tlb.select(3, 5, 0x77, TagMode.USER), bank);
    assert.deepEqual(tlb.save(), saved);
    const [low, high] = [Number(HIGH & 0xffff_ffffn) | 0, Number(HIGH >> 32n) | 0];
    assert.equal(tlb.find(bank, low, high, WRITE), -1);
    assert.equal(tlb.find(bank, low, high, READ), FRAME);
    tlb.retag(bank, low, high, true);
    assert.equal(hit(bank, HIGH), true);
  });

  it('has banks of its own for each processor, of which all lose their write tags', () => {
    const memory = new MachineMemory(0x100000, 2);
    const tlbs = [new Tlb(memory, 0), new Tlb(memory, 1)];
    const banks = tlbs.map((of) => of.select(0, 0, 0, 0));
    assert.notEqual(banks[0], banks[1]);
    tlbs.forEach((of, i) => of.fill(banks[i] ?? 0, HIGH, FRAME, ALL, false, 4096));
    tlbs[0]?.withdrawWrite(FRAME);
    assert.deepEqual(
      tlbs.map((of, i) => of.lookup(banks[i] ?? 0, HIGH, TLB_WRITE)),
      [-1, -1],
    );
    tlbs[1]?.flushAll();
    assert.deepEqual(
      tlbs.map((of, i) => of.lookup(banks[i] ?? 0, HIGH, TLB_READ)),
      [FRAME, -1],
    );
  });

  it('withdraws the write tags of one frame in all banks, whatever maps it', () => {
    const a = tlb.select(0, 0, 0, 0);
    const b = tlb.select(1, 0, 2, 0);
    tlb.fill(a, HIGH, FRAME, ALL, false, 4096);
    tlb.fill(b, 0x7000n, FRAME, ALL, false, 4096);
    tlb.fill(b, 0x8000n, FRAME + 4096, ALL, false, 4096);
    tlb.withdrawWrite(FRAME);
    assert.equal(tlb.lookup(a, HIGH, TLB_WRITE), -1);
    assert.equal(tlb.lookup(b, 0x7000n, TLB_WRITE), -1);
    assert.equal(tlb.lookup(b, 0x7000n, TLB_READ), FRAME);
    assert.equal(tlb.lookup(b, 0x8000n, TLB_WRITE), FRAME + 4096);
  });
});
