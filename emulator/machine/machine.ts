import { Cpu, type CpuRunResult } from '../cpu/cpu';
import { processorHelpers } from '../cpu/helpers/table';
import { noInterrupts } from '../cpu/processor';
import { CpuState } from '../cpu/state';
import type { Taps } from '../cpu/taps';
import { Engine } from '../engine/engine';
import type { EngineControl, EngineHost } from '../engine/host';
import type { Instruction } from '../isa/instruction';
import { Actor } from '../memory/actor';
import { hostPhysical, type HostPhysicalAddress } from '../memory/address';
import { State, RAM_BASE, STATE_SIZE } from '../memory/layout';
import { MachineMemory } from '../memory/machine-memory';
import { PhysicalMemory } from '../memory/physical';
import { TableWatch } from '../memory/table-watch';
import type { SharedState } from '../devices/device';
import { createVmx, readVmcsField, vmxHelpers, writeVmcsField } from '../vmx';
import {
  MAXIMUM_PROCESSORS,
  MAXIMUM_QUANTUM,
  MachineError,
  type AddressSpace,
  type BootReport,
  type Context,
  type Machine,
  type MachineInside,
  type MachineConfiguration,
  type MachineStatistics,
  type Outcome,
  type RunResult,
  type Vcpu,
  type Walk,
} from './api';
import { placeAcpi } from './acpi/place';
import { Board } from './board';
import { boot } from './boot/boot';
import { ContextTracker } from './contexts';
import type { MachineInput, WrittenRange } from './input';
import { MemoryAccess } from './memory-access';
import type { Platform } from './platform';
import { Processors } from './processors';
import { registersOf, writeRegister, type RegisterWrites } from './registers';
import { DEFAULT_QUANTUM, Scheduler } from './scheduler';
import { dmaWalk, upperDoubleword } from './dma-walk';
import type { SecrecyOptions, SecrecyTracking } from './secrecy/api';
import { followDisks } from './secrecy/device-flows';
import { SecrecyTracker } from './secrecy/tracker';
import type { MachineState } from './state';
import { digestVcpus, hashMachine, type HashedVcpu } from './state-hash';
import { TapHub } from './tap-hub';
import { Translations } from './translations';
import { Watchpoints, type AccessHit, type Watchpoint, type WatchRequest } from './watchpoints';

const MIB = 1 << 20;
const MEMORY_LIMIT = 3072;
/** V8 replaces a function by its optimised form only when it returns: one run of generated code is no longer than this. */
const SLICE = 1_000_000;
const LONGEST_INSTRUCTION = 15;
/** Turns in a row in which no vCPU executed an instruction, after which the caller is asked whether to go on */
const MOST_IDLE_TURNS = 1000;
/** In the order of the VMCS's encoding */
const ACTIVITIES = ['active', 'halted', 'shutdown', 'waiting for SIPI'] as const;
const HELPERS = { ...processorHelpers, ...vmxHelpers };
const DEVICE_WRITER = { vcpu: -1, instruction: 0, rip: 0n, root: true } as const;
/** Registers that decide about translation: after a debugger wrote one, nothing cached is to be trusted. */
const TRANSLATION_REGISTERS = new Set(['cr0', 'cr3', 'cr4', 'efer']);

function seedOf(seed: number): bigint {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new MachineError(`randomSeed: ${seed} is no seed. Give a whole number from 0 to ${Number.MAX_SAFE_INTEGER}.`);
  return BigInt(seed);
}

const LIMIT: RunResult = { why: 'limit' };
const REQUESTED: RunResult = { why: 'requested' };

/**
 * Makes a machine and loads its images; it stands before its first instruction.
 * @throws MachineError when the configuration or an image cannot be loaded
 */
export const createMachine = (configuration: MachineConfiguration): Machine => new EmulatedMachine(configuration);

/** The PC: processors with VT-x, RAM, and the devices of `Board`. */
class EmulatedMachine implements Machine {
  readonly vcpus: readonly Vcpu[];
  readonly boot: BootReport;
  private readonly memory: MachineMemory;
  private readonly physical: PhysicalMemory;
  private readonly engine: EngineControl;
  private readonly processors: Processors;
  private readonly scheduler: Scheduler;
  private readonly board: Board;
  /** One for each vCPU: what follows one of them does not hear the others */
  private readonly hubs: readonly TapHub[];
  /** For what no vCPU does: DMA */
  private readonly boardHub = new TapHub();
  private readonly trackers: readonly ContextTracker[];
  private readonly translations: Translations;
  private readonly access: MemoryAccess;
  private readonly watchpoints: Watchpoints;
  private readonly serialListeners = new Set<(byte: number, vcpu: number) => void>();
  private readonly consoleListeners = new Set<(byte: number, vcpu: number) => void>();
  private outcome: Outcome | undefined;
  private secrecy: SecrecyTracker | undefined;
  private readonly tableWatch: TableWatch | undefined;
  private readonly inputListeners = new Set<(input: MachineInput) => void>();
  private contextCount = 0;

  constructor(readonly configuration: MachineConfiguration) {
    const { memory, processors: count = 1, quantum = DEFAULT_QUANTUM } = configuration;
    inRange('memory', memory, MEMORY_LIMIT, `${memory} MiB cannot be had`);
    inRange('processors', count, MAXIMUM_PROCESSORS, `a machine with ${count} processors cannot be made`);
    inRange('quantum', quantum, MAXIMUM_QUANTUM, `turns of ${quantum} instructions cannot be given`);
    this.memory = new MachineMemory(memory * MIB, count);
    this.physical = new PhysicalMemory(this.memory);
    this.processors = new Processors(this.memory, count);
    this.scheduler = new Scheduler(this.processors, quantum);
    if (configuration.strictTranslation) this.tableWatch = this.watchTables();
    const running = (): number => this.processors.running;
    this.board = new Board(this.physical, this.processors, configuration, this.boardHub.taps, {
      serialOutput: (byte) => this.serialListeners.forEach((listener) => listener(byte, running())),
      consoleOutput: (byte) => this.consoleListeners.forEach((listener) => listener(byte, running())),
      ramChanged: (at, size) => this.ramChanged(at, size),
      exit: (code) => this.end({ kind: 'exit-port', code }),
      reset: (cause) => this.end({ kind: 'reset', cause }),
      powerOff: () => this.end({ kind: 'power-off' }),
      // Devices are reached only by instructions that run alone: the vCPU that runs looks at interrupts after each.
      attention: (vcpu) => this.scheduler.attention(vcpu),
    });
    this.hubs = this.processors.states.map(() => new TapHub());
    let engine: EngineControl | undefined;
    this.processors.powerUp((index, state, peers) => {
      const cpu = this.createCpu(index, state, peers, (host) => (engine ??= new Engine(this.memory, host)));
      engine = cpu.engine;
      return cpu;
    });
    this.board.startAsFirmware();
    this.engine = this.processors.current.engine;
    // In strict mode every use of a mapping is to be seen, also by code that goes on in a stale page.
    this.engine.translatorEnabled = configuration.translator && !configuration.strictTranslation;
    if (configuration.translatorThreshold !== undefined) this.engine.hotThreshold = configuration.translatorThreshold;
    this.physical.rangesMoved();
    this.processors.states.forEach((state, vcpu) =>
      state.set64(State.RANDOM, seedOf((configuration.randomSeed ?? 0) + vcpu)),
    );
    this.boot = this.load(this.processors.current.state);
    this.processors.current.contextChanged();
    this.scheduler.start();

    const writes = this.processors.states.map((_, vcpu) => this.registerWrites(vcpu));
    this.trackers = this.processors.states.map((state, vcpu) => {
      const tracker = new ContextTracker(this.memory, vcpu, state, writes[vcpu]!, () => this.contextCount++);
      this.hubs[vcpu]?.add(tracker.taps);
      return tracker;
    });
    this.translations = new Translations(this.physical);
    const tell = (ranges: readonly WrittenRange[]) => this.tellInput({ kind: 'memory', ranges });
    this.access = new MemoryAccess(this.physical, this.translations, this.engine, tell);
    this.watchpoints = new Watchpoints(this.memory, this.physical, this.translations, {
      moment: () => this.moment,
      current: () => this.processors.current,
      context: (vcpu) => this.tracker(vcpu).runningContext.id,
      withdraw: () => this.withdrawTags(),
    });
    this.vcpus = this.processors.states.map((state, index) => ({
      index,
      registers: registersOf(
        () => state,
        () => writes[index],
      ),
      get activity() {
        return ACTIVITIES[state.get32(State.ACTIVITY)] ?? 'shutdown';
      },
      get instructions() {
        return retiredOf(state);
      },
      get clock() {
        return retiredOf(state) + idleOf(state);
      },
    }));
  }

  private withdrawTags(): void {
    for (const { tlb } of this.processors.cpus) tlb.withdrawAll();
    this.processors.withdrawWrites();
    this.engine.translationChanged();
  }

  /** Puts images and tables into RAM that is all zero, and the boot processor's registers into `state`. */
  private load(state: CpuState): BootReport {
    const rsdp = placeAcpi(this.ram, this.board.acpiTables(this.configuration));
    return boot(this.configuration, this.memory, state, rsdp);
  }

  private watchTables(): TableWatch {
    return new TableWatch(
      this.memory,
      (page) => this.processors.current.tlb.withdrawWrite(page),
      () => {
        for (const { tlb } of this.processors.cpus) tlb.withdrawAll();
        this.engine.translationChanged();
      },
    );
  }

  /** By a device */
  private ramChanged(wasmAddress: number, size: number): void {
    this.engine.codeWritten(wasmAddress, size);
    this.tableWatch?.overwritten(wasmAddress, size, DEVICE_WRITER);
  }

  private createCpu(
    index: number,
    state: CpuState,
    peers: readonly Cpu[],
    engine: (host: EngineHost) => EngineControl,
  ): Cpu {
    return new Cpu({
      index,
      state,
      peers,
      engine,
      physical: this.physical,
      ports: this.board.ports,
      taps: this.hubs[index]?.taps ?? {},
      interrupts: this.board.interrupts[index] ?? noInterrupts,
      saferMode: this.board.txt,
      helpers: HELPERS,
      virtualization: createVmx,
      tableWatch: this.tableWatch,
    });
  }

  get instructions(): number {
    let sum = 0;
    for (const { retired } of this.processors.cpus) sum += retired;
    return sum;
  }

  get contexts(): readonly Context[] {
    return this.trackers.flatMap((tracker) => tracker.contexts).sort((a, b) => a.id - b.id);
  }

  get translatorEnabled(): boolean {
    return this.engine.translatorEnabled;
  }

  get platform(): Platform {
    const { memory, physical, processors } = this;
    return { memory, physical, processors, iommu: this.board.pci.iommu };
  }

  get statistics(): MachineStatistics {
    return this.engine.statistics;
  }

  set translatorEnabled(value: boolean) {
    this.engine.translatorEnabled = value && !this.configuration.strictTranslation;
  }

  addTaps(taps: Taps): () => void {
    const removals = [this.boardHub, ...this.hubs].map((hub) => hub.add(taps));
    return () => removals.forEach((remove) => remove());
  }

  onSerial(listener: (byte: number, vcpu: number) => void): () => void {
    this.serialListeners.add(listener);
    return () => this.serialListeners.delete(listener);
  }

  onDebugConsole(listener: (byte: number, vcpu: number) => void): () => void {
    this.consoleListeners.add(listener);
    return () => this.consoleListeners.delete(listener);
  }

  get moment(): number {
    let sum = 0;
    for (const { transitions } of this.processors.cpus) sum += transitions;
    return sum;
  }

  onInput(listener: (input: MachineInput) => void): () => void {
    this.inputListeners.add(listener);
    return () => this.inputListeners.delete(listener);
  }

  private tellInput(input: MachineInput): void {
    for (const listener of this.inputListeners) listener(input);
  }

  apply(input: MachineInput): void {
    switch (input.kind) {
      case 'serial':
        this.board.serial.receive(input.bytes);
        return;
      case 'memory':
        this.access.put(input.ranges);
        return;
      case 'register':
        writeRegister(this.processors.state(input.vcpu), input.name, input.value);
        this.registerWritten(input.vcpu, input.name);
        return;
      case 'vmcs':
        this.memory.actor = Actor.Debugger;
        writeVmcsField(this.physical, hostPhysical(input.region), input.encoding, input.value);
        this.memory.actor = Actor.Instruction;
    }
  }

  serialInput(bytes: Uint8Array): void {
    const input: MachineInput = { kind: 'serial', bytes: bytes.slice() };
    this.tellInput(input);
    this.apply(input);
  }

  run(limit: number, stepOverBreakpoint = false, vcpu?: number, until = Infinity): RunResult {
    const { processors } = this;
    this.board.touched();
    const counted = vcpu === undefined ? undefined : processors.cpu(vcpu);
    const end = this.countOf(counted) + limit;
    let patience = SLICE;
    let idleTurns = 0;
    for (let first = true; ; first = false) {
      if (this.outcome) return { why: 'ended', outcome: this.outcome };
      const left = end - this.countOf(counted);
      if (left <= 0 || patience <= 0) return LIMIT;
      const cpu = processors.current;
      const before = cpu.retired;
      const most = counted === undefined || cpu === counted ? left : patience;
      const steps = until === Infinity ? Infinity : Math.max(0, until - this.moment);
      const result = cpu.run(Math.min(most, SLICE), first && stepOverBreakpoint, steps);
      if (result.why === 'budget' && until <= this.moment) return LIMIT;
      const stop = this.stopFor(cpu, result);
      if (stop) return stop;
      const retired = cpu.retired - before;
      if (counted !== undefined && cpu !== counted) patience -= retired;
      if (retired > 0) idleTurns = 0;
      // Time spent on events alone (a program that faults for ever, timers of sleepers): the caller is asked.
      else if (processors.count === 1 || ++idleTurns > MOST_IDLE_TURNS) return LIMIT;
    }
  }

  requestStop(): void {
    this.processors.current.requestStop();
  }

  watch(request: WatchRequest, listener: (hit: AccessHit) => void): Watchpoint {
    return this.watchpoints.add(request, listener);
  }

  setBreakpoints(addresses: ReadonlySet<bigint>): void {
    this.engine.setBreakpoints(addresses);
  }

  readMemory(space: AddressSpace, address: bigint, length: number): Uint8Array {
    return this.access.read(space, address, length);
  }

  writeMemory(space: AddressSpace, address: bigint, bytes: Uint8Array): number {
    return this.access.write(space, address, bytes);
  }

  walk(space: AddressSpace, address: bigint): Walk {
    return this.translations.walk(space, address);
  }

  dmaTranslate(requester: number, address: bigint): Walk {
    return dmaWalk(this.board.pci.iommu, requester, address, (entry) =>
      this.physical.read32(hostPhysical(BigInt(upperDoubleword(entry)))),
    );
  }

  get runningVcpu(): number {
    return this.processors.running;
  }

  running(vcpu: number): Context {
    return this.tracker(vcpu).runningContext;
  }

  interrupted(vcpu: number): readonly Context[] {
    return this.tracker(vcpu).interrupted;
  }

  private tracker(vcpu: number): ContextTracker {
    const tracker = this.trackers[vcpu];
    if (!tracker) throw new RangeError(`there is no vCPU ${vcpu}: the machine has ${this.processors.count}`);
    return tracker;
  }

  readVmcs(region: HostPhysicalAddress, encoding: number): bigint | undefined {
    return readVmcsField(this.physical, region, encoding);
  }

  writeVmcs(region: HostPhysicalAddress, encoding: number, value: bigint): boolean {
    if (this.readVmcs(region, encoding) === undefined) return false;
    const input: MachineInput = { kind: 'vmcs', region, encoding, value };
    this.tellInput(input);
    this.apply(input);
    return true;
  }

  decode(space: AddressSpace, linear: bigint): Instruction | undefined {
    const bytes = this.readMemory(space, linear, LONGEST_INSTRUCTION);
    return this.engine.decodeAt(bytes, linear, space.codeSize);
  }

  trackSecrecy(options: SecrecyOptions): SecrecyTracking {
    if (this.secrecy) throw new MachineError('trackSecrecy: secrecy is tracked already');
    const { memory, processors } = this;
    const translate = (linear: bigint): number => {
      const { space } = this.running(processors.running);
      const { hostPhysical: at } = this.translations.walk(space, linear);
      return at === undefined ? -1 : this.physical.ramAddress(Number(at));
    };
    const running = (): number => processors.running;
    this.secrecy = new SecrecyTracker(
      { memory, cpus: processors.cpus, running, translate, moment: () => this.moment },
      options,
    );
    this.addTaps(this.secrecy.taps);
    followDisks(this.board.pci.volumes, this.secrecy.devices);
    return this.secrecy;
  }

  stateHash(): string {
    return hashMachine(this.memory, this.hashedVcpus(), this.processors.running, this.board.save());
  }

  digest(): number {
    return digestVcpus(this.hashedVcpus(), this.processors.running);
  }

  private hashedVcpus(): HashedVcpu[] {
    const { processors } = this;
    return processors.states.map((state, index) => ({ block: processors.bytes(index), flags: state.rflags }));
  }

  get ram(): Uint8Array<ArrayBuffer> {
    return this.memory.u8.subarray(RAM_BASE, RAM_BASE + this.memory.ramSize) as Uint8Array<ArrayBuffer>;
  }

  get inside(): MachineInside {
    const { memory, engine, processors } = this;
    return {
      memory,
      isCodePage: (page) => engine.isCodePage(page),
      codeWritten: (at, length) => engine.codeWritten(at, length),
      withdrawWrites: () => processors.withdrawWrites(),
      powerOn: () => {
        this.ram.fill(0);
        this.load(new CpuState({ view: new DataView(new ArrayBuffer(STATE_SIZE)) }));
      },
    };
  }

  saveState(): MachineState {
    const { processors } = this;
    const shared: SharedState[] = [];
    return {
      moment: this.moment,
      running: processors.running,
      vcpus: processors.cpus.map((cpu, index) => ({
        block: processors.bytes(index).slice(),
        cpu: cpu.keep(),
        tlb: cpu.tlb.save(),
        tracker: this.tracker(index).save(),
      })),
      board: { bytes: this.board.save(shared), shared },
      called: this.scheduler.keep(),
      outcome: this.outcome,
      contexts: this.contextCount,
      tables: this.tableWatch?.save(),
      secrecy: this.secrecy?.save(),
    };
  }

  restoreState(saved: MachineState): void {
    const { processors } = this;
    const blocks = saved.vcpus.map(({ block }) => block);
    processors.restore(saved.running, blocks);
    this.physical.rangesMoved();
    this.board.restore(saved.board.bytes, saved.board.shared);
    // Devices that come back drive their lines, and so may have told processors of what they know already.
    processors.restore(saved.running, blocks);
    this.scheduler.takeBack(saved.called);
    this.outcome = saved.outcome;
    this.contextCount = saved.contexts;
    if (saved.tables) this.tableWatch?.restore(saved.tables);
    this.secrecy?.restore(saved.secrecy);
    saved.vcpus.forEach(({ cpu, tlb, tracker }, index) => {
      processors.cpu(index).tlb.restore(tlb);
      processors.cpu(index).takeBack(cpu);
      this.tracker(index).restore(tracker);
    });
    processors.current.resume();
    // State.DIRECT_VMCS has come back, and watchers of writes may have refused it since.
    this.processors.withdrawWrites();
    if (this.tableWatch) this.withdrawTags();
    this.watchpoints.restored();
  }

  private end(outcome: Outcome): void {
    this.outcome ??= outcome;
    this.processors.current.requestStop();
  }

  /** Instructions of one vCPU, or of all */
  private countOf(cpu: Cpu | undefined): number {
    return cpu === undefined ? this.instructions : cpu.retired;
  }

  private registerWrites(vcpu: number): RegisterWrites {
    return {
      writing: (name, value) => this.tellInput({ kind: 'register', vcpu, name, value }),
      written: (name) => this.registerWritten(vcpu, name),
    };
  }

  private registerWritten(vcpu: number, name: string): void {
    const cpu = this.processors.cpu(vcpu);
    if (TRANSLATION_REGISTERS.has(name)) cpu.tlb.flushAll();
    // One that does not run takes its context anew when its turn comes.
    if (vcpu === this.processors.running) cpu.contextChanged();
  }

  /** What a processor's result means for the machine; undefined: go on, with whom the turn is. */
  private stopFor(cpu: Cpu, result: CpuRunResult): RunResult | undefined {
    const vcpu = cpu.index;
    switch (result.why) {
      case 'budget':
        if (this.scheduler.over) this.scheduler.next(false);
        return undefined;
      case 'breakpoint':
        return { why: 'breakpoint', vcpu, linear: cpu.state.rip };
      case 'requested':
        return this.outcome ? { why: 'ended', outcome: this.outcome } : REQUESTED;
      case 'halted':
        if (this.scheduler.next(true)) return undefined;
        // Not kept: serial input can still wake it.
        return { why: 'ended', outcome: { kind: 'halted-forever', vcpu } };
      case 'shutdown':
        return this.ended({ kind: 'triple-fault', vcpu, description: describeShutdown(cpu.state, result.description) });
      case 'vmx-abort':
        return this.ended({ kind: 'vmx-abort', vcpu, code: result.code });
      case 'unsupported':
        return this.ended({ kind: 'unsupported', description: result.description });
    }
  }

  private ended(outcome: Outcome): RunResult {
    this.outcome = outcome;
    return { why: 'ended', outcome };
  }
}

/** @throws MachineError when it is not a whole number from 1 to `most` */
function inRange(name: string, value: number, most: number, problem: string): void {
  if (!Number.isInteger(value) || value < 1 || value > most)
    throw new MachineError(`${name}: ${problem}. Give a whole number from 1 to ${most}.`);
}

const retiredOf = (state: CpuState): number => state.get32(State.RETIRED) + state.get32(State.RETIRED + 4) * 2 ** 32;
const idleOf = (state: CpuState): number => state.get32(State.CLOCK_IDLE) + state.get32(State.CLOCK_IDLE + 4) * 2 ** 32;

function describeShutdown(state: CpuState, description: string): string {
  const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
  return (
    `${description}; CR2 ${hex(state.cr2)}, CR3 ${hex(state.cr3)}, RSP ${hex(state.gpr(4))}, IDT at ` +
    `${hex(state.get64(State.IDTR))} with limit ${hex(state.get32(State.IDTR + 8))}. The processor could not deliver ` +
    `the exception: check the IDT, its gates, and the stack.`
  );
}
