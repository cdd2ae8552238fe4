import assert from 'node:assert/strict';
import { RAM_BASE } from '../../emulator/memory/layout';
import { MachineMemory } from '../../emulator/memory/machine-memory';
import { PageHistory } from '../../emulator/timeline/page-history';

const PAGE = 4096;
const PAGES = 64;
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

function randomOf(seed: number): (below: number) => number {
  let x = seed | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/**
 * A machine of RAM alone: at each moment it writes what follows from the moment, some bytes in some pages, now and then
 * zeros. The model keeps all of RAM at every moment.
 */
class Toy {
  readonly memory = new MachineMemory(PAGES * PAGE);
  readonly ram = this.memory.u8.subarray(RAM_BASE, RAM_BASE + PAGES * PAGE);
  readonly model: Uint8Array[] = [];
  readonly history: PageHistory<number>;
  readonly code = new Set<number>();
  readonly stale = new Set<number>();
  moment = 0;
  end = 0;
  private branch = 0;
  /** In which branch each moment ran: another one is another future */
  private readonly branches: number[] = [];
  private free = new Set<number>();

  constructor(
    readonly limit: number,
    readonly spread: number,
  ) {
    this.powerOn();
    this.model[0] = this.ram.slice();
    const host = {
      isCodePage: (at: number) => this.code.has(at),
      codeWritten: (at: number) => void this.stale.add(at - (at % PAGE)),
      withdrawWrites: () => this.free.clear(),
      powerOn: () => this.powerOn(),
    };
    this.history = new PageHistory(this.memory, host, { moment: 0, given: 0, state: 0, bytes: 64 }, limit);
    this.memory.watchWrites(this.history);
  }

  private powerOn(): void {
    this.ram.fill(0);
    for (let page = 0; page < PAGES; page += 3) this.ram.fill(page + 1, page * PAGE, page * PAGE + 100);
  }

  /** One moment on. What it writes follows from the moment and the branch. */
  step(): void {
    if (this.moment === this.end) this.branches[this.moment] = this.branch;
    const random = randomOf((this.moment + 1) * 7919 + (this.branches[this.moment] ?? 0) * 104729);
    for (let count = 1 + random(3); count > 0; count--) {
      const page = random(this.spread);
      const at = page * PAGE + random(PAGE - 8);
      const value = random(3) === 0 ? 0 : random(256);
      const length = random(20) === 0 ? PAGE : 1 + random(8);
      this.write(Math.min(at, PAGES * PAGE - length), length, value, random(2) === 0);
    }
    this.moment++;
    if (this.moment > this.end) {
      this.end = this.moment;
      this.model[this.moment] = this.ram.slice();
    }
    assert.ok(this.history.memoryUsed <= this.limit, `${this.history.memoryUsed} of ${this.limit} bytes`);
    if (this.history.next?.moment === this.moment) this.history.arrive(1);
  }

  /** By a store that announces itself, or one with a write tag */
  private write(at: number, length: number, value: number, tagged: boolean): void {
    const [first, last] = [Math.floor(at / PAGE), Math.floor((at + length - 1) / PAGE)];
    for (let page = first; page <= last; page++) {
      const from = Math.max(at, page * PAGE);
      const size = Math.min(at + length, (page + 1) * PAGE) - from;
      if (!tagged) this.memory.writing?.(RAM_BASE + from, size);
      else if (!this.free.has(page)) {
        assert.equal(this.memory.mayStore?.(RAM_BASE + page * PAGE, true), true);
        this.free.add(page);
      }
      this.ram.fill(value, from, from + size);
    }
  }

  set(cost = 1): void {
    const { moment } = this;
    if (this.history.last.moment !== moment) this.history.set({ moment, given: 0, state: moment, bytes: 64 }, cost);
  }

  seek(moment: number): void {
    if (this.moment === this.end) this.set();
    const mark = this.history.goTo(moment, 0);
    assert.equal(mark.state, mark.moment);
    assert.ok(mark.moment <= moment);
    this.moment = mark.moment;
    this.check();
    while (this.moment < moment) this.step();
    this.check();
  }

  cut(): void {
    this.history.cut();
    this.model.length = this.moment + 1;
    this.end = this.moment;
    this.branch++;
  }

  check(): void {
    const expected = this.model[this.moment];
    assert.ok(expected);
    assert.equal(Buffer.compare(this.ram, expected), 0, `RAM at moment ${this.moment}, seed ${SEED}`);
    assert.ok(this.history.memoryUsed <= this.limit, `${this.history.memoryUsed} of ${this.limit} bytes`);
  }
}

describe('history of pages', () => {
  const limits = { ample: 8 << 20, small: 160 << 10, tiny: 48 << 10 };
  for (const [name, limit] of Object.entries(limits)) {
    for (const spread of [4, PAGES]) {
      it(`is what a model of all of RAM says: ${name} memory, ${spread} pages written`, () => {
        for (let round = 0; round < 20; round++) {
          const toy = new Toy(limit, spread);
          const random = randomOf(SEED + round * 31);
          for (let action = 0; action < 150; action++) {
            const what = random(10);
            if (what < 5) for (let count = random(20); count > 0 && toy.moment === toy.end; count--) toy.step();
            if (what < 7) toy.set();
            if (what >= 6) toy.seek(random(toy.end + 1));
            if (what === 9 && random(3) === 0) toy.cut();
            if (what === 8) toy.seek(toy.end);
            toy.check();
          }
        }
      });
    }
  }

  it('remembers exactly which pages may have been written, and never too few', () => {
    const random = randomOf(SEED);
    for (const limit of [8 << 20, 48 << 10]) {
      const toy = new Toy(limit, PAGES);
      const touched: Set<number>[] = [];
      for (let moment = 0; moment < 200; moment++) {
        const before = toy.ram.slice();
        toy.step();
        const pages = new Set<number>();
        for (let page = 0; page < PAGES; page++)
          if (
            Buffer.compare(
              before.subarray(page * PAGE, (page + 1) * PAGE),
              toy.ram.subarray(page * PAGE, (page + 1) * PAGE),
            )
          )
            pages.add(page);
        touched.push(pages);
        if (random(8) === 0) toy.set();
      }
      let certain = 0;
      for (let i = 0; i < 2000; i++) {
        const from = random(200);
        const to = from + 1 + random(200 - from);
        const page = random(PAGES);
        const written = touched.slice(from, to).some((pages) => pages.has(page));
        const maybe = toy.history.mayBeWritten(page, from, to);
        assert.ok(maybe || !written, `page ${page} from ${from} to ${to}, seed ${SEED}`);
        if (!maybe) certain++;
        if (i % 100 === 0) toy.seek(random(200));
      }
      if (limit > 1 << 20) assert.ok(certain > 100);
    }
  });

  it('tells of code only where its bytes differ', () => {
    const toy = new Toy(8 << 20, 8);
    for (let i = 0; i < 100; i++) {
      toy.step();
      if (i % 10 === 0) toy.set();
    }
    toy.code.add(RAM_BASE + 3 * PAGE).add(RAM_BASE + 40 * PAGE);
    toy.seek(5);
    assert.deepEqual([...toy.stale], [RAM_BASE + 3 * PAGE]);
  });

  it('keeps the distances of landmarks in proportion to their age when memory is short', () => {
    const toy = new Toy(1 << 20, 8);
    for (let i = 0; i < 3000; i++) {
      toy.step();
      if (i % 5 === 0) toy.set(1000);
    }
    const { landmarks } = toy.history;
    assert.ok(landmarks.length > 10, `${landmarks.length} landmarks`);
    const distances = landmarks.slice(1).map((mark, i) => mark.moment - (landmarks[i]?.moment ?? 0));
    const third = Math.floor(distances.length / 3);
    const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
    assert.ok(sum(distances.slice(0, third)) > 4 * sum(distances.slice(-third)), distances.join(' '));
    for (const moment of [0, 1, 77, 1500, 2990, 3000, 12]) toy.seek(moment);
  });
});
