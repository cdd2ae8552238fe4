import type { Breach } from './breach';
import type { PathStep } from './finding';
import type { OwnerChange, Ownership } from './ownership';
import { ISOLATION_RULES, type IsolationRule } from './rules';
import { MONITOR, ownerName, rightsInWords, type Side } from './sides';
import type { StaleMapping } from './stale';
import type { TablePages } from './table-pages';
import type { TreePath } from './table-tree';
import type { View } from './view';
import type { Writer } from './writer';

const PAGE = 4096;
const MOST_CHANGES = 6;

export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** The rule in words, and what its breach is good for. */
export const ruleText = (rule: IsolationRule): string =>
  `Rule "${rule}": ${ISOLATION_RULES[rule].rule} ${ISOLATION_RULES[rule].danger}`;

const written = (writer: Writer | undefined): Partial<PathStep> =>
  writer ? { moment: writer.moment, vcpu: writer.vcpu, rip: writer.rip, by: writer.by } : {};

/** Words and paths for findings about pages. */
export class Describer {
  constructor(
    private readonly pages: TablePages,
    private readonly ownership: Ownership,
    /** Sides that map pages as their owners */
    private readonly guests: () => readonly Side[],
  ) {}

  breach(breach: Breach, more: number): { readonly title: string; readonly text: string; readonly path: PathStep[] } {
    const { side, page, rights, rule } = breach;
    const what = `${capital(side.name)} can ${rightsInWords(rights)} page ${hex(page * PAGE)}`;
    const others = more === 0 ? '' : `, and ${more} more page${more === 1 ? '' : 's'}`;
    return {
      title: `${what}${this.whose(breach)}${others}`,
      text: [ruleText(rule), ...this.notes(breach)].join('\n'),
      path: [...this.waysOf(side, page), ...this.waysOfOwner(breach), ...this.changesOf(page)],
    };
  }

  stale(stale: StaleMapping, side: Side): { readonly title: string; readonly text: string; readonly path: PathStep[] } {
    const { mapping, page, view, rights, vcpu } = stale;
    const owner = this.ownership.of(page);
    const cached =
      mapping.kind === 'tlb'
        ? `linear ${hex(linearOf(mapping))}, guest-physical ${hex(mapping.guestPage * PAGE)} (VPID ${mapping.vpid}, PCID ${mapping.pcid})`
        : `guest-physical ${hex(mapping.guestPage * PAGE)}, for every linear address`;
    const missing = `INVEPT for the EPT pointer with root ${hex(view.root)} on vCPU ${vcpu}`;
    const entry = view.entryOf(page);
    const steps: PathStep[] = [
      { what: `vCPU ${vcpu} remembers for ${side.name}: ${cached}, leads to the page`, address: BigInt(page * PAGE) },
    ];
    if (entry !== undefined)
      steps.push({ what: `the entry of ${side.name}'s table that has changed`, ...this.entryNow(entry) });
    return {
      title: `${capital(side.name)} can still ${rightsInWords(rights)} page ${hex(page * PAGE)} of ${ownerName(owner)} by a translation that vCPU ${vcpu} remembers; missing: ${missing}`,
      text: [
        ruleText('stale-mapping'),
        `Remembered: ${cached}. The tables now allow there: ${view.rights(page) ? rightsInWords(view.rights(page)) : 'nothing'}.`,
        `Missing: ${missing} (SDM vol. 3, 29.4.3.3).`,
      ].join('\n'),
      path: [...steps, ...this.changesOf(page)],
    };
  }

  changesOf(page: number): PathStep[] {
    return this.ownership
      .history(page)
      .slice(-MOST_CHANGES)
      .map((change) => this.change(change));
  }

  private change({ from, to, moment, entry, writer }: OwnerChange): PathStep {
    return {
      what: `the page of ${ownerName(from)} became the page of ${ownerName(to)}`,
      ...(entry === undefined ? {} : { address: BigInt(entry) }),
      moment,
      ...written(writer),
    };
  }

  private whose({ owner, structure, rule, page, side }: Breach): string {
    if (structure !== undefined) return `, which is in force as ${structure}`;
    if (rule === 'two-addresses') {
      const inputs = [...side.views].flatMap((view) => view.paths(page)).map(({ input }) => hex(input));
      return ` at guest-physical ${inputs.join(' and ')}`;
    }
    return ` of ${ownerName(owner)}`;
  }

  private notes({ page, owner }: Breach): string[] {
    const guest = this.ownership.leftoverOf(page);
    if (guest === undefined || owner === MONITOR) return [];
    return [
      `No table maps the page for guest ${guest} any more, but what the guest had there is still in it: neither encrypted nor erased.`,
    ];
  }

  private waysOfOwner({ owner, page }: Breach): PathStep[] {
    const guest = this.guests().find(({ number }) => number === owner);
    return guest ? this.waysOf(guest, page) : [];
  }

  /** The entries by which a side's tables lead to a page, and who wrote them */
  waysOf(side: Side, page: number): PathStep[] {
    return [...side.views].flatMap((view) => view.paths(page).flatMap((path) => this.way(side, view, path)));
  }

  private way(side: Side, view: View, { steps, input, rights }: TreePath): PathStep[] {
    const space = side.kind === 'device' ? 'DMA address' : 'guest-physical';
    const last = steps.length - 1;
    return steps.map(({ name, address, value }, index) => ({
      what:
        index === last
          ? `${name} of ${side.name}: ${space} ${hex(input)} leads to the page (${rightsInWords(rights)})`
          : `${name} of ${side.name} (root ${hex(view.root)})`,
      address: BigInt(address),
      value,
      ...written(this.pages.writerOf(address)),
    }));
  }

  private entryNow(address: number): Partial<PathStep> {
    const words = this.pages.now(Math.floor(address / PAGE));
    const at = (address % PAGE) / 4;
    const value = (BigInt((words[at + 1] ?? 0) >>> 0) << 32n) | BigInt((words[at] ?? 0) >>> 0);
    return { address: BigInt(address), value, ...written(this.pages.writerOf(address)) };
  }
}

const linearOf = ({ low, high }: { low: number; high: number }): bigint =>
  (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
