import type { Moment } from '../../emulator/timeline/api';
import type { PageDecision, PageRow } from '../protocol/requests';

/** What a probe announced about one page, before it is put into words. */
export interface PageEvent {
  readonly n: number;
  readonly instruction: number;
  readonly decision: PageDecision;
  readonly hpa: bigint;
  readonly gpa: bigint;
  readonly vm: number;
  readonly why: string;
  readonly symbol: string;
  /** When the probe was reached: before its instruction */
  readonly moment: Moment;
}

/** Decisions about pages, newest last: the newest `capacity` are kept. */
export class PageLog {
  private rows: PageEvent[] = [];
  private dropped = 0;

  constructor(private readonly capacity = 1 << 20) {}

  get total(): number {
    return this.dropped + this.rows.length;
  }

  add(event: Omit<PageEvent, 'n'>): PageEvent {
    const row = { n: this.total + 1, ...event };
    this.rows.push(row);
    if (this.rows.length >= 2 * this.capacity) {
      this.dropped += this.rows.length - this.capacity;
      this.rows = this.rows.slice(-this.capacity);
    }
    return row;
  }

  /** Forgets what was behind this moment. */
  cut(at: Moment): void {
    const end = this.rows.findLastIndex((row) => row.moment <= at) + 1;
    this.rows.length = end;
  }

  /** `hpa`: only decisions about the page that contains it */
  slice(start: number, count: number, hpa?: bigint): { total: number; rows: PageEvent[] } {
    if (hpa !== undefined) {
      const page = this.rows.filter((row) => row.hpa >> 12n === hpa >> 12n);
      return { total: page.length, rows: page.slice(start, start + count) };
    }
    const from = Math.max(0, start - this.dropped);
    return { total: this.total, rows: this.rows.slice(from, Math.max(from, start + count - this.dropped)) };
  }
}

const hex = (value: bigint) => `0x${value.toString(16)}`;

export const pageRow = (event: PageEvent): PageRow => ({
  ...event,
  hpa: hex(event.hpa),
  gpa: hex(event.gpa),
});
