import { VMCS_FIELD_SYMBOLS, type VmcsFieldSymbol } from '../../arch/vmcs-fields';
import type { Cpu } from '../../cpu/cpu';
import type { Secrecy } from '../../cpu/secrecy';
import type { DmaRecord, Taps, VmExitRecord } from '../../cpu/taps';
import type { EngineControl, EngineExit } from '../../engine/host';
import type { Instruction } from '../../isa/instruction';
import { RAM_BASE, State } from '../../memory/layout';
import { type MachineMemory, pageOf } from '../../memory/machine-memory';
import { Slot, vmcsFieldOffset } from '../../vmx/vmcs';
import {
  GUEST_LABELS,
  labelOfGuest,
  OWN_SECRETS,
  type HostRange,
  type Leak,
  type Runner,
  type SecrecyOptions,
  type SecrecyTracking,
  type SecretLeak,
  type SecretStep,
} from './api';
import { DeclaredFunctions, wasmRange } from './declared-functions';
import { DeviceFlows, type Held } from './device-flows';
import { FlowKind, Flows, type FlowsState } from './flows';
import { HELPER_TRANSFERS, type HelperTransfer } from './helper-transfers';
import { IdentityMap } from './reachable';
import { ALL_BITS, REGISTERS, RegisterShadows } from './register-shadows';
import { SecretBytes, type SecretPage } from './secret-bytes';

const PAGE = 4096;
const SP = 4;
const DX = 2;
const FIELD_BYTES = 8;
/** RFLAGS bits that are no secret of a guest: fixed, IF, RF */
const PUBLIC_FLAGS = 0x10202n;

/**
 * Fields of the guest-state and exit-information areas that hold what a guest computes with; the others say in which
 * mode it runs. (Secret bits of each)
 */
const SECRET_FIELDS: readonly (readonly [VmcsFieldSymbol, bigint])[] = [
  ['GUEST_RIP', ALL_BITS],
  ['GUEST_RSP', ALL_BITS],
  ['GUEST_RFLAGS', 0xffff_ffffn & ~PUBLIC_FLAGS],
  ['GUEST_CR3', ALL_BITS],
  ['GUEST_FS_BASE', ALL_BITS],
  ['GUEST_GS_BASE', ALL_BITS],
  ['GUEST_GDTR_BASE', ALL_BITS],
  ['GUEST_IDTR_BASE', ALL_BITS],
  ['GUEST_IA32_SYSENTER_ESP', ALL_BITS],
  ['GUEST_IA32_SYSENTER_EIP', ALL_BITS],
  ['GUEST_LINEAR_ADDRESS', ALL_BITS],
];
const GUEST_STATE = VMCS_FIELD_SYMBOLS.filter((symbol) => symbol.startsWith('GUEST_') && symbol !== 'GUEST_PHYSICAL_ADDRESS' && symbol !== 'GUEST_LINEAR_ADDRESS'); // prettier-ignore

/** What the running helper has read so far. */
interface HelperRun {
  transfer: HelperTransfer | undefined;
  insn: Instruction | undefined;
  bits: bigint;
  labels: number;
  origin: number;
  retired: number;
}

export interface SecrecyParts {
  readonly memory: MachineMemory;
  readonly cpus: readonly Cpu[];
  /** Which vCPU runs */
  readonly running: () => number;
  /** Where the running vCPU's linear address leads, as a wasm address; -1: nowhere, or to no RAM */
  readonly translate: (linear: bigint) => number;
  readonly moment: () => number;
}

/**
 * Where secrets are: bits of registers and of RAM that depend on a guest's private pages, on its registers, or on what the
 * policy declares. While a guest runs, all that it touches is its own and nothing has to be followed; in root operation
 * secrets are followed instruction by instruction, where they are touched; the VMM must not meet one.
 */
export class SecrecyTracker implements Secrecy, SecrecyTracking {
  private readonly shadows: RegisterShadows;
  private readonly secrets: SecretBytes;
  private readonly flows = new Flows();
  private readonly declared: DeclaredFunctions;
  private readonly identity: IdentityMap;
  private readonly listeners = new Set<(leak: SecretLeak) => void>();
  private runners: Runner[];
  private readonly extended: Held[];
  private readonly helper: HelperRun = {
    transfer: undefined, insn: undefined, bits: 0n, labels: 0, origin: 0, retired: 0,
  }; // prettier-ignore
  private readonly shared: readonly HostRange[];
  private readonly own: readonly HostRange[];
  /** To be told of the disks' transfers */
  readonly devices = new DeviceFlows((sector, count, from) => this.flow(FlowKind.Disk, from.origin, sector, count));
  /** Pages that guests have used where they share guest-physical memory */
  private readonly sharedPages = new Set<number>();
  private told = new Set<string>();
  private stepping = false;

  constructor(
    private readonly parts: SecrecyParts,
    private readonly options: SecrecyOptions,
  ) {
    const { memory, cpus } = parts;
    this.shadows = new RegisterShadows(memory);
    this.secrets = new SecretBytes((page) => cpus[0]?.tlb.withdrawData(page));
    this.identity = new IdentityMap(memory);
    this.runners = cpus.map(() => 'root');
    this.extended = cpus.map(() => ({ labels: 0, origin: 0 }));
    this.shared = options.shared.map(wasmRange);
    this.own = options.secrets.map(wasmRange);
    const engine = this.cpu.engine;
    engine.tracksAddresses = options.addresses === true;
    const entries = new Set<bigint>();
    this.declared = new DeclaredFunctions(
      options.encryption,
      options.secrets,
      this.secrets,
      (name) => this.ivReused(name),
      (address) => {
        if (entries.has(address)) return;
        entries.add(address);
        engine.setEntries(entries, (rip) => this.reached(rip));
      },
      parts.translate,
      (linear) => {
        const at = parts.translate(linear);
        return at < 0 ? undefined : memory.view.getBigUint64(at, true);
      },
    );
    memory.watchWrites(this);
    for (const cpu of cpus) {
      cpu.secrecy = this;
      cpu.tlb.withdrawAll();
    }
    this.cpu.engine.translationChanged();
  }

  /** To be added to every vCPU's taps, and to the board's */
  readonly taps: Taps = {
    vmExit: (record) => this.exited(record),
    vmEntry: () => this.entered(),
    dma: (record) => this.deviceAccess(record),
  };

  onLeak(listener: (leak: SecretLeak) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  runner(vcpu: number): Runner {
    return this.runners[vcpu] ?? 'root';
  }

  registerBits(register: number): bigint {
    return this.shadows.bits(register);
  }

  byteAt(address: number): { readonly bits: number; readonly labels: number; readonly steps: readonly SecretStep[] } {
    const { bits, labels, origin } = this.secrets.read(RAM_BASE + address, 1);
    return { bits: Number(bits), labels, steps: this.stepsTo(origin).steps };
  }

  get secretBytes(): number {
    let sum = 0;
    for (const [, page] of this.secrets.all()) sum += page.count;
    return sum;
  }

  private get vcpu(): number {
    return this.parts.running();
  }

  private get cpu(): Cpu {
    const cpu = this.parts.cpus[this.vcpu];
    if (!cpu) throw new RangeError(`there is no vCPU ${this.vcpu}`);
    return cpu;
  }

  private get current(): Runner {
    return this.runners[this.vcpu] ?? 'root';
  }

  private get moment(): number {
    return this.parts.moment();
  }

  private flow(kind: FlowKind, from: number, at: number, length: number, rip = this.cpu.state.rip): number {
    return this.flows.add(kind, from, at, length, this.moment, this.vcpu, rip);
  }

  // The processor

  get follows(): boolean {
    return this.current === 'root' && this.cpu.engine.holdsSecret;
  }

  track(engine: EngineControl, budget: number, skipBreakpoint: boolean): EngineExit {
    this.stepping = true;
    try {
      return engine.runTracked(budget, skipBreakpoint);
    } finally {
      this.stepping = false;
    }
  }

  resumed(vcpu: number): void {
    this.shadows.switchTo(vcpu);
  }

  get loaded(): bigint {
    return this.shadows.loaded;
  }

  set loaded(secret: bigint) {
    this.shadows.loaded = secret;
  }

  get stored(): bigint {
    return this.shadows.stored;
  }

  set stored(secret: bigint) {
    this.shadows.stored = secret;
  }

  loading(at: number, size: number): boolean {
    if (!this.stepping) {
      if (at < 0 || !this.secrets.touches(at, size)) return false;
      if (this.current === 'root') return true;
      this.foreignRead(at, size);
      return false;
    }
    const known = at >= 0 && this.secrets.touches(at, size);
    this.shadows.loaded = 0n;
    if (!known) return false;
    const { bits, labels, origin } = this.secrets.read(at, size);
    this.shadows.loaded = bits;
    this.shadows.addSource(labels, origin);
    return false;
  }

  reading(at: number, size: number): void {
    if (!this.secrets.touches(at, size)) return;
    if (this.current !== 'root') {
      this.foreignRead(at, size);
      return;
    }
    const { helper } = this;
    if (!helper.transfer) return;
    const { bits, labels, origin } = this.secrets.read(at, size);
    this.helperReads(bits, labels, origin);
  }

  /** Somebody outside root operation reads a secret byte. */
  private foreignRead(at: number, size: number): void {
    const { current } = this;
    if (current !== 'vmm') return;
    const { labels, origin } = this.secrets.read(at, size);
    this.leak({ by: 'read' }, current, labels, origin, at, size);
  }

  // Memory

  mayLoad(ramPage: number): boolean {
    return this.mayAccess(ramPage);
  }

  mayStore(ramPage: number): boolean {
    if (this.own.length > 0 && overlaps(this.own, ramPage, PAGE)) return false;
    return this.mayAccess(ramPage);
  }

  private mayAccess(ramPage: number): boolean {
    const { current } = this;
    const page = this.secrets.page(ramPage);
    return page === undefined || (typeof current === 'number' && page.whole === labelOfGuest(current));
  }

  /** A guest uses a page: it is one of its own from now on, unless it is shared. */
  touching(ramPage: number, guestPage: number): void {
    const guest = this.current;
    if (typeof guest !== 'number') return;
    const label = labelOfGuest(guest);
    const page = this.secrets.page(ramPage);
    if (page?.whole === label || this.isShared(ramPage, guestPage, guest)) return;
    const foreign = page && foreignLabels(page, GUEST_LABELS & ~label);
    if (foreign) {
      const first = firstByte(page, GUEST_LABELS & ~label);
      this.leak({ by: 'memory' }, guest, foreign.labels, foreign.origin, ramPage + first, 1);
    }
    const origin = this.flow(FlowKind.Page, 0, ramPage - RAM_BASE, PAGE);
    this.secrets.fillPage(ramPage, label, origin);
  }

  private isShared(ramPage: number, guestPage: number, guest: number): boolean {
    if (overlaps(this.shared, ramPage, PAGE)) return true;
    const { sharedByGuests } = this.options;
    if (sharedByGuests.length === 0) return false;
    const at = guestPage * PAGE;
    const shared = sharedByGuests.some(
      (range) => at < range.end && at + PAGE > range.start && (range.guest === 0 || range.guest === guest),
    );
    if (shared) this.sharedPages.add(ramPage);
    else this.sharedPages.delete(ramPage);
    return shared;
  }

  writing(at: number, length: number, marks: boolean): void {
    if (marks) return;
    for (let done = 0; done < length;) {
      const here = at + done;
      const part = Math.min(PAGE - (here & (PAGE - 1)), length - done);
      this.writingInPage(here, part);
      done += part;
    }
  }

  private writingInPage(at: number, length: number): void {
    const { current, helper } = this;
    if (typeof current === 'number') {
      if (this.secrets.page(pageOf(at))?.whole !== labelOfGuest(current)) this.secrets.clean(at, length);
      return;
    }
    if (this.declared.active && current === 'root') this.declared.written(at, length, this.vcpu);
    if (this.stepping) this.storing(at, length);
    else if (current !== 'root') this.writtenByVmm(at, length);
    else if (helper.transfer) this.helperWrites(at, length, helper.transfer);
    // The processor delivers an event: among what it pushes are the flags.
    else if (this.shadows.flagsSecret) {
      const origin = this.flow(FlowKind.Processor, this.shadows.flagOrigin, at - RAM_BASE, length);
      this.secrets.fill(at, length, this.shadows.flagLabels, origin);
    } else this.secrets.clean(at, length);
    if (this.own.length > 0 && current === 'root') this.declareOwn(at, length);
  }

  /** His own data, but for INS from the data port of a disk */
  private writtenByVmm(at: number, length: number): void {
    const { transfer, bits, labels, origin } = this.helper;
    if (transfer && bits !== 0n)
      this.secrets.fill(at, length, labels, this.flow(FlowKind.Processor, origin, at - RAM_BASE, length));
    else this.secrets.clean(at, length);
  }

  private storing(at: number, length: number): void {
    const { stored, sourceLabels, sourceOrigin } = this.shadows;
    if (stored === 0n) {
      this.secrets.clean(at, length);
      return;
    }
    const origin = this.flow(FlowKind.Store, sourceOrigin, at - RAM_BASE, length);
    this.secrets.write(at, length, stored, sourceLabels, origin);
    this.storedShared(at, length, sourceLabels, origin);
  }

  private storedShared(at: number, length: number, labels: number, origin: number): void {
    if (overlaps(this.shared, at, length) || this.sharedPages.has(pageOf(at)))
      this.leak({ by: 'shared' }, this.current, labels, origin, at, length);
  }

  /** What lies where the policy says that secrets lie is one. */
  private declareOwn(at: number, length: number): void {
    for (const { start, end } of this.own) {
      const from = Math.max(start, at);
      const to = Math.min(end, at + length);
      if (from >= to) continue;
      this.secrets.fill(from, to - from, OWN_SECRETS, this.flow(FlowKind.Declared, 0, from - RAM_BASE, to - from));
    }
  }

  storingToDevice(address: number, size: number): void {
    if (!this.stepping || this.shadows.stored === 0n) return;
    const { sourceLabels, sourceOrigin } = this.shadows;
    this.leak({ by: 'device-register', address }, this.current, sourceLabels, sourceOrigin, undefined, size);
  }

  // Helpers

  helperBegins(insn: Instruction): void {
    const { helper, shadows, cpu } = this;
    helper.bits = 0n;
    helper.labels = helper.origin = 0;
    helper.insn = insn;
    helper.retired = cpu.retired;
    helper.transfer = transferOf(insn);
    if (insn.row.helper === 'ins' && this.current === 'vmm') this.readsPort(insn);
    if (this.current !== 'root') return;
    const { inputs, readsFlags, vmcs } = helper.transfer;
    for (const register of inputs(insn))
      this.helperReads(shadows.bits(register), shadows.labels(register), shadows.origin(register));
    if (readsFlags && shadows.flagsSecret) this.helperReads(ALL_BITS, shadows.flagLabels, shadows.flagOrigin);
    if (vmcs === 'read') this.readsField(insn);
    if (insn.row.helper === 'in' || insn.row.helper === 'ins') this.readsPort(insn);
    if (helper.transfer.extended === 'store') {
      const held = this.extended[this.vcpu];
      if (held?.labels) this.helperReads(ALL_BITS, held.labels, held.origin);
    }
    if (helper.transfer.port && insn.row.helper === 'out') this.output(insn);
  }

  private helperReads(bits: bigint, labels: number, origin: number): void {
    if (bits === 0n) return;
    this.helper.bits |= bits;
    this.helper.labels |= labels;
    this.helper.origin = origin;
  }

  private readsField(insn: Instruction): void {
    const { state } = this.cpu;
    const encoding = state.gpr(insn.reg);
    const offset = encoding < 0x8000n ? vmcsFieldOffset(Number(encoding)) : 0;
    const vmcs = this.vmcsAddress;
    if (offset === 0 || vmcs < 0) return;
    const size = Math.min(FIELD_BYTES, FIELD_BYTES - (offset & 7));
    const { bits, labels, origin } = this.secrets.read(vmcs + offset, size);
    this.helperReads(bits, labels, origin);
  }

  /** wasm address of the current VMCS; -1: there is none */
  private get vmcsAddress(): number {
    const address = this.cpu.state.get64(State.CURRENT_VMCS);
    return address < BigInt(this.parts.memory.ramSize) ? RAM_BASE + Number(address) : -1;
  }

  private helperWrites(at: number, length: number, transfer: HelperTransfer): void {
    const { bits, labels, origin } = this.helper;
    if (transfer.writes === 'clean' || bits === 0n) {
      this.secrets.clean(at, length);
      return;
    }
    const flow = this.flow(FlowKind.Processor, origin, at - RAM_BASE, length);
    if (transfer.moves && length <= 8) this.secrets.write(at, length, bits, labels, flow);
    else this.secrets.fill(at, length, labels, flow);
    this.storedShared(at, length, labels, flow);
  }

  helperEnded(): void {
    const { helper, cpu } = this;
    const { transfer, insn } = helper;
    helper.transfer = undefined;
    if (!transfer || !insn || cpu.retired === helper.retired) return;
    const { current } = this;
    if (transfer.extended === 'load') this.loadedExtended(current);
    if (current !== 'root') return;
    const { bits, labels, origin } = helper;
    const secret = transfer.writes === 'clean' || bits === 0n ? 0n : transfer.moves ? bits : ALL_BITS;
    for (const register of transfer.outputs(insn))
      this.shadows.set(register, secret, labels, origin, outputWidth(insn));
    if (transfer.flags === 'clean') this.shadows.setFlags(false, 0, 0);
    else if (transfer.flags === 'inputs') this.shadows.setFlags(bits !== 0n, labels, origin);
    if (transfer.port && insn.row.helper === 'outs' && bits !== 0n) this.toPort(labels, origin);
  }

  private loadedExtended(current: Runner): void {
    const held = this.extended[this.vcpu];
    if (!held) return;
    if (typeof current === 'number') {
      held.labels = labelOfGuest(current);
      held.origin = this.flow(FlowKind.Page, 0, 0, 0);
    } else {
      held.labels = this.helper.bits === 0n ? 0 : this.helper.labels;
      held.origin = this.helper.origin;
    }
  }

  private output(insn: Instruction): void {
    const { bits, labels, origin } = this.helper;
    if (BigInt.asUintN(outputWidth(insn), bits) !== 0n) this.toPort(labels, origin);
  }

  private toPort(labels: number, origin: number): void {
    const { insn } = this.helper;
    if (!insn) return;
    const port = this.portOf(insn);
    if (isDataPort(port)) this.devices.toDevice(labels, origin);
    this.leak({ by: 'port', port }, this.current, labels, origin, undefined, 1);
  }

  private portOf(insn: Instruction): number {
    const immediate = insn.row.operands.includes('Ib');
    return Number(immediate ? insn.immediate & 0xffn : this.cpu.state.gpr(DX) & 0xffffn);
  }

  /** IN and INS from the data port of a disk bring what was read from it. */
  private readsPort(insn: Instruction): void {
    const held = this.devices.fromDevice;
    if (held && isDataPort(this.portOf(insn))) this.helperReads(ALL_BITS, held.labels, held.origin);
  }

  // Transitions

  private exited(record: VmExitRecord): void {
    const { vcpu, current, shadows } = this;
    this.runners[vcpu] = 'root';
    shadows.clear();
    if (typeof current === 'number') {
      const label = labelOfGuest(current);
      const origin = this.flow(FlowKind.Exit, 0, record.reason & 0xffff, 0, record.rip);
      for (let register = 0; register < REGISTERS; register++)
        if (register !== SP) shadows.set(register, ALL_BITS & ~this.options.shows(record, register), label, origin);
      const vmcs = this.vmcsAddress;
      if (vmcs >= 0)
        for (const [field, bits] of SECRET_FIELDS)
          this.secrets.write(vmcs + Slot[field], FIELD_BYTES, bits, label, origin);
    }
    // VMREAD and VMWRITE of a VMCS that holds secrets go by their helpers.
    const vmcs = this.vmcsAddress;
    if (vmcs >= 0 && this.secrets.page(pageOf(vmcs))) this.cpu.state.set32(State.DIRECT_VMCS, 0);
  }

  private entered(): void {
    const { vcpu, shadows } = this;
    const { state } = this.cpu;
    const runner = this.options.runnerOf(vcpu, state.get64(State.CURRENT_VMCS), state.get64(State.EPTP));
    this.runners[vcpu] = runner;
    const allowed = typeof runner === 'number' ? labelOfGuest(runner) : 0;
    this.checkRegisters(runner, allowed);
    const held = this.extended[vcpu];
    if (held && held.labels & ~allowed)
      this.leak({ by: 'extended-registers' }, runner, held.labels & ~allowed, held.origin, undefined, 512);
    if (runner === 'vmm') {
      this.checkFields();
      this.checkMemory(state.get64(State.EPTP));
    }
    shadows.clear();
  }

  private checkRegisters(runner: Runner, allowed: number): void {
    const { shadows } = this;
    const registers: number[] = [];
    let labels = 0;
    let origin = 0;
    for (let register = 0; register < REGISTERS; register++) {
      const foreign = shadows.bits(register) === 0n ? 0 : shadows.labels(register) & ~allowed;
      if (register === SP || foreign === 0) continue;
      if (registers.length === 0) origin = shadows.origin(register);
      registers.push(register);
      labels |= foreign;
    }
    if (registers.length > 0) this.leak({ by: 'register', registers }, runner, labels, origin, undefined, 8);
  }

  private checkFields(): void {
    const vmcs = this.vmcsAddress;
    if (vmcs < 0 || !this.secrets.page(pageOf(vmcs))) return;
    for (const field of GUEST_STATE) {
      const at = vmcs + Slot[field];
      const { bits, labels, origin } = this.secrets.read(at, FIELD_BYTES);
      if (bits !== 0n) this.leak({ by: 'field', field }, 'vmm', labels, origin, at, FIELD_BYTES);
    }
  }

  /** Secrets in memory that the tables in force let the VMM read; the VMCS that he runs under is none of it. */
  private checkMemory(eptp: bigint): void {
    const { identity } = this;
    identity.begin();
    for (const [ramPage, page] of this.secrets.all()) {
      if (!identity.reads(eptp, ramPage - RAM_BASE)) continue;
      const first = firstByte(page, 0xff);
      const { labels, origin } = this.secrets.read(ramPage + first, 1);
      this.leak({ by: 'memory' }, 'vmm', labels, origin, ramPage + first, bytesFrom(page, first));
    }
  }

  private ivReused(name: string): void {
    this.leak({ by: 'iv-reused', function: name, moment: this.moment }, this.current, OWN_SECRETS, 0, undefined, 16);
  }

  private reached(rip: bigint): void {
    if (this.current !== 'root') return;
    const { state } = this.cpu;
    this.declared.reached(rip, this.vcpu, (register) => state.gpr(register));
  }

  // Devices

  /** After it has happened. What a device has read from a secret place, it may write to any other. */
  private deviceAccess({ requester, hostPhysical, length, write, blocked }: DmaRecord): void {
    if (blocked !== undefined) return;
    const at = RAM_BASE + hostPhysical;
    if (write) {
      const held = this.devices.fromDevice;
      if (!held) {
        this.secrets.clean(at, length);
        return;
      }
      this.secrets.fill(at, length, held.labels, this.flow(FlowKind.DeviceWrite, held.origin, hostPhysical, length));
      return;
    }
    for (let i = 0; i < length; i++) {
      const { bits, labels, origin } = this.secrets.read(at + i, 1);
      if (bits === 0n) continue;
      const flow = this.flow(FlowKind.DeviceRead, origin, hostPhysical, length);
      this.devices.toDevice(labels, flow);
      this.leak({ by: 'device', requester }, this.current, labels, flow, at + i, length - i);
      return;
    }
  }

  // Findings

  private leak(what: Leak, to: Runner, labels: number, origin: number, at: number | undefined, length: number): void {
    const address = at === undefined ? undefined : at - RAM_BASE;
    const page = address === undefined ? '' : Math.floor(address / PAGE);
    const key = `${JSON.stringify(what)} ${to} ${labels} ${page} ${origin}`;
    if (this.told.has(key)) return;
    this.told.add(key);
    const { steps, lost } = this.stepsTo(origin);
    const leak: SecretLeak = {
      leak: what,
      to,
      labels,
      vcpu: this.vcpu,
      moment: this.moment,
      rip: this.cpu.state.rip,
      address,
      length,
      steps,
      incomplete: lost,
    };
    for (const listener of this.listeners) listener(leak);
  }

  private stepsTo(origin: number): { readonly steps: readonly SecretStep[]; readonly lost: boolean } {
    return this.flows.path(origin);
  }

  // Snapshots

  save(): unknown {
    const saved: SavedTracker = {
      pages: this.secrets.save(),
      shadows: this.shadows.save(),
      flows: this.flows.save(),
      declared: this.declared.save(),
      runners: [...this.runners],
      extended: this.extended.map((held) => ({ ...held })),
      devices: this.devices.save(),
      told: new Set(this.told),
    };
    return saved;
  }

  restore(given: unknown): void {
    if (given === undefined) return this.forget();
    const saved = given as SavedTracker;
    this.secrets.restore(saved.pages);
    this.shadows.restore(saved.shadows);
    this.flows.restore(saved.flows);
    this.declared.restore(saved.declared);
    this.runners = [...saved.runners];
    saved.extended.forEach((held, vcpu) => Object.assign(this.extended[vcpu] ?? {}, held));
    this.devices.restore(saved.devices);
    this.told = new Set(saved.told);
    for (const cpu of this.parts.cpus) cpu.tlb.withdrawAll();
  }

  /** As before anything was tracked */
  private forget(): void {
    this.secrets.restore(new Map());
    this.shadows.clear();
    this.declared.restore({ calls: [], vectors: new Set() });
    this.runners = this.runners.map(() => 'root');
    for (const held of this.extended) held.labels = 0;
    this.devices.restore({ sectors: new Map(), outgoing: undefined, incoming: undefined });
    this.told.clear();
  }
}

interface SavedTracker {
  readonly pages: ReturnType<SecretBytes['save']>;
  readonly shadows: ReturnType<RegisterShadows['save']>;
  readonly flows: FlowsState;
  readonly declared: ReturnType<DeclaredFunctions['save']>;
  readonly runners: readonly Runner[];
  readonly extended: readonly Held[];
  readonly devices: ReturnType<DeviceFlows['save']>;
  readonly told: ReadonlySet<string>;
}

function transferOf(insn: Instruction): HelperTransfer {
  const name = insn.row.helper ?? '';
  const transfer = HELPER_TRANSFERS[name];
  if (!transfer) throw new Error(`secrecy: no row says what the helper '${name}' does to secrets`);
  return transfer;
}

/** Bits that a helper writes of a register, or outputs; where it writes more, what is above stays marked. */
function outputWidth(insn: Instruction): 8 | 16 | 64 {
  if (insn.row.operands.includes('AL')) return 8;
  return insn.operandSize === 16 ? 16 : 64;
}

/** Of the primary and secondary IDE channel */
const isDataPort = (port: number): boolean => port === 0x1f0 || port === 0x170;

const overlaps = (ranges: readonly HostRange[], at: number, length: number): boolean =>
  ranges.some(({ start, end }) => at < end && at + length > start);

function foreignLabels(page: SecretPage, labels: number): { labels: number; origin: number } | undefined {
  if (page.whole !== 0) return page.whole & labels ? { labels: page.whole & labels, origin: page.origin } : undefined;
  const at = page.labels?.findIndex((label) => (label & labels) !== 0) ?? -1;
  return at < 0 ? undefined : { labels: (page.labels?.[at] ?? 0) & labels, origin: page.origins?.[at] ?? 0 };
}

/** Offset of the first byte of these owners; 0 when the page is theirs as a whole */
const firstByte = (page: SecretPage, labels: number): number =>
  page.whole !== 0 ? 0 : Math.max(0, page.labels?.findIndex((label) => (label & labels) !== 0) ?? 0);

/** How many secret bytes lie there in a row */
function bytesFrom(page: SecretPage, first: number): number {
  if (page.whole !== 0) return PAGE - first;
  const end = page.bits?.findIndex((bits, index) => index > first && bits === 0) ?? -1;
  return (end < 0 ? PAGE : end) - first;
}
