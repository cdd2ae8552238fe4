import { Cr0, Efer } from '../arch/control-registers';
import { Vector } from '../arch/exceptions';
import { Rflags } from '../arch/flags';
import { Access, type EngineControl } from '../engine/host';
import { Actor } from '../memory/actor';
import { RAM_BASE, Segment, State } from '../memory/layout';
import { pageOf, type MachineMemory } from '../memory/machine-memory';
import { PagingContext } from '../memory/paging-context';
import { LONG_MODE, PAE } from '../memory/paging-format';
import type { PhysicalMemory } from '../memory/physical';
import { Permission, TagMode, type Tlb } from '../memory/tlb';
import { AccessBit, WalkFault, type Walker } from '../memory/walker';
import { ApicAccess, EptFaultKind } from './processor';
import { PagingContexts, type DigestedContext } from './paging-contexts';
import type { Secrecy } from './secrecy';
import type { CpuState } from './state';
import { Verdict, type StrictTranslation } from './strict-translation';

export const enum Privilege {
  /** That of the running code */
  Current,
  /** An explicit access at CPL 3, whatever the current level */
  User,
  /** An implicit supervisor access: descriptor tables, TSS, event delivery. SMAP applies whatever RFLAGS.AC says. */
  System,
}

/** What `State.FAULT_KIND` says. The first three are faults of the program; the others are the processor's own. */
export const enum FaultKind {
  None = 0,
  Exception = 1,
  EptViolation = 2,
  EptMisconfiguration = 3,
  /** The access reaches a device: the instruction is to be executed alone, so that the device sees exact time. */
  Device = 4,
  /** Code outside RAM */
  FetchOutsideRam = 5,
  /** The page-modification log is full. */
  LogFull = 6,
  /** An access to the APIC-access page that causes a VM exit; `qualification` is the exit's. */
  ApicAccess = 7,
  /** Strict mode: the access would use a stale translation; the instruction is to be executed alone, and then told. */
  StaleTranslation = 8,
  /** An access to watched bytes, or a page walk while bytes are watched: the instruction is to be executed alone. */
  Watched = 9,
  /** The access reaches a secret: the instruction is to be executed with secrecy moved along. */
  Secret = 10,
}

/** Strict mode: what becomes of the use of a stale translation. */
export const enum StaleUse {
  /** It is told, and takes place as on silicon. */
  Tell,
  /** FaultKind.StaleTranslation, so that the instruction comes again alone */
  Refuse,
  /** FaultKind.StaleTranslation, also when it was told before */
  Never,
}

/** Bit of State.APIC_VIRTUALIZATION: "virtualize APIC accesses" */
const APIC_ACCESSES = 2;

export const eptFaultKind = (kind: FaultKind): EptFaultKind =>
  kind === FaultKind.EptViolation
    ? EptFaultKind.Violation
    : kind === FaultKind.LogFull
      ? EptFaultKind.LogFull
      : EptFaultKind.Misconfiguration;

export const eptFaultOf = (fault: WalkFault): EptFaultKind =>
  fault === WalkFault.EptViolation
    ? EptFaultKind.Violation
    : fault === WalkFault.LogFull
      ? EptFaultKind.LogFull
      : EptFaultKind.Misconfiguration;

/** Results of `translate` that are no wasm address. */
export const DEVICE = -1;
export const FAULT = -2;
/** The APIC-access page */
export const APIC_PAGE = -3;

const ACCESS_PERMISSION = [Permission.READ, Permission.WRITE, Permission.EXECUTE] as const;
const PE = Number(Cr0.PE);
const LMA = Number(Efer.LMA);
const AM = Number(Cr0.AM);
const VM = Number(Rflags.VM);
const AC = Number(Rflags.AC);
const EVERY_PERMISSION = Permission.READ | Permission.WRITE | Permission.EXECUTE;
const ACCESS_BITS = [0, AccessBit.WRITE, AccessBit.FETCH] as const;

/** The last failed translation. */
export interface AccessFault {
  kind: FaultKind;
  vector: number;
  errorCode: number;
  linear: bigint;
  guestPhysical: number;
  qualification: number;
  convertible: boolean;
}

/**
 * Translation for the running vCPU: TLB first, then the walker, then refill. Holds what is derived from the state
 * block (paging context, banks) and nothing else; `changed` derives it again.
 */
export class Translation {
  context = new PagingContext();
  private readonly contexts = new PagingContexts();
  readonly fault: AccessFault = {
    kind: FaultKind.None, vector: 0, errorCode: 0, linear: 0n, guestPhysical: 0, qualification: 0, convertible: false,
  }; // prettier-ignore
  /** Physical address of the last access that reached a device */
  deviceAddress = 0;
  user = false;
  private systemBank = 0;
  private userBank = 0;
  private currentBank = 0;
  private smapLifted = false;
  /** CPL 3, CR0.AM and RFLAGS.AC: accesses that are not aligned raise #AC, so no mapping serves generated code. */
  alignmentChecked = false;
  /** Strict mode compares every use of a cached mapping with the tables. */
  strict: StrictTranslation | undefined;
  /** Secrecy tracking is told of every access that the slow path and helpers make. */
  secrecy: Secrecy | undefined;
  private readonly view: DataView;
  private readonly scratch = new BigUint64Array(1);
  private readonly scratchWords = new Int32Array(this.scratch.buffer);

  constructor(
    private readonly memory: MachineMemory,
    private readonly state: CpuState,
    private readonly physical: PhysicalMemory,
    private readonly walker: Walker,
    private readonly tlb: Tlb,
    private readonly engine: () => EngineControl,
  ) {
    this.view = memory.view;
    walker.tables.onStore = (address, length) => {
      if (engine().isCodePage(pageOf(address))) engine().codeWritten(address, length);
    };
  }

  /** Derives context and banks from the state block. True when the running bank is another one than before. */
  changed(): boolean {
    const { state } = this;
    const digested = this.contexts.of(state);
    const context = (this.context = digested.paging);
    context.apicAccessPage =
      state.get32(State.APIC_VIRTUALIZATION) & APIC_ACCESSES ? Number(state.get64(State.APIC_ACCESS_PAGE)) : -1;
    context.tag = (state.get32(State.VPID) & 0xffff) | (digested.pcid << 16);
    if (context.format === PAE) for (let i = 0; i < 4; i++) context.setPdpte(i, state.get64(State.PDPTE + i * 8));
    const flags = state.get32(State.FLAGS_SYSTEM);
    const real = (state.get32(State.CR0) & PE) === 0;
    this.user = !real && ((flags & VM) !== 0 || ((state.segmentAccess(Segment.SS) >>> 5) & 3) === 3);
    this.smapLifted = context.smap && (flags & AC) !== 0;
    this.alignmentChecked = this.user && (flags & AC) !== 0 && (state.get32(State.CR0) & AM) !== 0;
    this.selectBanks(digested);
    const bank = this.user ? this.userBank : this.smapLifted ? this.currentBank : this.systemBank;
    this.currentBank = bank;
    if (this.strict) {
      this.strict.entered(this.systemBank, context.root);
      this.strict.entered(bank, context.root);
    }
    if (state.get32(State.TLB_BANK) === bank) return false;
    state.set32(State.TLB_BANK, bank);
    return true;
  }

  private selectBanks({ mode, pcid, paging }: DigestedContext): void {
    const vpid = paging.tag & 0xffff;
    const eptRoot = paging.eptRootPage;
    this.systemBank = this.tlb.select(vpid, pcid, eptRoot, mode);
    // Only the bank that runs is made: banks are few, and a selection may take one from another tag.
    const user = TagMode.USER | (this.alignmentChecked ? TagMode.ALIGNMENT : 0);
    if (this.user) this.userBank = this.tlb.select(vpid, pcid, eptRoot, mode | user, this.systemBank);
    else if (this.smapLifted)
      this.currentBank = this.tlb.select(vpid, pcid, eptRoot, mode | TagMode.ALIGNMENT, this.systemBank);
  }

  /**
   * Translates one byte's address. Refills the TLB. The access is assumed not to cross a page.
   * @returns the wasm address in RAM; DEVICE with `deviceAddress`; APIC_PAGE; or FAULT with `fault`
   */
  translate(linear: bigint, access: Access, privilege: Privilege, stale = StaleUse.Tell): number {
    const bank = this.bankFor(privilege);
    this.scratch[0] = linear;
    const low = this.scratchWords[0] ?? 0;
    const high = this.scratchWords[1] ?? 0;
    if (bank !== 0) {
      const page = this.tlb.find(bank, low, high, ACCESS_PERMISSION[access]);
      if (page >= 0) {
        const at = page + (low & 0xfff);
        if (this.strict) {
          const { tlb } = this;
          const cached = {
            hostPhysical: at - RAM_BASE,
            guestPhysical: tlb.guestPageOf(bank, low) * 4096 + (low & 0xfff),
            permissions: tlb.permissionsOf(bank, low),
          };
          const bits = this.accessBits(access, privilege);
          const verdict = this.strict.judge(this.context, linear, access, bits, cached);
          if (verdict !== Verdict.Current) return this.useStale(linear, at, verdict, stale);
        }
        this.secrecy?.touching(page, this.tlb.guestPageOf(bank, low));
        const slow = this.storesSlowly(page, access);
        // A store that is to be seen comes here each time, and there is nothing to give it.
        if (!this.watched(bank) && !(slow && access === Access.Write))
          this.tlb.retag(bank, low, high, !slow, !this.readsSlowly(page));
        return at;
      }
    }
    return this.walk(bank, linear, low, high, access, privilege, stale);
  }

  /** A stale mapping is used all the same, as silicon does; it gets no tags, so that each use is seen. */
  private useStale(linear: bigint, at: number, verdict: Verdict, use: StaleUse): number {
    if (verdict === Verdict.Told && use !== StaleUse.Never) return at;
    if (use === StaleUse.Tell) {
      this.strict?.tell();
      return at;
    }
    this.record(FaultKind.StaleTranslation, 0, 0, linear);
    return FAULT;
  }

  /**
   * Whether generated code must not store to this RAM page by itself: it holds decoded code, or a watched table, or somebody
   * wants to know of the next store first.
   */
  storesSlowly(ramPage: number, access: Access): boolean {
    if (this.engine().isCodePage(ramPage) || this.strict?.watches(ramPage) === true) return true;
    const { mayStore } = this.memory;
    return mayStore !== undefined && !mayStore(ramPage, access === Access.Write);
  }

  /**
   * Whether generated code may make this store although the page gets no write tag, because nobody wants to know of it. The
   * entry of the TLB then leads to the page. Code pages, and strict mode's tables, are always left to the slow path.
   */
  storesOnce(linear: bigint, at: number, size: number): boolean {
    const page = pageOf(at);
    if (this.strict || this.engine().isCodePage(page) || !this.memory.mayStoreAt(at, size)) return false;
    this.scratch[0] = linear;
    const low = this.scratchWords[0] ?? 0;
    const high = this.scratchWords[1] ?? 0;
    const bank = this.currentBank;
    if (this.tlb.find(bank, low, high, Permission.WRITE) !== page) return false;
    this.tlb.retag(bank, low, high, false, !this.readsSlowly(page));
    return true;
  }

  /** Whether generated code must not read this RAM page by itself. */
  readsSlowly(ramPage: number): boolean {
    const { accessWatch, mayLoad } = this.memory;
    return accessWatch?.readsSlowly(ramPage) === true || (mayLoad !== undefined && !mayLoad(ramPage));
  }

  private accessBits(access: Access, privilege: Privilege): number {
    const user = privilege === Privilege.User || (privilege === Privilege.Current && this.user);
    const lifted = privilege === Privilege.Current && this.smapLifted;
    return ACCESS_BITS[access] | (user ? AccessBit.USER : lifted ? AccessBit.SMAP_LIFTED : 0);
  }

  /** Every data access through this bank is to be looked at. */
  private watched(bank: number): boolean {
    return this.alignmentChecked && bank === this.userBank;
  }

  private bankFor(privilege: Privilege): number {
    if (privilege === Privilege.Current) return this.currentBank;
    if (privilege === Privilege.System) return this.systemBank;
    return this.user ? this.userBank : 0;
  }

  private walk(
    bank: number,
    linear: bigint,
    low: number,
    high: number,
    access: Access,
    privilege: Privilege,
    stale: StaleUse,
  ): number {
    const { walker, context } = this;
    // A 32-bit linear address is never checked; a 64-bit one that is not canonical reached no TLB entry either.
    if (context.format === LONG_MODE && (high << 16) >> 16 !== high) {
      this.record(FaultKind.Exception, Vector.GP, 0, linear);
      return FAULT;
    }
    const bits = this.accessBits(access, privilege);
    if (this.memory.accessWatch?.exact === false) {
      this.record(FaultKind.Watched, 0, 0, linear);
      return FAULT;
    }
    if (!this.walkTables(linear, bits)) {
      if (this.tlb.forget(context, low, high)) this.engine().translationChanged();
      this.recordWalk(linear);
      return FAULT;
    }
    // No mapping of this page may be cached where accesses are not looked at.
    if (walker.hostPhysical - (low & 0xfff) === context.apicAccessPage) return APIC_PAGE;
    const ram = this.physical.ramAddress(walker.hostPhysical);
    // What the walk took from caches of guest-physical mappings and paging structures may be stale too.
    const verdict = this.strict?.judge(context, linear, access, bits, walker) ?? Verdict.Current;
    if (verdict !== Verdict.Current) {
      if (bank !== 0 && ram >= 0) this.fill(bank, low, high, pageOf(ram), access, 0);
      this.deviceAddress = walker.hostPhysical;
      return this.useStale(linear, ram < 0 ? DEVICE : ram, verdict, stale);
    }
    if (ram < 0) {
      this.deviceAddress = walker.hostPhysical;
      return DEVICE;
    }
    this.secrecy?.touching(pageOf(ram), Math.floor(walker.guestPhysical / 4096));
    if (bank !== 0) this.fill(bank, low, high, pageOf(ram), access);
    return ram;
  }

  private walkTables(linear: bigint, bits: number): boolean {
    const { memory } = this;
    const before = memory.actor;
    memory.actor = Actor.Walk;
    const done = this.walker.walk(this.context, linear, bits);
    memory.actor = before;
    return done;
  }

  private fill(
    bank: number,
    low: number,
    high: number,
    ramPage: number,
    access: Access,
    taggable = EVERY_PERMISSION,
  ): void {
    const { permissions, global, pageSize, guestPhysical } = this.walker;
    const slow = (permissions & taggable & Permission.WRITE) !== 0 && this.storesSlowly(ramPage, access);
    const data = this.watched(bank) ? permissions & Permission.EXECUTE : permissions;
    const shown = this.readsSlowly(ramPage) ? taggable & ~Permission.READ : taggable;
    const tagged = data & shown & (slow ? ~Permission.WRITE : EVERY_PERMISSION);
    const guestPage = Math.floor(guestPhysical / 4096);
    this.tlb.fillWords(bank, low, high, ramPage, permissions, tagged, global, pageSize, guestPage);
  }

  private recordWalk(linear: bigint): void {
    const { walker } = this;
    switch (walker.fault) {
      case WalkFault.EptViolation:
        this.record(FaultKind.EptViolation, 0, 0, linear);
        break;
      case WalkFault.EptMisconfiguration:
        this.record(FaultKind.EptMisconfiguration, 0, 0, linear);
        break;
      case WalkFault.LogFull:
        this.record(FaultKind.LogFull, 0, 0, linear);
        break;
      case WalkFault.ApicAccess:
        this.record(FaultKind.ApicAccess, 0, 0, linear);
        this.fault.qualification = ApicAccess.PHYSICAL << 12;
        return;
      default:
        this.record(FaultKind.Exception, Vector.PF, walker.errorCode, linear);
        return;
    }
    this.fault.guestPhysical = walker.guestPhysical;
    this.fault.qualification = walker.qualification;
    this.fault.convertible = walker.convertible;
  }

  /** A linear access to the APIC-access page that is not virtualized */
  refuseApicAccess(linear: bigint, type: number): void {
    this.record(FaultKind.ApicAccess, 0, 0, linear);
    this.fault.qualification = (type << 12) | Number(linear & 0xfffn);
  }

  /** Watched bytes are accessed where the instruction is not known exactly. */
  refuseWatched(linear: bigint): void {
    this.record(FaultKind.Watched, 0, 0, linear);
  }

  /** #AC has error code 0 (SDM vol. 3, 6.15). */
  refuseUnaligned(linear: bigint): void {
    this.record(FaultKind.Exception, Vector.AC, 0, linear);
  }

  private record(kind: FaultKind, vector: number, errorCode: number, linear: bigint): void {
    const { fault } = this;
    fault.kind = kind;
    fault.vector = vector;
    fault.errorCode = errorCode;
    fault.linear = linear;
    fault.guestPhysical = 0;
    fault.qualification = 0;
    fault.convertible = false;
  }

  /** Zero-extended RAM bytes at a wasm address */
  load(at: number, size: number): bigint {
    switch (size) {
      case 1:
        return BigInt(this.view.getUint8(at));
      case 2:
        return BigInt(this.view.getUint16(at, true));
      case 4:
        return BigInt(this.view.getUint32(at, true));
      default:
        return this.view.getBigUint64(at, true);
    }
  }

  /** Stores to RAM at a wasm address, and tells the engine when code was there. */
  store(at: number, size: number, value: bigint): void {
    const { strict } = this;
    const table = strict?.watches(at) === true;
    if (table) strict.storing(at, size);
    this.memory.writing?.(at, size);
    this.storeBytes(at, size, value);
    if (table) strict.stored(at, size);
    const engine = this.engine();
    if (engine.isCodePage(pageOf(at))) engine.codeWritten(at, size);
  }

  private storeBytes(at: number, size: number, value: bigint): void {
    switch (size) {
      case 1:
        this.view.setUint8(at, Number(value & 0xffn));
        break;
      case 2:
        this.view.setUint16(at, Number(value & 0xffffn), true);
        break;
      case 4:
        this.view.setUint32(at, Number(value & 0xffffffffn), true);
        break;
      default:
        this.view.setBigUint64(at, BigInt.asUintN(64, value), true);
    }
  }

  /** Copies the recorded fault to State.FAULT_*, where generated code and the run loop look. */
  publish(kind: FaultKind = this.fault.kind): void {
    const { state, fault } = this;
    state.set32(State.FAULT, 1);
    state.set32(State.FAULT_KIND, kind);
    state.set32(State.FAULT_VECTOR, fault.vector);
    state.set32(State.FAULT_ERROR, fault.convertible ? 1 : fault.errorCode);
    state.set64(State.FAULT_LINEAR, fault.linear);
    state.set64(State.FAULT_PHYSICAL, BigInt(fault.guestPhysical));
    state.set64(State.FAULT_QUALIFICATION, BigInt(fault.qualification));
  }

  get longMode(): boolean {
    return (this.state.get32(State.EFER) & LMA) !== 0;
  }
}
