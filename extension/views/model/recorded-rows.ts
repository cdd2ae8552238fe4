import { PAGE, type Range } from './ranges';

export interface Recorded<Row> {
  readonly total: number;
  readonly rows: readonly Row[];
}

interface Page<Row> {
  readonly rows: readonly Row[];
  /** Number of the last row */
  readonly last: number;
}

/**
 * Rows that the adapter records one after another, numbered from 1, and never changes; fetched in aligned pages of 100
 * when they are looked at and kept from then on. A list that has become shorter (restart, step back) is fetched anew.
 */
export class RecordedRows<Row> {
  private readonly pages = new Map<number, Page<Row>>();
  private known = 0;

  constructor(private readonly fetch: (start: number, count: number) => Promise<Recorded<Row>>) {}

  /** Asks how many rows there are now. */
  async total(): Promise<number> {
    return this.learn((await this.fetch(0, 0)).total);
  }

  /** Rows number start + 1 to end, oldest first, without those that are not there (beyond the end, or long dropped). */
  async rows({ start, end }: Range): Promise<readonly Row[]> {
    const found: Row[] = [];
    for (let page = Math.floor(start / PAGE); page * PAGE < end; page++) {
      const { rows, last } = await this.page(page);
      // Those that have been dropped are the oldest: rows are numbered from the end of their page.
      const first = last - rows.length;
      found.push(...rows.filter((_, index) => first + index >= start && first + index < end));
    }
    return found;
  }

  clear(): void {
    this.pages.clear();
    this.known = 0;
  }

  private async page(page: number): Promise<Page<Row>> {
    const kept = this.pages.get(page);
    if (kept) return kept;
    const { total, rows } = await this.fetch(page * PAGE, PAGE);
    this.learn(total);
    const end = (page + 1) * PAGE;
    const read = { rows, last: Math.min(total, end) };
    if (total >= end) this.pages.set(page, read);
    return read;
  }

  private learn(total: number): number {
    if (total < this.known) this.clear();
    return (this.known = total);
  }
}
