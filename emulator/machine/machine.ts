import { Cpu, type CpuRunResult } from '../cpu/cpu';
import { processorHelpers } from '../cpu/helpers/table';
import { CpuState } from '../cpu/state';
import type { Taps } from '../cpu/taps';
import { Engine } from '../engine/engine';
import type { Instruction } from '../isa/instruction';
import type { HostPhysicalAddress } from '../memory/address';
import { State } from '../memory/layout';
import { MachineMemory } from '../memory/machine-memory';
import { PhysicalMemory } from '../memory/physical';
import { createVmx, readVmcsField, vmxHelpers, writeVmcsField } from '../vmx';
import {
  MachineError,
  type AddressSpace,
  type BootReport,
  type Context,
  type Machine,
  type MachineConfiguration,
  type MachineStatistics,
  type Outcome,
  type RunResult,
  type Vcpu,
  type Walk,
} from './api';
import { Board } from './board';
import { boot } from './boot/boot';
import { ContextTracker } from './contexts';
import { MemoryAccess } from './memory-access';
import { registersOf } from './registers';
import { hashMachine } from './state-hash';
import { TapHub } from './tap-hub';
import { Translations } from './translations';

const MIB = 1 << 20;
const MEMORY_LIMIT = 3072;
/** V8 replaces a function by its optimised form only when it returns: one run of generated code is no longer than this. */
const SLICE = 1_000_000;
const LONGEST_INSTRUCTION = 15;
const ACTIVITY_ACTIVE = 0;
const HELPERS = { ...processorHelpers, ...vmxHelpers };
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

/** The PC: one processor with VT-x, RAM, and the devices of `Board`. */
class EmulatedMachine implements Machine {
  readonly vcpus: readonly Vcpu[];
  readonly boot: BootReport;
  private readonly memory: MachineMemory;
  private readonly physical: PhysicalMemory;
  private readonly cpu: Cpu;
  private readonly board: Board;
  private readonly hub = new TapHub();
  private readonly tracker: ContextTracker;
  private readonly translations: Translations;
  private readonly access: MemoryAccess;
  private readonly serialListeners = new Set<(byte: number, vcpu: number) => void>();
  private readonly consoleListeners = new Set<(byte: number, vcpu: number) => void>();
  private outcome: Outcome | undefined;

  constructor(readonly configuration: MachineConfiguration) {
    const { memory } = configuration;
    if (!Number.isInteger(memory) || memory < 1 || memory > MEMORY_LIMIT) {
      throw new MachineError(`memory: ${memory} MiB cannot be had. Give a whole number from 1 to ${MEMORY_LIMIT}.`);
    }
    this.memory = new MachineMemory(memory * MIB);
    this.physical = new PhysicalMemory(this.memory);
    this.board = new Board(this.physical, new CpuState(this.memory), configuration, this.hub.taps, {
      serialOutput: (byte) => this.serialListeners.forEach((listener) => listener(byte, 0)),
      consoleOutput: (byte) => this.consoleListeners.forEach((listener) => listener(byte, 0)),
      exit: (code) => this.end({ kind: 'exit-port', code }),
      // Devices are reached only by instructions that run alone; the processor looks at interrupts after each.
      attention: () => undefined,
      ramChanged: (at, size) => this.cpu.engine.codeWritten(at, size),
    });
    this.cpu = new Cpu({
      index: 0,
      physical: this.physical,
      ports: this.board.ports,
      taps: this.hub.taps,
      interrupts: this.board.interrupts,
      helpers: HELPERS,
      engine: (host) => new Engine(this.memory, host),
      virtualization: createVmx,
    });
    const { state } = this.cpu;
    this.cpu.reset();
    state.set64(State.RANDOM, seedOf(configuration.randomSeed ?? 0));
    this.cpu.engine.translatorEnabled = configuration.translator;
    if (configuration.translatorThreshold !== undefined)
      this.cpu.engine.hotThreshold = configuration.translatorThreshold;
    this.boot = boot(configuration, this.memory, state);
    this.cpu.contextChanged();

    let contextCount = 0;
    const written = (name: string) => this.registerWritten(name);
    this.tracker = new ContextTracker(this.memory, 0, state, written, () => contextCount++);
    this.hub.add(this.tracker.taps);
    this.translations = new Translations(this.physical);
    this.access = new MemoryAccess(this.physical, this.translations, this.cpu.engine);
    const registers = registersOf(
      () => state,
      () => written,
    );
    this.vcpus = [
      {
        index: 0,
        registers,
        get halted() {
          return state.get32(State.ACTIVITY) !== ACTIVITY_ACTIVE;
        },
      },
    ];
  }

  get instructions(): number {
    return this.cpu.retired;
  }

  get contexts(): readonly Context[] {
    return this.tracker.contexts;
  }

  get translatorEnabled(): boolean {
    return this.cpu.engine.translatorEnabled;
  }

  get statistics(): MachineStatistics {
    return this.cpu.engine.statistics;
  }

  set translatorEnabled(value: boolean) {
    this.cpu.engine.translatorEnabled = value;
  }

  addTaps(taps: Taps): () => void {
    return this.hub.add(taps);
  }

  onSerial(listener: (byte: number, vcpu: number) => void): () => void {
    this.serialListeners.add(listener);
    return () => this.serialListeners.delete(listener);
  }

  onDebugConsole(listener: (byte: number, vcpu: number) => void): () => void {
    this.consoleListeners.add(listener);
    return () => this.consoleListeners.delete(listener);
  }

  serialInput(bytes: Uint8Array): void {
    this.board.serial.receive(bytes);
  }

  run(limit: number, stepOverBreakpoint = false): RunResult {
    const end = this.instructions + limit;
    let skip = stepOverBreakpoint;
    for (;;) {
      if (this.outcome) return { why: 'ended', outcome: this.outcome };
      const left = end - this.instructions;
      if (left <= 0) return LIMIT;
      const before = this.instructions;
      const result = this.cpu.run(Math.min(left, SLICE), skip);
      const stop = this.stopFor(result);
      if (stop) return stop;
      // A slice without one retired instruction was spent on events (a program that faults for ever): return to the caller.
      if (this.instructions === before) return LIMIT;
      skip = false;
    }
  }

  requestStop(): void {
    this.cpu.requestStop();
  }

  setBreakpoints(addresses: ReadonlySet<bigint>): void {
    this.cpu.engine.setBreakpoints(addresses);
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

  running(): Context {
    return this.tracker.runningContext;
  }

  interrupted(): readonly Context[] {
    return this.tracker.interrupted;
  }

  readVmcs(region: HostPhysicalAddress, encoding: number): bigint | undefined {
    return readVmcsField(this.physical, region, encoding);
  }

  writeVmcs(region: HostPhysicalAddress, encoding: number, value: bigint): boolean {
    return writeVmcsField(this.physical, region, encoding, value);
  }

  decode(space: AddressSpace, linear: bigint): Instruction | undefined {
    const bytes = this.readMemory(space, linear, LONGEST_INSTRUCTION);
    return this.cpu.engine.decodeAt(bytes, linear, space.codeSize);
  }

  stateHash(): string {
    return hashMachine(this.memory, this.cpu.state.rflags, this.board.save());
  }

  private end(outcome: Outcome): void {
    this.outcome ??= outcome;
    this.cpu.requestStop();
  }

  private registerWritten(name: string): void {
    if (TRANSLATION_REGISTERS.has(name)) this.cpu.tlb.flushAll();
    this.cpu.contextChanged();
  }

  /** What a processor's result means for the machine; undefined: go on. */
  private stopFor(result: CpuRunResult): RunResult | undefined {
    const vcpu = this.cpu.index;
    switch (result.why) {
      case 'budget':
        return undefined;
      case 'breakpoint':
        return { why: 'breakpoint', vcpu, linear: this.cpu.state.rip };
      case 'requested':
        return this.outcome ? { why: 'ended', outcome: this.outcome } : REQUESTED;
      case 'halted':
        // Not kept: serial input can still wake it.
        return { why: 'ended', outcome: { kind: 'halted-forever', vcpu } };
      case 'shutdown':
        return this.ended({ kind: 'triple-fault', vcpu, description: this.describeShutdown(result.description) });
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

  private describeShutdown(description: string): string {
    const { state } = this.cpu;
    const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
    return (
      `${description}; CR2 ${hex(state.cr2)}, CR3 ${hex(state.cr3)}, RSP ${hex(state.gpr(4))}, IDT at ` +
      `${hex(state.get64(State.IDTR))} with limit ${hex(state.get32(State.IDTR + 8))}. The processor could not deliver ` +
      `the exception: check the IDT, its gates, and the stack.`
    );
  }
}
