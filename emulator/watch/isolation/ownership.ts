import { RAM_BASE } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';
import type { Range } from './areas';
import { MONITOR, VMM, type Side } from './sides';
import type { Writer } from './writer';

const PAGE = 4096;

/** A page that changed its owner, by a change of tables. */
export interface OwnerChange {
  readonly moment: number;
  readonly page: number;
  readonly from: number;
  readonly to: number;
  /** Host-physical address of the entry whose change it was, and who wrote it */
  readonly entry: number | undefined;
  readonly writer: Writer | undefined;
}

/**
 * Whose each page is, by facts: a guest's from when a table in force maps it for the guest until none does and what the
 * guest had there is gone; the monitor's by the policy; else the VMM's.
 */
export class Ownership {
  /** In the order in which they were found */
  readonly changes: OwnerChange[] = [];
  /** Whether a page still holds secret bytes of a guest; undefined: nobody tracks them, contents are compared */
  holdsSecret: ((page: number, guest: number) => boolean) | undefined;
  private readonly owners: Int16Array;
  /** 1 monitor, 2 shared on purpose */
  private readonly declared: Uint8Array;
  /** Pages as they were when a guest lost them */
  private readonly departed = new Map<number, { readonly guest: number; readonly bytes: Uint8Array }>();

  constructor(
    private readonly memory: MachineMemory,
    monitor: readonly Range[],
    shared: readonly Range[],
  ) {
    const pages = memory.ramSize / PAGE;
    this.owners = new Int16Array(pages);
    this.declared = new Uint8Array(pages);
    const mark = (ranges: readonly Range[], as: number, whole: boolean): void => {
      for (const { start, end } of ranges) {
        // Of the monitor every page that it touches; shared is only what is so wholly.
        const first = whole ? Math.ceil(Number(start) / PAGE) : Math.floor(Number(start) / PAGE);
        const last = whole ? Math.floor(Number(end) / PAGE) : Math.ceil(Number(end) / PAGE);
        for (let page = first; page < Math.min(last, pages); page++) this.declared[page] = as;
      }
    };
    mark(monitor, 1, false);
    mark(shared, 2, true);
    for (let page = 0; page < pages; page++) if (this.declared[page] === 1) this.owners[page] = MONITOR;
  }

  isShared(page: number): boolean {
    return this.declared[page] === 2;
  }

  isMonitor(page: number): boolean {
    return this.declared[page] === 1;
  }

  of(page: number): number {
    return this.owners[page] ?? VMM;
  }

  /** The guest that has lost the page, while what it had there is still there */
  leftoverOf(page: number): number | undefined {
    return this.departed.get(page)?.guest;
  }

  /** Before an entry that maps the page for a guest is overwritten: perhaps it loses the page now. */
  departing(page: number, guest: number): void {
    const at = RAM_BASE + page * PAGE;
    this.departed.set(page, { guest, bytes: this.memory.u8.slice(at, at + PAGE) });
  }

  /** Pages to be judged at the next check, whether or not a table has changed */
  get waiting(): Iterable<number> {
    return this.departed.keys();
  }

  /** Finds the owner anew. @returns whether it is another than before */
  settle(page: number, guests: readonly Side[]): { readonly from: number; readonly to: number } | undefined {
    if (this.declared[page] !== 0 || page >= this.owners.length) return undefined;
    const from = this.of(page);
    const to = this.find(page, from, guests);
    if (from === to) return undefined;
    this.owners[page] = to;
    return { from, to };
  }

  /** Changes of one page, oldest first */
  history(page: number): OwnerChange[] {
    return this.changes.filter((change) => change.page === page);
  }

  /** Owners are found anew by the next checks. */
  forget(): void {
    for (let page = 0; page < this.owners.length; page++) if (this.declared[page] !== 1) this.owners[page] = VMM;
    this.departed.clear();
  }

  private find(page: number, before: number, guests: readonly Side[]): number {
    const holders = guests.filter(({ views }) => [...views].some((view) => view.maps(page)));
    const [first] = holders;
    if (first) {
      this.departed.delete(page);
      return holders.some(({ number }) => number === before) ? before : first.number;
    }
    if (before > VMM && this.holdsSecret) return this.holdsSecret(page, before) ? before : VMM;
    const left = this.departed.get(page);
    if (!left) return VMM;
    if (this.isUnchanged(page, left.bytes)) return left.guest;
    this.departed.delete(page);
    return VMM;
  }

  /** A page that is all one byte tells nothing: it was never used, or it is erased. */
  private isUnchanged(page: number, bytes: Uint8Array): boolean {
    const at = RAM_BASE + page * PAGE;
    const { u8 } = this.memory;
    let uniform = true;
    for (let i = 0; i < PAGE; i++) {
      if (u8[at + i] !== bytes[i]) return false;
      uniform &&= bytes[i] === bytes[0];
    }
    return !uniform;
  }
}
