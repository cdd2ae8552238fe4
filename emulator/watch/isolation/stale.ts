import { eachCachedMapping, type CachedMapping } from '../../memory/cached-mappings';
import type { MachineMemory } from '../../memory/machine-memory';
import type { View } from './view';

const PAGE = 4096;

/** A translation that a processor still holds, and the tables no longer give. */
export interface StaleMapping {
  readonly vcpu: number;
  readonly view: View;
  readonly page: number;
  /** Rights that the tables do not give */
  readonly rights: number;
  readonly mapping: Readonly<CachedMapping>;
}

/**
 * What processors remember of tables from which rights were taken. A processor is looked through once after each
 * revocation, until it remembers nothing that the tables contradict.
 */
export class StaleMappings {
  /** By view and vCPU: revocations up to which nothing stale is left */
  private readonly clean = new WeakMap<View, number[]>();

  constructor(private readonly memory: MachineMemory) {}

  /** Mappings on a processor that the view no longer gives, one a page. */
  find(vcpu: number, view: View): StaleMapping[] {
    let clean = this.clean.get(view);
    if (!clean) this.clean.set(view, (clean = []));
    if (clean[vcpu] === view.revocations) return [];
    const found = new Map<number, StaleMapping>();
    eachCachedMapping(this.memory, vcpu, view.root / PAGE, (mapping) => {
      const rights = mapping.permissions & ~view.rights(mapping.hostPage);
      if (rights === 0) return;
      const known = found.get(mapping.hostPage);
      // A guest-physical mapping serves more than a TLB entry.
      if (known && (known.rights | rights) === known.rights) return;
      found.set(mapping.hostPage, { vcpu, view, page: mapping.hostPage, rights, mapping: { ...mapping } });
    });
    if (found.size === 0) clean[vcpu] = view.revocations;
    return [...found.values()];
  }
}
