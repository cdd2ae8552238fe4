import type { Ownership } from './ownership';
import type { IsolationRule } from './rules';
import { MONITOR, VMM, type Side } from './sides';

const WRITE = 2;

/** A page that a side reaches and must not. */
export interface Breach {
  readonly rule: IsolationRule;
  readonly side: Side;
  readonly page: number;
  readonly rights: number;
  readonly owner: number;
  /** What the page is besides, when that is the reason */
  readonly structure: string | undefined;
  /** It was told, or history tells it: control has been with someone who can use it. */
  told: boolean;
}

export const breachKey = ({ rule, side, page }: Pick<Breach, 'rule' | 'side' | 'page'>): string =>
  `${rule} ${side.name} 0x${page.toString(16)}000`;

/** What the rules about pages need to know. */
export interface Judged {
  readonly ownership: Ownership;
  readonly unique: boolean;
  /** A control structure, a table in force, or a device's register page: what it is */
  readonly structureAt: (page: number) => string | undefined;
}

/** The breaches of one page by one side, by what its tables say. */
export function breachesOf(page: number, side: Side, { ownership, unique, structureAt }: Judged): Breach[] {
  let rights = 0;
  let addresses = 0;
  for (const view of side.views) {
    rights |= view.rights(page);
    addresses += view.addressesOf(page);
  }
  if (rights === 0 || ownership.isShared(page)) return [];
  const owner = ownership.of(page);
  const structure = structureAt(page);
  const breach = (rule: IsolationRule, of?: string): Breach[] => [
    { rule, side, page, rights, owner, structure: of, told: false },
  ];
  const own = side.kind === 'guest' ? owner === side.number : side.kind === 'vmm' && owner === VMM;
  if (!own && owner !== VMM) {
    if (side.kind === 'device') return breach('device-access');
    if (owner === MONITOR) return breach('monitor-memory');
    return breach(side.kind === 'vmm' ? 'guest-page' : 'two-guests');
  }
  if (structure !== undefined && rights & WRITE)
    return breach(side.kind === 'device' ? 'device-access' : 'control-structure', structure);
  return own && unique && side.kind === 'guest' && addresses > 1 ? breach('two-addresses') : [];
}
