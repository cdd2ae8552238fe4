import { Access } from '../engine/host';
import { guestPhysical, hostPhysical, linear as asLinear } from '../memory/address';
import { State } from '../memory/layout';
import type { PagingContext } from '../memory/paging-context';
import type { PhysicalMemory } from '../memory/physical';
import type { TableChange, TableWatch, TableWriter } from '../memory/table-watch';
import { Permission, type Tlb } from '../memory/tlb';
import { WalkFault, Walker } from '../memory/walker';
import type { CpuState } from './state';
import type { StaleEntry, StaleTranslation, Taps } from './taps';

const NEEDED = [Permission.READ, Permission.WRITE, Permission.EXECUTE] as const;
const ACCESSES = ['read', 'write', 'fetch'] as const;
const PAGE = 4096;

export const enum Verdict {
  /** The tables say the same. */
  Current,
  /** They do not, and it was told. */
  Told,
  Stale,
}

/** What strict mode remembers of one vCPU */
export interface StrictKept {
  readonly roots: ReadonlyMap<number, number>;
  readonly fetchedPage: bigint;
  readonly fetchedSequence: number;
}

/** What a cached mapping says, against which the tables are held. */
export interface CachedMapping {
  readonly hostPhysical: number;
  readonly guestPhysical: number;
  readonly permissions: number;
}

/**
 * Strict mode of one vCPU: each use of a cached translation that was not yet compared since a table changed is compared
 * with a walk of the tables as they are now, without caches. A processor may use either (SDM vol. 3, 4.10.2.2 and
 * 29.4.2), so only a difference in what the access comes to is told: another address, another outcome, or a dirty flag
 * that would not be set. Accessed flags are not looked at: systems clear them without a flush on purpose.
 */
export class StrictTranslation {
  private readonly walker: Walker;
  /** The changed entry that the running walk met, the one changed last */
  private culprit: StaleEntry | undefined;
  private culpritSequence = 0;
  /** Tables that the banks' mappings come from, by bank */
  private roots = new Map<number, number>();
  private found: StaleTranslation | undefined;
  private entrySize = 8;
  private fetchedPage = -1n;
  private fetchedSequence = -1;

  constructor(
    private readonly vcpu: number,
    private readonly watch: TableWatch,
    private readonly state: CpuState,
    private readonly tlb: Tlb,
    private readonly taps: Taps,
    physical: PhysicalMemory,
  ) {
    this.walker = new Walker(physical);
    this.walker.sink = (table, name, _level, _address, low, high) => {
      const at = this.walker.tables.address;
      const ram = physical.ramAddress(at);
      if (ram >= 0) watch.watch(ram);
      const change = watch.changeOf(at);
      if (change === undefined || change.sequence < this.culpritSequence) return;
      this.culpritSequence = change.sequence;
      const now = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
      const size = table === 'ept' ? 8 : this.entrySize;
      this.culprit = entryOf(table === 'ept' ? 'ept' : 'paging', name, at, size, now, change);
    };
  }

  keep(): StrictKept {
    const { fetchedPage, fetchedSequence } = this;
    return { roots: new Map(this.roots), fetchedPage, fetchedSequence };
  }

  takeBack(kept: StrictKept): void {
    this.roots = new Map(kept.roots);
    this.fetchedPage = kept.fetchedPage;
    this.fetchedSequence = kept.fetchedSequence;
  }

  watches(wasmAddress: number): boolean {
    return this.watch.watches(wasmAddress);
  }

  storing(wasmAddress: number, size: number): void {
    this.watch.storing(wasmAddress, size);
  }

  stored(wasmAddress: number, size: number): void {
    this.watch.stored(wasmAddress, size, this.writer);
  }

  private get writer(): TableWriter {
    const { state, vcpu } = this;
    const root = state.get32(State.VMX_ON) === 0 || state.get32(State.VMX_ROOT) !== 0;
    return { vcpu, instruction: Number(state.retired), rip: state.rip, root };
  }

  /** A bank is going to be used: with other tables at its root all of its mappings are to be compared. */
  entered(bank: number, root: number): void {
    const before = this.roots.get(bank);
    this.roots.set(bank, root);
    if (before !== undefined && before !== root) this.tlb.withdrawBank(bank);
  }

  /** @param bits AccessBit values of the access */
  judge(context: PagingContext, linear: bigint, access: Access, bits: number, cached: CachedMapping): Verdict {
    const { walker } = this;
    this.culprit = undefined;
    this.culpritSequence = 0;
    this.entrySize = context.format?.entrySize ?? 8;
    const mapped = walker.walk(context, linear, bits, true);
    const allowed = mapped && (walker.permissions & NEEDED[access]) !== 0;
    const page = (address: number): number => Math.floor(address / PAGE);
    if (allowed && page(walker.hostPhysical) === page(cached.hostPhysical)) {
      if (access !== Access.Write || walker.dirty) return Verdict.Current;
      return this.describe(context, linear, access, cached, 'a dirty flag that was cleared would not be set again');
    }
    // Code in one page is fetched again and again: that is told once for each state of the tables.
    if (access === Access.Execute && linear >> 12n === this.fetchedPage && this.watch.sequence === this.fetchedSequence)
      return Verdict.Told;
    const now = !mapped ? this.failure() : allowed ? 'another page' : 'this access is not allowed';
    return this.describe(context, linear, access, cached, now);
  }

  /** Tells of the use that `judge` found last. */
  tell(): void {
    const { found } = this;
    if (!found) return;
    if (found.access === 'fetch') {
      this.fetchedPage = found.linear >> 12n;
      this.fetchedSequence = this.watch.sequence;
    }
    this.taps.staleTranslation?.(found);
  }

  private failure(): string {
    switch (this.walker.fault) {
      case WalkFault.EptViolation:
        return 'EPT does not map it';
      case WalkFault.EptMisconfiguration:
        return 'an EPT entry is misconfigured';
      default:
        return 'an entry is not present';
    }
  }

  private describe(
    context: PagingContext,
    linear: bigint,
    access: Access,
    cached: CachedMapping,
    difference: string,
  ): Verdict {
    const { state, walker, culprit } = this;
    const mapped = walker.fault === WalkFault.None;
    this.found = {
      vcpu: this.vcpu,
      instruction: Number(state.retired),
      rip: state.rip,
      linear: asLinear(BigInt.asUintN(64, linear)),
      access: ACCESSES[access],
      guestPhysical: context.eptInUse ? guestPhysical(BigInt(cached.guestPhysical)) : undefined,
      hostPhysical: hostPhysical(BigInt(cached.hostPhysical)),
      permissions: cached.permissions,
      difference,
      currentHostPhysical: mapped ? hostPhysical(BigInt(walker.hostPhysical)) : undefined,
      currentPermissions: mapped ? walker.permissions : 0,
      entry: culprit,
      invalidation: invalidationFor(context, culprit, this.vcpu),
      vpid: context.tag & 0xffff,
      pcid: context.tag >>> 16,
      eptRoot: BigInt(context.eptRoot),
    };
    return Verdict.Stale;
  }
}

function entryOf(
  table: 'paging' | 'ept',
  name: string,
  address: number,
  size: number,
  now: bigint,
  { before, writer }: TableChange,
): StaleEntry {
  // 32-bit paging has two entries in the 8 bytes that a change is known by.
  const was = BigInt.asUintN(size * 8, before >> BigInt((address % 8) * 8));
  return { table, name, address: hostPhysical(BigInt(address)), before: was, now, writer };
}

/** The instruction that software has left out, by who changed what. */
function invalidationFor(context: PagingContext, entry: StaleEntry | undefined, vcpu: number): string {
  if (entry?.table === 'ept') return `INVEPT for the EPT pointer with root 0x${context.eptRoot.toString(16)}`;
  const guest = context.eptInUse || (context.tag & 0xffff) !== 0;
  const own = context.tag >>> 16 ? 'INVLPG, INVPCID or MOV to CR3 with bit 63 clear' : 'INVLPG or MOV to CR3';
  if (guest && (entry === undefined || entry.writer.root)) return `INVVPID for VPID ${context.tag & 0xffff}`;
  if (entry === undefined) return `MOV to CR3 with bit 63 clear, or INVPCID, for PCID ${context.tag >>> 16}`;
  return entry.writer.vcpu >= 0 && entry.writer.vcpu !== vcpu ? `${own} on vCPU ${vcpu} (a TLB shootdown)` : own;
}
