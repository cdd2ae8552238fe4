import type { AddressSpace } from '../../machine/api';
import type { AccessHit, Watchpoint } from '../../machine/watchpoints';
import type { Moment, Task, Timeline } from '../api';
import { replayTo, travel } from './replay';

/** Host-physical bytes */
export interface Bytes {
  readonly address: number;
  readonly length: number;
}

/** The answer: who wrote, and what the bytes that it wrote became. */
export interface Write extends AccessHit {
  readonly after: Uint8Array;
}

const PAGE = 4096;
/** The last write is mostly near: this much is looked at first. */
const NEAR = 200_000;
/** So many writes in one replay, and the rest of it is looked at first */
const MANY = 20_000;
const HOST_PHYSICAL: AddressSpace = {
  kind: 'host-physical', cr0: 0n, cr3: 0n, cr4: 0n, efer: 0n, eptp: 0n, codeSize: 64,
}; // prettier-ignore

/**
 * Who last wrote to one of these bytes before a moment: also when it wrote what was there already. Undefined: nobody since
 * history began. Pieces of history in which their pages were not written are passed over; others run once more, from the
 * latest backwards. Leaves the machine anywhere.
 */
export function* lastWrite(
  timeline: Timeline,
  bytes: readonly Bytes[],
  before: Moment = timeline.now,
): Task<Write | undefined> {
  const search = new Search(timeline, bytes, before);
  let end = before;
  for (let near = true; end > timeline.first; near = false) {
    const start = near ? Math.max(timeline.landmark(end - 1), end - NEAR) : timeline.landmark(end - 1);
    if (search.mayBeWritten(start, end)) {
      const hit = yield* search.lastIn(start, end);
      if (hit) return yield* search.complete(hit);
    }
    end = start;
    yield search.fraction(end);
  }
  return undefined;
}

class Search {
  private readonly pages: readonly number[];

  constructor(
    private readonly timeline: Timeline,
    private readonly bytes: readonly Bytes[],
    private readonly before: Moment,
  ) {
    const pages = bytes.flatMap(({ address, length }) => {
      const first = Math.floor(address / PAGE);
      return Array.from({ length: Math.floor((address + length - 1) / PAGE) - first + 1 }, (_, i) => first + i);
    });
    this.pages = [...new Set(pages)];
  }

  mayBeWritten(from: Moment, to: Moment): boolean {
    return this.pages.some((page) => this.timeline.mayBeWritten(page, from, to));
  }

  fraction(at: Moment): number {
    const { first } = this.timeline;
    return (this.before - at) / Math.max(1, this.before - first);
  }

  /** The last write between two moments */
  *lastIn(from: Moment, to: Moment): Task<AccessHit | undefined> {
    const { timeline } = this;
    const done = this.fraction(to);
    yield* travel(timeline, from, done);
    let last: AccessHit | undefined;
    let count = 0;
    const watches = this.bytes.map(({ address, length }) =>
      this.watch({ address, length }, (hit) => {
        // What a device does at the end of the last step belongs to what is asked about, but nothing beyond.
        if (hit.moment >= to && hit.by !== 'debugger') return;
        last = hit;
        if (++count === MANY) timeline.machine.requestStop();
      }),
    );
    try {
      yield* replayTo(
        timeline,
        to,
        () => done,
        () => count >= MANY,
      );
    } finally {
      for (const watch of watches) watch.remove();
    }
    const { now } = timeline;
    if (count < MANY || now >= to) return last;
    // They are many: the last of them is in the rest, of which the later half is looked at first.
    const middle = now + Math.ceil((to - now) / 2);
    return (middle < to ? yield* this.lastIn(middle, to) : undefined) ?? (yield* this.lastIn(now, middle)) ?? last;
  }

  private watch({ address, length }: Bytes, listener: (hit: AccessHit) => void): Watchpoint {
    const { machine } = this.timeline;
    return machine.watch(
      { space: HOST_PHYSICAL, address: BigInt(address), length, write: true, read: false },
      listener,
    );
  }

  /** No later write changed these bytes. */
  *complete(hit: AccessHit): Task<Write> {
    const { timeline } = this;
    yield* travel(timeline, Math.min(hit.moment + 1, this.before), this.fraction(hit.moment));
    const after = timeline.machine.readMemory(HOST_PHYSICAL, BigInt(hit.hostPhysical), hit.before.length);
    return { ...hit, after };
  }
}
