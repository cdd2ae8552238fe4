import { PAGE, type Range } from './ranges';

export interface Recorded<Row> {
  readonly total: number;
  readonly rows: readonly Row[];
}

/**
 * Rows that the adapter records one after another, numbered from 1, and never changes; fetched in aligned pages of 100
 * when they are looked at and kept from then on. A list that has become shorter (restart, step back) is fetched anew.
 */
export class RecordedRows<Row extends { readonly n: number }> {
  private readonly pages = new Map<number, readonly Row[]>();
  private known = 0;

  constructor(private readonly fetch: (start: number, count: number) => Promise<Recorded<Row>>) {}

  /** Asks how many rows there are now. */
  async total(): Promise<number> {
    return this.learn((await this.fetch(0, 0)).total);
  }

  /** Rows number start + 1 to end, oldest first, without those that are not there (beyond the end, or long dropped). */
  async rows({ start, end }: Range): Promise<readonly Row[]> {
    const rows: Row[] = [];
    for (let page = Math.floor(start / PAGE); page * PAGE < end; page++) rows.push(...(await this.page(page)));
    return rows.filter(({ n }) => n > start && n <= end);
  }

  clear(): void {
    this.pages.clear();
    this.known = 0;
  }

  private async page(page: number): Promise<readonly Row[]> {
    const kept = this.pages.get(page);
    if (kept) return kept;
    const { total, rows } = await this.fetch(page * PAGE, PAGE);
    this.learn(total);
    if (total >= (page + 1) * PAGE) this.pages.set(page, rows);
    return rows;
  }

  private learn(total: number): number {
    if (total < this.known) this.clear();
    return (this.known = total);
  }
}
