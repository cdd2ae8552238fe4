import { exitReasonName } from '../../arch/exit-reasons';
import { gprName } from '../../arch/registers';
import type { Taps, VmEntryRecord, VmExitRecord } from '../../cpu/taps';
import { REGISTERS_BASE } from '../../devices/iommu/registers';
import type { AddressSpace, Context, Machine } from '../../machine/api';
import { State } from '../../memory/layout';
import { VMCS_REVISION } from '../../vmx/vmcs';
import type { ResolvedSecrecy } from '../secrecy/secrecy-watch';
import type { Range } from './areas';
import { breachesOf, breachKey, type Breach, type Judged } from './breach';
import { Entered, eptInForce, inForce, viewKey, type EptInForce } from './contexts';
import { Describer, hex, ruleText } from './describe';
import { deviceName, DeviceDomains } from './devices';
import { controlProblems, launchProblems, structuresOf, type Structure } from './entry-controls';
import type { Finding, PathStep } from './finding';
import { illegalDifferences } from './legal-effects';
import type { Difference } from './left-state';
import { Ownership } from './ownership';
import type { IsolationPolicy, Severity } from './policy';
import type { IsolationRule } from './rules';
import { MONITOR, VMM, type Side } from './sides';
import { StaleMappings } from './stale';
import { eptFormat, isLeaf } from './table-format';
import { TablePages } from './table-pages';
import { firstPage, refresh, type Node } from './table-tree';
import { View, type PageSpace } from './view';
import { currentWriter } from './writer';

const PAGE = 4096;
const TWO_32 = 0x1_0000_0000;

/** A policy whose areas have been found in the images. */
export interface ResolvedPolicy {
  readonly policy: IsolationPolicy;
  readonly monitor: readonly Range[];
  readonly shared: readonly Range[];
  /** With `secrecy` */
  readonly secrecy: ResolvedSecrecy | undefined;
}

export interface IsolationHooks {
  report(finding: Finding, severity: Exclude<Severity, 'off'>): void;
  /** The layer that a context runs, for policies that tell the VMM by it */
  layerOf?(context: Context): string;
}

/**
 * The isolation sanitizer, below the monitor and trusting none of its claims: it follows who runs, the tables in force and
 * what processors and IOMMU remember of them, and reports where one side reaches what is another's. See README, "Isolation".
 *
 * What it knows follows from the machine's state. Findings are kept by their moment: while known history runs again they are
 * told from memory, and beyond it everything is read anew.
 */
export class IsolationSanitizer {
  readonly ownership: Ownership;
  /** Found so far, oldest first */
  readonly findings: Finding[] = [];
  private readonly taps: () => void;
  private readonly pages: TablePages;
  private readonly uses = new Map<number, Set<Node>>();
  private readonly devices: DeviceDomains;
  private readonly stale: StaleMappings;
  private readonly describer: Describer;
  private readonly space: PageSpace;
  private readonly vmm: Side = { kind: 'vmm', number: VMM, name: 'the VMM', views: new Set() };
  private readonly guests: Side[] = [];
  private readonly entered = new Map<number, Entered>();
  private readonly views = new Map<string, { readonly view: View; readonly side: Side }>();
  /** By page: control structures that a VMCS names */
  private readonly structures = new Map<number, string[]>();
  private readonly breaches = new Map<number, Breach[]>();
  private untold = 0;
  private readonly rules: Judged;
  /** Which guest or VMM each VMCS was, from when on; undefined: it is no more */
  private readonly roles: Role[] = [];
  /** When each breach was told */
  private readonly told = new Map<string, number>();
  private readonly moved = new Set<number>();
  /** The moment of the last check: what lies before is known history */
  private known = -1;
  /** Known history has run since, so that the tables have to be read anew */
  private outOfStep = false;
  private readonly registersPage: number | undefined;

  constructor(
    private readonly machine: Machine,
    private readonly resolved: ResolvedPolicy,
    private readonly hooks: IsolationHooks,
  ) {
    const { platform } = machine;
    this.registersPage = platform.iommu && Number(REGISTERS_BASE) / PAGE;
    this.space = {
      ramPages: platform.memory.ramSize / PAGE,
      others: this.registersPage === undefined ? [] : [this.registersPage],
    };
    this.ownership = new Ownership(platform.memory, resolved.monitor, resolved.shared);
    this.pages = new TablePages(platform, () => currentWriter(machine, this.moment));
    this.pages.storing = (page, index) => this.storing(page, index);
    this.devices = new DeviceDomains(platform, this.pages, this.uses, this.space);
    this.stale = new StaleMappings(platform.memory);
    this.describer = new Describer(this.pages, this.ownership, () => this.guests);
    this.rules = {
      ownership: this.ownership,
      unique: resolved.policy.unique,
      structureAt: (page) => this.structureAt(page),
    };
    this.taps = machine.addTaps(this.listeners());
  }

  dispose(): void {
    this.taps();
    this.pages.dispose();
  }

  /** Tables, control structures and device domains as they are now, judged for whoever runs. */
  check(): void {
    if (this.moment > this.known) this.checkTables(this.machine.runningVcpu);
  }

  /** The entries by which the tables of the VMM (0) or of a guest lead to a host-physical page, and who wrote them */
  waysTo(number: number, page: number): readonly PathStep[] {
    const side = number === VMM ? this.vmm : this.guests[number - 1];
    return side ? this.describer.waysOf(side, page) : [];
  }

  /** Input was given in the past: what was behind this moment has not happened. */
  forget(after: number): void {
    this.known = Math.min(this.known, after);
    cutAfter(this.findings, after);
    cutAfter(this.ownership.changes, after);
    cutAfter(this.roles, after);
    for (const [key, moment] of this.told) if (moment > after) this.told.delete(key);
    this.outOfStep = true;
  }

  private get moment(): number {
    return this.machine.moment;
  }

  private listeners(): Taps {
    const { at } = this.resolved.policy;
    return {
      vmExitBegin: (_reason, vcpu) => this.currentOf(vcpu)?.left.keepRegisters(),
      vmExit: (record) => this.exited(record),
      vmEntry: (record) => this.enters(record),
      ...(at.invalidations ? { tlbFlush: () => this.check() } : {}),
    };
  }

  // --- Who runs ---

  private currentOf(vcpu: number): Entered | undefined {
    const state = this.machine.platform.processors.state(vcpu);
    return this.entered.get(state.get32(State.CURRENT_VMCS) + state.get32(State.CURRENT_VMCS + 4) * TWO_32);
  }

  private exited(record: VmExitRecord): void {
    const context = this.currentOf(record.vcpu);
    if (!context) return;
    context.inside = -1;
    context.reason = record.reason;
    context.left.keepFields(record.n);
  }

  private enters(record: VmEntryRecord): void {
    const { vcpu } = record;
    const { moment } = this;
    if (moment <= this.known) {
      this.runsAgain(record, moment);
      return;
    }
    if (this.outOfStep) this.readAnew();
    const ept = this.eptOf(vcpu);
    const vmcs = Number(record.vmcs);
    let context = this.entered.get(vmcs);
    // A VMCS that was cleared and comes back with other tables is that of another guest.
    if (context && record.launch && context.side.kind === 'guest' && this.belongsElsewhere(context, ept)) {
      this.drop(context);
      context = undefined;
    }
    const first = context === undefined;
    context ??= this.meet(vmcs, vcpu, ept);
    this.followTables(context, ept, vcpu, record);
    if (context.side.kind === 'guest') this.judgeGuestEntry(context, record, first);
    this.judgeEntry(context, record);
    context.inside = vcpu;
    context.lastVcpu = vcpu;
    this.followStructures(context);
    if (this.resolved.policy.at.entries) this.checkTables(vcpu);
    this.known = moment;
  }

  /** Known history: findings are told as they were, and only what the future needs is kept. */
  private runsAgain(record: VmEntryRecord, moment: number): void {
    this.outOfStep = true;
    const context = this.entered.get(Number(record.vmcs));
    if (context) {
      context.inside = context.lastVcpu = record.vcpu;
    }
    for (const finding of this.findings) if (finding.moment === moment) this.tell(finding);
  }

  private eptOf(vcpu: number): EptInForce {
    const { processors, memory } = this.machine.platform;
    if (processors.running === vcpu) return eptInForce(memory.view);
    const bytes = processors.bytes(vcpu);
    return eptInForce(new DataView(bytes.buffer, bytes.byteOffset), 0);
  }

  private meet(vmcs: number, vcpu: number, ept: EptInForce): Entered {
    const side = this.isVmm(vcpu) ? this.vmm : this.guestOf(ept);
    const context = new Entered(this.machine.platform, vmcs, side);
    this.entered.set(vmcs, context);
    this.roles.push({ moment: this.moment, vmcs, number: side.number });
    return context;
  }

  private isVmm(vcpu: number): boolean {
    const { vmm } = this.resolved.policy;
    if (vmm === 'none') return false;
    if (vmm === 'first')
      return ![...this.entered.values()].some((one) => one.side === this.vmm && one.lastVcpu === vcpu);
    return vmm.layers.includes(this.hooks.layerOf?.(this.machine.running(vcpu)) ?? '');
  }

  /** Virtual processors that share tables are of one guest. */
  private guestOf(ept: EptInForce): Side {
    const known = ept.root === 0 ? undefined : this.views.get(viewKey(ept));
    if (known?.side.kind === 'guest') return known.side;
    return this.guest(this.guests.length + 1);
  }

  private guest(number: number): Side {
    const known = this.guests[number - 1];
    if (known) return known;
    const guest: Side = { kind: 'guest', number, name: `guest ${number}`, views: new Set() };
    this.guests.push(guest);
    return guest;
  }

  private belongsElsewhere(context: Entered, ept: EptInForce): boolean {
    const known = this.views.get(viewKey(ept));
    return context.view !== undefined && context.view !== known?.view;
  }

  private drop(context: Entered): void {
    this.entered.delete(context.vmcs);
    this.roles.push({ moment: this.moment, vmcs: context.vmcs, number: undefined });
    this.setStructures(context, []);
    const { view } = context;
    context.view = undefined;
    if (view) this.leave(view);
  }

  private leave(view: View): void {
    if ([...this.entered.values()].some((other) => other.view === view)) return;
    view.tree.dispose();
    view.takeChanges(this.moved);
    for (const [key, known] of this.views) {
      if (known.view !== view) continue;
      known.side.views.delete(view);
      this.views.delete(key);
    }
  }

  /** VMCSs whose region holds something else now: their guests are no more. */
  private dropDead(): void {
    for (const context of this.entered.values())
      if (context.inside < 0 && context.region.revision !== VMCS_REVISION) this.drop(context);
  }

  // --- Tables and structures in force ---

  private followTables(context: Entered, ept: EptInForce, vcpu: number, record: VmEntryRecord): void {
    const key = viewKey(ept);
    const known = ept.root === 0 ? undefined : this.views.get(key);
    if (known && known.side !== context.side) {
      this.report('bypass', `${context.vmcs} ${key}`, vcpu, record.instruction, {
        title: `${context.side.name} is entered on the tables of ${known.side.name}: EPT root ${hex(ept.root)}`,
        text: `${ruleText('bypass')}\nVMCS ${hex(context.vmcs)} has EPT root ${hex(ept.root)}, by which ${known.side.name} runs.`,
        path: [this.vmcsStep(context, 'EPT_POINTER')],
      });
      return;
    }
    const before = context.view;
    if (before && before === known?.view) return;
    if (ept.root === 0) {
      context.view = undefined;
      if (before) this.leave(before);
      return;
    }
    if (before && context.side.kind === 'guest' && context.left.known) {
      this.report('entry-state', `${context.vmcs} EPT_POINTER ${ept.root}`, vcpu, record.instruction, {
        title: `${context.side.name} is entered with another EPT pointer: root ${hex(before.root)} became ${hex(ept.root)}`,
        text: ruleText('entry-state'),
        path: [this.vmcsStep(context, 'EPT_POINTER')],
      });
    }
    const view = known?.view ?? this.look(key, ept, context.side);
    context.view = view;
    if (before && before !== view) this.leave(before);
    if (view.tree.unwalkable)
      this.report('unwalkable', key, vcpu, record.instruction, {
        title: `The tables of ${context.side.name} (EPT root ${hex(ept.root)}) are too many to be walked`,
        text: ruleText('unwalkable'),
        path: [this.vmcsStep(context, 'EPT_POINTER')],
      });
  }

  private look(key: string, ept: EptInForce, side: Side): View {
    const shared = this.resolved.policy.shared.flatMap((area) =>
      area.kind === 'guest' && (area.guest === 0 ? side.kind === 'guest' : area.guest === side.number) ? [area] : [],
    );
    const format = eptFormat(ept.levels, ept.modeBased);
    const view = new View(this.pages, this.uses, format, ept.root, this.space, shared);
    this.views.set(key, { view, side });
    side.views.add(view);
    return view;
  }

  private followStructures(context: Entered): void {
    this.setStructures(context, structuresOf(context.region, context.vmcs));
  }

  private setStructures(context: Entered, now: readonly Structure[]): void {
    const before = context.structures;
    if (before.length === now.length && before.every((one, i) => one.page === now[i]?.page && one.what === now[i].what))
      return;
    const of = (what: string) => `${what} of ${context.side.name}`;
    for (const { page, what } of before) {
      const left = [...(this.structures.get(page) ?? [])];
      left.splice(left.indexOf(of(what)), 1);
      if (left.length === 0) this.structures.delete(page);
      else this.structures.set(page, left);
      this.moved.add(page);
    }
    for (const { page, what } of now) {
      this.structures.set(page, [...(this.structures.get(page) ?? []), of(what)]);
      this.moved.add(page);
    }
    context.structures = now;
  }

  private structureAt(page: number): string | undefined {
    const named = this.structures.get(page)?.[0];
    if (named !== undefined) return named;
    if (page === this.registersPage)
      return this.resolved.policy.devices === 'required' ? 'the registers of the IOMMU' : undefined;
    if (!this.pages.isTable(page)) return undefined;
    const [use] = this.uses.get(page) ?? [];
    if (!use) return 'root or context table of the IOMMU';
    const owner = [...this.views.values()].find(({ view }) => view.tree === use.tree)?.side.name;
    return owner === undefined ? 'table of the IOMMU' : `EPT table of ${owner}`;
  }

  /** Before a store to a table: a page that its entry maps for a guest may be lost with it. */
  private storing(page: number, index: number): void {
    for (const { tree, depth } of this.uses.get(page) ?? []) {
      const side = [...this.views.values()].find(({ view }) => view.tree === tree)?.side;
      const level = tree.format.levels[depth];
      if (side?.kind !== 'guest' || !level) continue;
      const words = this.pages.now(page);
      const low = words[index * 2] ?? 0;
      const high = words[index * 2 + 1] ?? 0;
      if (!isLeaf(level, low) || level.span > 0x200000 || !tree.format.rights(low, high, true, level)) continue;
      const first = firstPage(low, high, level.span);
      for (let at = first; at < Math.min(first + level.span / PAGE, this.space.ramPages); at++)
        this.ownership.departing(at, side.number);
    }
  }

  // --- The check ---

  private checkTables(vcpu: number): void {
    const { moved } = this;
    const changed = this.pages.takeChanged();
    for (const table of changed) refresh(this.pages, this.uses, table);
    // First whose pages the changed entries were, while their tables are known.
    for (const { view } of this.views.values()) view.takeChanges(moved);
    for (const page of moved) this.settle(page);
    this.dropDead();
    if (this.resolved.policy.devices !== 'ignored') this.devices.refresh(new Set(changed.map(({ page }) => page)));
    for (const { view } of this.devices.domains.values()) view.takeChanges(moved);
    for (const page of this.devices.dropped) moved.add(page);
    this.devices.dropped.clear();
    for (const page of this.pages.takeMoved()) moved.add(page);
    for (const page of this.ownership.waiting) moved.add(page);
    const anyMoved = moved.size > 0;
    for (const page of moved) this.settle(page);
    const { sides } = this;
    for (const page of moved) this.judge(page, sides);
    moved.clear();
    if (this.untold > 0) this.tellBreaches(vcpu);
    this.checkRemembered(vcpu);
    if (anyMoved) this.checkDeviceCaches(vcpu);
    this.checkRemapping(vcpu);
  }

  private settle(page: number): void {
    const change = this.ownership.settle(page, this.guests);
    if (!change) return;
    const view = [...this.views.values()].find(
      ({ side }) => side.number === (change.to > 0 ? change.to : change.from),
    )?.view;
    const entry = view?.entryOf(page);
    const writer = entry === undefined ? undefined : this.pages.writerOf(entry);
    this.ownership.changes.push({ moment: this.moment, page, ...change, entry, writer });
  }

  private judge(page: number, sides: readonly Side[]): void {
    const before = this.breaches.get(page);
    const now: Breach[] = [];
    for (const side of sides) now.push(...breachesOf(page, side, this.rules));
    if (now.length === 0 && !before) return;
    for (const breach of now) {
      const same = before?.find((other) => breachKey(other) === breachKey(breach));
      breach.told = same?.told ?? false;
      if (!breach.told) this.untold++;
    }
    for (const breach of before ?? []) if (!breach.told) this.untold--;
    if (now.length > 0) this.breaches.set(page, now);
    else if (before) this.breaches.delete(page);
  }

  private get sides(): Side[] {
    return [this.vmm, ...this.guests, ...[...this.devices.domains.values()].map(({ side }) => side)];
  }

  /** Whether control is with this side now: devices work at any time. */
  private runs(side: Side): boolean {
    if (side.kind === 'device') return true;
    for (const context of this.entered.values()) if (context.inside >= 0 && context.side === side) return true;
    return false;
  }

  private tellBreaches(vcpu: number): void {
    const groups = new Map<string, Breach[]>();
    for (const list of this.breaches.values()) {
      for (const breach of list) {
        if (breach.told || !this.runs(breach.side)) continue;
        const key = `${breach.rule} ${breach.side.name} ${breach.owner} ${breach.structure ?? ''}`;
        groups.set(key, [...(groups.get(key) ?? []), breach]);
        breach.told = true;
        this.told.set(breachKey(breach), this.moment);
        this.untold--;
      }
    }
    for (const group of groups.values()) {
      group.sort((a, b) => a.page - b.page);
      const [breach] = group;
      if (!breach) continue;
      this.report(
        breach.rule,
        breachKey(breach),
        vcpu,
        undefined,
        this.describer.breach(breach, group.length - 1),
        false,
      );
    }
  }

  /** What processors remember, for those that run now */
  private checkRemembered(vcpu: number): void {
    for (const context of this.entered.values()) {
      const { view, inside, side } = context;
      if (!view || inside < 0) continue;
      for (const stale of this.stale.find(inside, view)) {
        const owner = this.ownership.of(stale.page);
        const structure = stale.rights & 2 ? this.structureAt(stale.page) : undefined;
        if (this.ownership.isShared(stale.page) || (owner === side.number && structure === undefined)) continue;
        const key = `stale ${side.name} ${stale.page} ${inside}`;
        this.report('stale-mapping', key, vcpu, undefined, this.describer.stale(stale, side));
      }
    }
  }

  private checkDeviceCaches(vcpu: number): void {
    const dma = this.machine.platform.iommu?.dma;
    if (!dma || !this.devices.enabled || this.resolved.policy.devices === 'ignored') return;
    for (const { domain, address, size, host, rights } of dma.caches.keptPages()) {
      const users = [...this.devices.domains.values()].filter(({ ids }) => ids.includes(domain));
      for (let page = host / PAGE; page < Math.min((host + size) / PAGE, this.space.ramPages); page++) {
        const owner = this.ownership.of(page);
        if (this.ownership.isShared(page) || owner === VMM) continue;
        // What the tables allow as well is told by them.
        if (users.some(({ view }) => view.rights(page) & rights)) continue;
        const who = users.length > 0 ? users.map(({ side }) => side.name).join(', ') : `domain ${domain}`;
        const whose = owner === MONITOR ? 'the monitor' : `guest ${owner}`;
        const at = address + (page * PAGE - host);
        this.report('stale-mapping', `iotlb ${domain} ${page}`, vcpu, undefined, {
          title: `${who} can still reach page ${hex(page * PAGE)} of ${whose} by a translation that the IOTLB holds; missing: IOTLB invalidation of domain ${domain}`,
          text: `${ruleText('stale-mapping')}\nThe IOTLB holds for domain ${domain}: DMA address ${hex(at)} leads to ${hex(page * PAGE)}. The tables of the domain no longer say so. Missing: an IOTLB invalidation of the domain, or of the page.`,
          path: [
            {
              what: `the IOTLB holds for domain ${domain}: DMA address ${hex(at)} leads to the page`,
              address: BigInt(page * PAGE),
            },
            ...this.describer.changesOf(page),
          ],
        });
      }
    }
  }

  private checkRemapping(vcpu: number): void {
    const { iommu } = this.machine.platform;
    const rule = this.resolved.policy.devices;
    if (!iommu || rule === 'ignored') return;
    const wanted = rule === 'required' && this.runs(this.vmm);
    if (wanted && !iommu.dma.translationEnabled) {
      this.report('no-remapping', 'off', vcpu, undefined, {
        title: 'DMA remapping is off while the VMM runs: devices reach all of memory',
        text: ruleText('no-remapping'),
        path: [],
      });
    } else if (iommu.dma.translationEnabled) this.told.delete('no-remapping off');
    for (const requester of this.devices.passThrough)
      this.report('no-remapping', `pass-through ${requester}`, vcpu, undefined, {
        title: `Device ${deviceName(requester)} passes through the IOMMU untranslated: it reaches all of memory`,
        text: ruleText('no-remapping'),
        path: [],
      });
  }

  // --- The entry itself ---

  private judgeGuestEntry(context: Entered, record: VmEntryRecord, first: boolean): void {
    const { vcpu, instruction } = record;
    const { policy } = this.resolved;
    const { name } = context.side;
    for (const problem of controlProblems(context.region, policy))
      this.report('bypass', `${context.vmcs} ${problem}`, vcpu, instruction, {
        title: `${name} is entered though its VMCS bypasses the monitor: ${problem}`,
        text: `${ruleText('bypass')}\nVMCS ${hex(context.vmcs)}: ${problem}.`,
        path: [this.vmcsStep(context)],
      });
    if (first)
      for (const problem of launchProblems(context.region, policy))
        this.report('launch-state', `${context.vmcs} ${problem}`, vcpu, instruction, {
          title: `${name} is entered for the first time in a state that the policy forbids: ${problem}`,
          text: ruleText('launch-state'),
          path: [this.vmcsStep(context)],
        });
    if (context.left.known) this.judgeState(context, record);
  }

  private judgeState(context: Entered, record: VmEntryRecord): void {
    const { left, reason, side } = context;
    const differences = left.differences();
    if (differences.length === 0) return;
    const illegal = illegalDifferences(
      this.resolved.policy,
      { reason, state: left, decodedLength: () => this.lengthAtExit(context, record.vcpu) },
      differences,
    );
    const [worst] = illegal;
    if (!worst) return;
    const exit = exitReasonName(reason);
    const more = illegal.length === 1 ? '' : `, and ${illegal.length - 1} more`;
    const rows = illegal.map((one) => `${nameOf(one)}: ${hex(one.was)} at the exit, ${hex(one.is)} at the entry`);
    this.report(
      'entry-state',
      `${context.vmcs} ${illegal.map(nameOf).join()}`,
      record.vcpu,
      record.instruction,
      {
        title: `${side.name} is entered with another ${nameOf(worst)} than it was left with after ${exit}: ${hex(worst.was)} became ${hex(worst.is)}${more}`,
        text: [
          ruleText('entry-state'),
          `The last VM exit was ${exit} (${reason & 0xffff}). It does not explain:`,
          ...rows,
        ].join('\n'),
        path: illegal.map((one) => ({
          what: rows[illegal.indexOf(one)] ?? '',
          ...(one.field === undefined ? {} : this.vmcsStep(context, one.field)),
        })),
      },
      false,
    );
  }

  /** Of the instruction that an EPT violation interrupted, by what lies there now */
  private lengthAtExit(context: Entered, vcpu: number): number | undefined {
    const { left } = context;
    const running = this.machine.running(vcpu);
    const space: AddressSpace = running.space;
    const base = space.codeSize === 64 ? 0n : left.field('GUEST_CS_BASE');
    return this.machine.decode(space, BigInt.asUintN(64, base + left.field('GUEST_RIP')))?.length;
  }

  /** Of every context: one processor at a time, and exits that arrive in the monitor */
  private judgeEntry(context: Entered, { vcpu, launch }: VmEntryRecord): void {
    const { inside, lastVcpu, side } = context;
    if (inside >= 0 && inside !== vcpu)
      this.report('vcpu-twice', `${context.vmcs}`, vcpu, undefined, {
        title: `VMCS ${hex(context.vmcs)} of ${side.name} is entered on vCPU ${vcpu} while it runs on vCPU ${inside}`,
        text: ruleText('vcpu-twice'),
        path: [this.vmcsStep(context)],
      });
    else if (lastVcpu >= 0 && lastVcpu !== vcpu && !launch)
      this.report('vcpu-twice', `${context.vmcs} ${lastVcpu} ${vcpu}`, vcpu, undefined, {
        title: `VMCS ${hex(context.vmcs)} of ${side.name} moved from vCPU ${lastVcpu} to vCPU ${vcpu} without VMCLEAR`,
        text: `${ruleText('vcpu-twice')}\nIt is entered by VMRESUME: its launch state was not cleared (SDM vol. 3, 25.11.1).`,
        path: [this.vmcsStep(context)],
      });
    this.judgeHostState(context, vcpu);
  }

  private judgeHostState(context: Entered, vcpu: number): void {
    if (this.resolved.monitor.length === 0) return;
    const { region } = context;
    const cr3 = region.get64('HOST_CR3');
    const rip = region.get64('HOST_RIP');
    const key = `${cr3} ${rip}`;
    if (context.hostState === key) return;
    const problem = this.hostProblem(region.get64('HOST_CR0'), cr3, region.get64('HOST_CR4'), rip);
    if (problem === undefined) {
      context.hostState = key;
      return;
    }
    this.report('host-state', `${context.vmcs} ${key}`, vcpu, undefined, {
      title: `The next VM exit of ${context.side.name} does not arrive in the monitor: ${problem}`,
      text: `${ruleText('host-state')}\nHOST_CR3 ${hex(cr3)}, HOST_RIP ${hex(rip)}: ${problem}.`,
      path: [this.vmcsStep(context, 'HOST_RIP'), this.vmcsStep(context, 'HOST_CR3')],
    });
  }

  private hostProblem(cr0: bigint, cr3: bigint, cr4: bigint, rip: bigint): string | undefined {
    const space: AddressSpace = { kind: 'linear', cr0, cr3, cr4, efer: 0xd00n, eptp: 0n, codeSize: 64 };
    const { steps, hostPhysical, failure } = this.machine.walk(space, rip);
    if (hostPhysical === undefined) return failure ?? 'its host RIP is not mapped';
    const foreign = steps.find(({ entryAddress }) => !this.isMonitor(entryAddress));
    if (foreign) return `its host page tables are not the monitor's (${foreign.name} at ${hex(foreign.entryAddress)})`;
    return this.isMonitor(hostPhysical)
      ? undefined
      : `its host RIP leads to ${hex(hostPhysical)}, which is not the monitor's`;
  }

  private isMonitor(address: bigint): boolean {
    return this.ownership.isMonitor(Number(address / BigInt(PAGE)));
  }

  // --- Telling ---

  private vmcsStep(context: Entered, field?: Parameters<Entered['region']['get64']>[0]): PathStep {
    const address = BigInt(context.vmcs);
    const by = { kind: 'vmcs', vmcs: address } as const;
    if (field === undefined) return { what: `VMCS of ${context.side.name}`, address, by };
    return {
      what: `${field} in the VMCS of ${context.side.name}`,
      address: BigInt(context.region.addressOf(field)),
      value: context.region.get64(field),
      by,
    };
  }

  private report(
    rule: IsolationRule,
    key: string,
    vcpu: number,
    instruction: number | undefined,
    told: { readonly title: string; readonly text: string; readonly path: readonly PathStep[] },
    once = true,
  ): void {
    const full = `${rule} ${key}`;
    if (this.resolved.policy.severity[rule] === 'off') return;
    if (once && this.told.has(full)) return;
    this.told.set(full, this.moment);
    const finding: Finding = {
      rule,
      key: full,
      moment: this.moment,
      vcpu,
      instruction: instruction ?? this.machine.vcpus[vcpu]?.instructions ?? 0,
      ...told,
      title: told.title.charAt(0).toUpperCase() + told.title.slice(1),
    };
    this.findings.push(finding);
    this.tell(finding);
  }

  private tell(finding: Finding): void {
    const severity = this.resolved.policy.severity[finding.rule];
    if (severity !== 'off') this.hooks.report(finding, severity);
  }

  // --- After known history ---

  /** Everything from the machine as it is: who runs, tables, owners. What was told of them before stays told. */
  private readAnew(): void {
    this.outOfStep = false;
    for (const { view } of this.views.values()) view.tree.dispose();
    this.views.clear();
    this.vmm.views.clear();
    this.guests.length = 0;
    this.devices.dispose();
    this.structures.clear();
    this.breaches.clear();
    this.untold = 0;
    this.moved.clear();
    this.ownership.forget();
    const past = new Map(this.entered);
    this.entered.clear();
    const now = new Map<number, number>();
    for (const { vmcs, number } of this.roles) {
      // Numbers are given in order: those of guests that are no more stay theirs.
      if (number !== undefined && number !== VMM) this.guest(number);
      if (number === undefined) now.delete(vmcs);
      else now.set(vmcs, number);
    }
    for (const [vmcs, number] of now)
      this.meetAgain(vmcs, number === VMM ? this.vmm : this.guest(number), past.get(vmcs));
    for (let page = 0; page < this.space.ramPages; page++) if (this.ownership.isMonitor(page)) this.moved.add(page);
    this.settleSilently();
  }

  private meetAgain(vmcs: number, side: Side, past: Entered | undefined): void {
    const contexts = this.machine.contexts.filter((one) => one.vmcs !== undefined && Number(one.vmcs) === vmcs);
    const running = contexts.find((one) => this.machine.running(one.vcpu) === one);
    const context = running ?? contexts.at(-1);
    if (!context) return;
    const again = new Entered(this.machine.platform, vmcs, side, past?.left);
    again.inside = running ? running.vcpu : -1;
    again.lastVcpu = context.vcpu;
    again.reason = context.lastLeft?.reason ?? 0;
    // Kept from another time, or never seen: then the next entry has nothing to be compared with.
    if (again.left.n !== context.lastLeft?.n) again.left.known = false;
    this.entered.set(vmcs, again);
    const ept = inForce(context.space);
    if (ept.root !== 0) {
      const key = viewKey(ept);
      const known = this.views.get(key);
      if (!known || known.side === side) again.view = known?.view ?? this.look(key, ept, side);
    }
    this.followStructures(again);
  }

  private settleSilently(): void {
    const { moved } = this;
    this.pages.takeChanged();
    this.pages.takeMoved();
    if (this.resolved.policy.devices !== 'ignored') this.devices.refresh(new Set());
    for (const { view } of this.views.values()) view.takeChanges(moved);
    for (const { view } of this.devices.domains.values()) view.takeChanges(moved);
    for (const page of moved) this.ownership.settle(page, this.guests);
    const { sides } = this;
    for (const page of moved) this.judge(page, sides);
    moved.clear();
    for (const breach of [...this.breaches.values()].flat()) {
      if (breach.told || !this.told.has(breachKey(breach))) continue;
      breach.told = true;
      this.untold--;
    }
  }
}

/** A VMCS and who it is of, from a moment on. */
interface Role {
  readonly moment: number;
  readonly vmcs: number;
  /** As Side.number; undefined: the VMCS is no more */
  readonly number: number | undefined;
}

const nameOf = ({ register, field }: Difference): string =>
  register === undefined ? (field ?? '') : gprName(register);

function cutAfter(list: { readonly moment: number }[], moment: number): void {
  while ((list.at(-1)?.moment ?? -1) > moment) list.pop();
}
