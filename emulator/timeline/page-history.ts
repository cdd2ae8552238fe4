import { RAM_BASE } from '../memory/layout';
import type { MachineMemory } from '../memory/machine-memory';
import type { WriteWatcher } from '../memory/write-watchers';
import { cheapestSacrifice, indexAt, type Landmark } from './landmarks';
import { PageImages } from './page-images';
import { PagePool, ZERO_PAGE } from './page-pool';

const PAGE = 4096;
const PAGE_SHIFT = 12;

/** A moment of the machine, and all of it but RAM */
export type Point<State> = Pick<Landmark<State>, 'moment' | 'given' | 'state' | 'bytes'>;

/** What must follow when RAM becomes that of another moment */
export interface HistoryHost {
  /** Whether something was made of the code in a RAM page: wasm address of its first byte */
  isCodePage(ramPage: number): boolean;
  /** These bytes were replaced */
  codeWritten(wasmAddress: number, length: number): void;
  /** Generated code is to lose its free ways to RAM. */
  withdrawWrites(): void;
  /** Makes RAM what it is at the first moment, as images are loaded: for that nothing needs to be kept. */
  powerOn(): void;
}

/**
 * The contents of RAM at many moments, by copy-on-write. From each landmark on, the first write to a page is preceded by a
 * copy of it, so that all that was done since can be undone. When the next landmark is set, these copies become the images of
 * the piece of time between the two. To go over a piece means to exchange images and RAM: back and forth cost the same.
 *
 * Memory is bounded. When it is used up, landmarks are forgotten (landmarks.ts); pieces grow together then. If one piece
 * alone writes more than there is room for, everything behind it is forgotten but power-on, from where it can run again.
 */
export class PageHistory<State> implements WriteWatcher {
  private readonly pool: PagePool;
  private readonly marks: Landmark<State>[];
  /** Index of the landmark that RAM is at, or that the machine ran on from */
  private at = 0;
  /** What undoes all since the landmark; undefined: nothing does */
  private undo: PageImages | undefined = new PageImages();
  /** By page: the epoch in which its copy was made */
  private readonly stamps: Uint32Array;
  private epoch = 1;
  private readonly before = new Int32Array(PAGE / 4);
  private readonly words: Int32Array;
  /** Of all landmarks: states and lists of pages */
  private kept = 0;

  /**
   * @param first of the moment at which RAM is as `host.powerOn` makes it; the machine stands there
   * @param limit bytes, at least `smallestLimit`
   */
  constructor(
    private readonly memory: MachineMemory,
    private readonly host: HistoryHost,
    first: Point<State>,
    readonly limit: number,
  ) {
    this.words = memory.i32;
    this.stamps = new Uint32Array(memory.ramSize / PAGE);
    // States and lists have a quarter.
    this.pool = new PagePool(memory.u8, () => (limit - this.stamps.byteLength) * 0.75);
    this.marks = [{ ...first, images: undefined, cost: 0, shared: -1 }];
    this.kept = first.bytes;
    host.withdrawWrites();
  }

  /** Bytes; never more than `limit` */
  get memoryUsed(): number {
    return this.pool.bytes + this.stamps.byteLength + this.kept + (this.undo?.bytes ?? 0);
  }

  get landmarks(): readonly Landmark<State>[] {
    return this.marks;
  }

  /** The landmark from which the machine ran to where it stands */
  get last(): Landmark<State> {
    return this.mark(this.at);
  }

  /** The next landmark of the same branch, when there is one ahead */
  get next(): Landmark<State> | undefined {
    return this.marks[this.at + 1];
  }

  /** Pages that were copied since the last landmark */
  get copied(): number {
    return this.undo?.count ?? 0;
  }

  // Writes

  writing(wasmAddress: number, length: number): void {
    const first = (wasmAddress - RAM_BASE) >>> PAGE_SHIFT;
    const last = (wasmAddress - RAM_BASE + length - 1) >>> PAGE_SHIFT;
    if (this.stamps[first] !== this.epoch) this.keep(first);
    for (let page = first + 1; page <= last; page++) if (this.stamps[page] !== this.epoch) this.keep(page);
  }

  /** A page gets its write tag when its copy has been made: not before there is a store. */
  mayStore(ramPage: number, stores: boolean): boolean {
    const page = (ramPage - RAM_BASE) >>> PAGE_SHIFT;
    if (this.stamps[page] === this.epoch) return true;
    if (!stores) return false;
    this.keep(page);
    return true;
  }

  private keep(page: number): void {
    this.stamps[page] = this.epoch;
    if (!this.undo) return;
    if (!this.makeRoom(1) || !this.makeRoomForLists()) this.lose();
    else this.undo.add(page, this.pool.keep(RAM_BASE + page * PAGE));
  }

  // Landmarks

  /**
   * Sets a landmark where the machine stands, between the last one and the next.
   * @param cost milliseconds from the last one to here
   */
  set(point: Point<State>, cost: number): void {
    const previous = this.last;
    this.marks.splice(this.at + 1, 0, {
      ...point,
      images: previous.images,
      cost: Math.max(0, previous.cost - cost),
      shared: previous.shared,
    });
    this.kept += point.bytes;
    previous.images = undefined;
    this.close(cost);
  }

  /** The machine has run to the next landmark. */
  arrive(cost: number): void {
    const { images } = this.last;
    if (images) this.release(images);
    this.close(cost);
  }

  /** What undoes the piece that has been run becomes its images. */
  private close(cost: number): void {
    const previous = this.last;
    previous.images = this.undo?.sealed();
    this.kept += previous.images?.bytes ?? 0;
    previous.cost = cost;
    previous.shared = -1;
    const before = this.marks[this.at - 1];
    if (before) before.shared = -1;
    this.at++;
    this.begin();
    this.makeRoomForLists();
  }

  /** RAM is that of landmark `at`. */
  private begin(): void {
    if (this.undo) this.undo.clear();
    else this.undo = new PageImages();
    if (++this.epoch === 2 ** 32) {
      this.stamps.fill(0);
      this.epoch = 1;
    }
    this.host.withdrawWrites();
  }

  /** Forgets what is ahead of where the machine stands. */
  cut(): void {
    for (const mark of this.marks.splice(this.at + 1)) {
      if (mark.images) this.release(mark.images);
      this.kept -= mark.bytes;
    }
    const { last } = this;
    if (last.images) this.release(last.images);
    last.images = undefined;
    last.shared = -1;
  }

  /** The landmark from where the machine would run to a moment */
  landmark(moment: number, given: number): Landmark<State> {
    const target = indexAt(this.marks, moment, given);
    const [first] = this.marks;
    const over = target > 0 && !first?.images && (this.at === 0 || this.undo === undefined);
    return this.mark(over ? 0 : target);
  }

  /**
   * Makes RAM that of the landmark before a moment, or of an earlier one when no way leads there.
   * @returns that landmark, whose state the machine is to get
   */
  goTo(moment: number, given: number): Landmark<State> {
    this.rewind();
    for (;;) {
      if (!this.undo) this.powerOn();
      const target = indexAt(this.marks, moment, given);
      if (this.at === target) break;
      const piece = this.mark(target < this.at ? this.at - 1 : this.at);
      if (piece.images) {
        if (this.exchange(piece.images)) this.at += target < this.at ? -1 : 1;
      } else if (target > this.at) break;
      else this.powerOn();
    }
    this.begin();
    return this.last;
  }

  /** False is certain: nothing was written to this page of RAM between two moments. */
  mayBeWritten(page: number, from: number, to: number): boolean {
    for (let index = indexAt(this.marks, from, 0); index < this.marks.length; index++) {
      const mark = this.mark(index);
      if (index > 0 && mark.moment >= to) return false;
      if (mark.images ? mark.images.has(page) : !this.untouched(index, page)) return true;
    }
    return false;
  }

  /** Of a piece without images: what runs now, beyond all that ran before */
  private untouched(index: number, page: number): boolean {
    if (index < this.marks.length - 1 || index !== this.at) return false;
    return this.undo !== undefined && this.stamps[page] !== this.epoch;
  }

  // Contents of RAM

  /** RAM becomes that of the last landmark. */
  private rewind(): void {
    const { undo } = this;
    if (!undo) return this.powerOn();
    for (let i = 0; i < undo.count; i++) {
      this.replace(undo.page(i), undo.slot(i), false);
      this.pool.release(undo.slot(i));
    }
    undo.clear();
  }

  /** Goes over a piece. False when something had to be forgotten for it: the way is to be found anew. */
  private exchange(images: PageImages): boolean {
    let zeros = 0;
    for (let i = 0; i < images.count; i++) if (images.slot(i) === ZERO_PAGE) zeros++;
    if (!this.pool.has(zeros)) {
      if (!this.makeRoom(zeros)) this.lose();
      return false;
    }
    for (let i = 0; i < images.count; i++) images.setSlot(i, this.replace(images.page(i), images.slot(i), true));
    return true;
  }

  private replace(page: number, slot: number, exchange: boolean): number {
    const at = RAM_BASE + page * PAGE;
    const code = this.host.isCodePage(at);
    const first = at >>> 2;
    if (code) this.before.set(this.words.subarray(first, first + PAGE / 4));
    let now = slot;
    if (exchange) now = this.pool.swap(slot, at);
    else this.pool.put(slot, at);
    // Where code is, only bytes that differ make it stale: data beside it changes often.
    for (let i = 0; code && i < PAGE / 4; i++)
      if (this.words[first + i] !== this.before[i]) this.host.codeWritten(at + i * 4, 4);
    return now;
  }

  private powerOn(): void {
    const { memory, host } = this;
    host.powerOn();
    for (let at = RAM_BASE; at < RAM_BASE + memory.ramSize; at += PAGE)
      if (host.isCodePage(at)) host.codeWritten(at, PAGE);
    this.at = 0;
    this.undo ??= new PageImages();
  }

  // Memory

  /** @returns false when there is nothing left to forget */
  private makeRoom(pages: number): boolean {
    while (!this.pool.has(pages)) if (!this.sacrifice()) return false;
    return true;
  }

  /** States and lists have a quarter of memory, and the list that grows now may double. */
  private makeRoomForLists(): boolean {
    const most = (this.limit - this.stamps.byteLength) / 4;
    while (this.kept + (this.undo?.reach ?? 0) > most) if (!this.sacrifice()) return false;
    return true;
  }

  private sacrifice(): boolean {
    const sacrifice = cheapestSacrifice(this.marks, this.at);
    if (!sacrifice) return false;
    if (sacrifice.index === 0) this.forget(this.mark(0));
    else this.remove(sacrifice.index);
    return true;
  }

  private forget(mark: Landmark<State>): void {
    if (mark.images) this.release(mark.images);
    mark.images = undefined;
    mark.shared = -1;
  }

  /** The pieces before and after a landmark become one. */
  private remove(index: number): void {
    const [mark, previous] = [this.mark(index), this.mark(index - 1)];
    const { images: after } = mark;
    const { images: before } = previous;
    if (before && after) {
      // Behind, the older images count; ahead, the newer.
      const [first, second] = index < this.at ? [before, after] : [after, before];
      previous.images = first.mergedOver(second, (slot) => this.pool.release(slot));
      this.kept += previous.images.bytes - before.bytes - after.bytes;
    } else {
      this.forget(previous);
      this.forget(mark);
    }
    this.kept -= mark.bytes;
    previous.cost += mark.cost;
    previous.shared = -1;
    const earlier = this.marks[index - 2];
    if (earlier) earlier.shared = -1;
    this.marks.splice(index, 1);
    if (index <= this.at) this.at--;
  }

  /** What runs now cannot be undone, and so nothing behind it be reached, but by running again from power-on. */
  private lose(): void {
    if (this.undo) this.release(this.undo);
    this.undo = undefined;
    const [first] = this.marks;
    for (const mark of this.marks.splice(1, this.at)) {
      this.forget(mark);
      this.kept -= mark.bytes;
      if (first) first.cost += mark.cost;
    }
    this.forget(this.mark(0));
    this.at = 0;
  }

  private release(images: PageImages): void {
    for (let i = 0; i < images.count; i++) this.pool.release(images.slot(i));
    if (images !== this.undo) this.kept -= images.bytes;
  }

  private mark(index: number): Landmark<State> {
    const mark = this.marks[index];
    if (!mark) throw new RangeError(`no landmark ${index}: there are ${this.marks.length}`);
    return mark;
  }
}
