import { decode } from '../isa/decoder';
import type { CodeSize, Instruction } from '../isa/instruction';
import {
  SHADOW,
  SHADOW_ACCESS,
  ShadowAccess,
  Source,
  State,
  TLB_ADDEND,
  TLB_CODE,
  TLB_ENTRIES,
  TLB_ENTRY_SIZE,
  TLB_EXECUTE,
} from '../memory/layout';
import type { MachineMemory } from '../memory/machine-memory';
import { CodeCache } from './code-cache';
import { Handlers } from './handlers';
import { type EngineControl, EngineExit, type EngineHost, type EngineStatistics } from './host';
import { Modes } from './mode';
import { NO_SKIP } from './interpreter';
import { Field, Pseudo, RECORD_SIZE, ResolveKind } from './record';
import { RecordWriter } from './record-writer';
import { RunDecoder } from './run-decoder';
import { Scratch, Stop } from './scratch';
import { RegionVisits } from './region-visits';
import { isNonCanonicalFault, toStackFault } from './stack-fault';
import { Translator } from './translator/translator';

const PAGE_MASK = 0xfff;
const PAGE_SIZE = 0x1000;
/** Interpreted instructions between two looks at where the time goes */
const SAMPLE_INTERVAL = 20_000;
/** Words */
const SHADOW_REGISTERS_END = (SHADOW + State.GPR + 16 * 8) >>> 2;
const SHADOW_REGISTERS = SHADOW >>> 2;
const SOURCE_ORIGIN = (SHADOW_ACCESS + ShadowAccess.SOURCE + Source.ORIGIN) >>> 2;
const SOURCE_LABELS = (SHADOW_ACCESS + ShadowAccess.SOURCE + Source.LABELS) >>> 2;
const STOPPED_AT = Scratch.RECORD >>> 2;
const HANDLER = Field.HANDLER >>> 2;
const RECORD_BYTES = RECORD_SIZE;
const SHADOW_FLAGS = (SHADOW + State.FLAGS_RESULT) >>> 2;

/**
 * Executes instructions that are computation plus RAM, from decoded records; everything else it hands back to the
 * processor. Decoded code is a cache: dropping it changes no result.
 */
export class Engine implements EngineControl {
  private readonly view: DataView;
  private readonly words: Int32Array;
  private readonly cache: CodeCache;
  private readonly handlers: Handlers;
  private readonly decoder: RunDecoder;
  private readonly modes: Modes;
  private readonly translator: Translator;
  private readonly visits = new RegionVisits();
  private untilSample = SAMPLE_INTERVAL;
  private breakpoints: ReadonlySet<bigint> = new Set();
  /** Told before they execute; they stop nothing */
  private entries: ReadonlySet<bigint> = new Set();
  private reached: ((linear: bigint) => void) | undefined;
  private current: Instruction | undefined;
  translatorEnabled = true;
  hotThreshold = 1_000_000;
  readonly statistics: EngineStatistics = {
    interpreted: 0,
    translated: 0,
    tracked: 0,
    regionsCompiled: 0,
    regionsDropped: 0,
    recordsDecoded: 0,
    slowLoads: 0,
    slowStores: 0,
  };

  constructor(
    memory: MachineMemory,
    private host: EngineHost,
  ) {
    this.view = memory.view;
    this.words = memory.i32;
    this.cache = new CodeCache(memory);
    this.modes = new Modes(memory);
    const { statistics } = this;
    this.handlers = new Handlers(memory, {
      slowLoad: (linear, size, forWrite) => {
        statistics.slowLoads++;
        return this.host.slowLoad(linear, size, forWrite !== 0);
      },
      slowStore: (linear, size, value) => {
        statistics.slowStores++;
        this.host.slowStore(linear, size, value);
      },
      miss: () => this.enter(this.rip),
      link: (record) => this.link(record),
      resolve: (record) => this.resolve(record),
    });
    const writer = new RecordWriter(memory, this.handlers);
    this.decoder = new RunDecoder(memory, this.cache, writer, {
      isBreakpoint: (linear) => this.stopsAt(linear),
      isRegionEntry: (host, linear) => this.translator.hasEntry(host, linear),
    });
    this.translator = new Translator(memory, {
      refill: (linear, size, access) => this.host.refill(linear, size, access),
      decode: (bytes, start, end, rip) => decode(bytes, start, end, rip, 64),
      isBreakpoint: (linear) => this.stopsAt(linear),
      // Decoded again, the records stop at the new entries.
      regionAdded: (pageHost) => this.cache.dropHost(pageHost),
    });
  }

  get instruction(): Instruction {
    if (!this.current) throw new Error('no instruction: the engine has not stopped at one');
    return this.current;
  }

  attach(host: EngineHost): void {
    this.host = host;
  }

  run(budget: number, skipBreakpoint: boolean): EngineExit {
    const { view } = this;
    this.current = undefined;
    let left = budget;
    let skip: number = skipBreakpoint ? Stop.Breakpoint : NO_SKIP;
    // What is not stopped at is told all the same.
    if (skipBreakpoint && this.entries.size !== 0) this.isBreakpoint();
    for (;;) {
      this.cache.recycle();
      if (!this.cache.hasRoom) this.dropAll();
      this.modes.update();
      const passing = this.visits.passing();
      const slice = this.translates ? Math.min(left, Math.max(1, this.untilSample)) : left;
      const executed = slice - this.handlers.code.enter(slice, skip, passing ? 1 : 0);
      skip = NO_SKIP;
      left -= executed;
      this.retire(executed);
      this.statistics.interpreted += executed;
      if (passing) this.visits.interpreted(executed);
      this.untilSample -= executed;
      const stoppedAt = view.getInt32(Scratch.RECORD, true);
      if (stoppedAt !== 0) this.cache.storeRip(stoppedAt);
      switch (this.stop) {
        case Stop.Budget:
          this.sample();
          if (left === 0) return EngineExit.Budget;
          break;
        case Stop.Helper:
          this.current = this.instructionOf(stoppedAt);
          return EngineExit.Helper;
        case Stop.Fault:
          // The fetch of an instruction beyond the budget is not this run's: it happens again in the next.
          if (stoppedAt === 0) return left === 0 ? EngineExit.Budget : EngineExit.Fault;
          this.classifyFault(stoppedAt);
          return EngineExit.Fault;
        case Stop.Breakpoint:
          if (this.isBreakpoint()) return EngineExit.Breakpoint;
          skip = Stop.Breakpoint;
          break;
        case Stop.Region: {
          this.sample();
          const translated = this.translate(left);
          left -= translated;
          if (left === 0) return EngineExit.Budget;
          // Where nothing was executed the interpreter goes on, past the entry.
          if (translated === 0) skip = Stop.Region;
          break;
        }
        case Stop.ArenaFull:
          this.dropAll();
          break;
      }
    }
  }

  /**
   * As `run`, with secrecy moved along, one instruction at a time; ends ('Budget') before the budget does when no register
   * holds a secret any more. At least one instruction is tried.
   */
  runTracked(budget: number, skipBreakpoint: boolean): EngineExit {
    const { view } = this;
    this.current = undefined;
    this.cache.recycle();
    if (!this.cache.hasRoom) this.dropAll();
    this.modes.update();
    let skip: number = skipBreakpoint ? Stop.Breakpoint : NO_SKIP;
    if (skipBreakpoint && this.entries.size !== 0) this.isBreakpoint();
    for (;;) {
      const executed = this.track(budget, skip);
      this.retire(executed);
      this.statistics.tracked += executed;
      const stoppedAt = view.getInt32(Scratch.RECORD, true);
      if (stoppedAt !== 0) this.cache.storeRip(stoppedAt);
      switch (this.stop) {
        case Stop.Helper:
          this.current = this.instructionOf(stoppedAt);
          return EngineExit.Helper;
        case Stop.Fault:
          if (stoppedAt === 0) return executed === budget ? EngineExit.Budget : EngineExit.Fault;
          this.classifyFault(stoppedAt);
          return EngineExit.Fault;
        case Stop.Breakpoint:
          if (this.isBreakpoint()) return EngineExit.Breakpoint;
          if (executed > 0) return EngineExit.Budget;
          skip = Stop.Breakpoint;
          break;
        case Stop.ArenaFull:
          this.dropAll();
          if (executed > 0) return EngineExit.Budget;
          skip = NO_SKIP;
          break;
        default:
          return EngineExit.Budget;
      }
    }
  }

  /** @returns the instructions executed; Scratch.STOP and RECORD say why and where it ended, as for the interpreter */
  private track(budget: number, skip: number): number {
    const { view, words, handlers, cache } = this;
    view.setInt32(State.FAULT, 0, true);
    this.stop = Stop.Budget;
    words[STOPPED_AT] = 0;
    let record = handlers.code.find(this.rip);
    for (let executed = 0; ;) {
      if (record === 0) return executed;
      const handler = words[(record >>> 2) + HANDLER] ?? 0;
      switch (handler as Pseudo) {
        case Pseudo.Exit: {
          const stop = view.getInt32(record + Field.IMMEDIATE, true);
          if (executed === 0 && stop === skip) {
            record += RECORD_BYTES;
            continue;
          }
          this.stop = stop;
          words[STOPPED_AT] = record;
          return executed;
        }
        case Pseudo.RegionEntry:
          record += RECORD_BYTES;
          continue;
        case Pseudo.NextPage:
          record = handlers.code.find(view.getBigUint64(record + Field.IMMEDIATE, true));
          continue;
        case Pseudo.GoTo:
          record = view.getInt32(record + Field.LINK, true);
          continue;
        case Pseudo.Resolve:
          record = this.resolve(record);
          continue;
        default:
      }
      if (executed === budget || (executed > 0 && !this.holdsSecret)) {
        words[STOPPED_AT] = record;
        return executed;
      }
      cache.storeRip(record);
      words[SOURCE_ORIGIN] = 0;
      words[SOURCE_LABELS] = 0;
      view.setInt32(Scratch.LEFT, budget - executed - 1, true);
      const next = handlers.trackedHandler(handler)(record);
      // The handler stored its record when the instruction was not executed.
      if (next !== 0 || words[STOPPED_AT] === 0) executed++;
      record = next;
    }
  }

  /** Whether a register or flag of the running vCPU depends on a secret */
  get holdsSecret(): boolean {
    const { words } = this;
    let any = (words[SHADOW_FLAGS] ?? 0) | (words[SHADOW_FLAGS + 1] ?? 0) | (words[SHADOW_FLAGS + 2] ?? 0);
    for (let at = SHADOW_REGISTERS; at < SHADOW_REGISTERS_END; at++) any |= words[at] ?? 0;
    return (any | (words[SHADOW_FLAGS + 3] ?? 0)) !== 0;
  }

  get tracksAddresses(): boolean {
    return this.handlers.tracksAddresses;
  }

  set tracksAddresses(value: boolean) {
    this.handlers.tracksAddresses = value;
  }

  /** Runs translated code from State.RIP if its region can be entered; returns the instructions executed. */
  private translate(left: number): number {
    if (!this.translates || !this.translator.canEnter(left)) return 0;
    const executed = left - this.translator.run(left);
    this.retire(executed);
    this.statistics.translated += executed;
    this.visits.visited(executed, this.hotThreshold);
    return executed;
  }

  private get rip(): bigint {
    return this.view.getBigUint64(State.RIP, true);
  }

  private get stop(): Stop {
    return this.view.getInt32(Scratch.STOP, true);
  }

  private set stop(stop: Stop) {
    this.view.setInt32(Scratch.STOP, stop, true);
  }

  private retire(count: number): void {
    const { view } = this;
    const low = view.getUint32(State.RETIRED, true) + count;
    view.setUint32(State.RETIRED, low >>> 0, true);
    if (low > 0xffffffff) view.setUint32(State.RETIRED + 4, view.getUint32(State.RETIRED + 4, true) + 1, true);
    this.statistics.recordsDecoded = this.decoder.decoded;
  }

  /** Regions exist for 64-bit code only. */
  private get translates(): boolean {
    return this.translatorEnabled && this.modes.current.codeSize === 64;
  }

  /** Now and then, what was interpreted is reported where it stopped. */
  private sample(): void {
    if (this.untilSample > 0) return;
    const interval = Math.max(1, Math.min(SAMPLE_INTERVAL, this.hotThreshold));
    this.translator.threshold = this.hotThreshold;
    if (this.translates) this.translator.sample(interval - this.untilSample);
    this.untilSample = interval;
    this.statistics.regionsCompiled = this.translator.compiled;
    this.statistics.regionsDropped = this.translator.dropped;
  }

  // Lookup: called by the run loop and by generated code

  /** The record at an instruction pointer. 0 after a failed fetch or a full arena: State.RIP and Scratch.STOP say so. */
  private enter(rip: bigint): number {
    const { view } = this;
    const linear = this.modes.linear(rip);
    const host = this.fetchPage(linear);
    if (host < 0 || this.cache.exhausted) {
      view.setBigUint64(State.RIP, rip, true);
      this.stop = host < 0 ? Stop.Fault : Stop.ArenaFull;
      return 0;
    }
    const page = this.cache.page(host, linear & ~0xfffn, this.modes.current);
    const entry = this.tlbEntry(linear);
    if (this.executes(entry, linear)) view.setInt32(entry + TLB_CODE, page.map, true);
    return this.decoder.record(page, Number(linear & 0xfffn));
  }

  /** wasm address of the page that a fetch reads, or -1 after the host recorded the fault. */
  private fetchPage(linear: bigint): number {
    const entry = this.tlbEntry(linear);
    if (this.executes(entry, linear)) {
      const low = Number(BigInt.asUintN(32, linear));
      const host = ((low + this.view.getInt32(entry + TLB_ADDEND, true)) & ~PAGE_MASK) >>> 0;
      if (this.cache.isCodePage(host)) return host;
    }
    // The host takes back write permissions of a page that becomes code.
    return this.host.fetch(linear);
  }

  private tlbEntry(linear: bigint): number {
    const bank = this.view.getInt32(State.TLB_BANK, true);
    return bank + (Number(BigInt.asUintN(32, linear) >> 12n) & (TLB_ENTRIES - 1)) * TLB_ENTRY_SIZE;
  }

  private executes(entry: number, linear: bigint): boolean {
    return this.view.getBigUint64(entry + TLB_EXECUTE, true) === BigInt.asUintN(64, linear & ~0xfffn);
  }

  /** The record of a transfer's target in its own page. */
  private link(record: number): number {
    const { view } = this;
    const page = this.cache.owner(record);
    const next = view.getBigUint64(record + Field.IMMEDIATE, true);
    const target = BigInt.asUintN(64, next + BigInt(view.getInt32(record + Field.DISPLACEMENT, true)));
    if (this.cache.exhausted) {
      view.setBigUint64(State.RIP, target, true);
      this.stop = Stop.ArenaFull;
      return 0;
    }
    if (!page.active) return this.enter(target);
    const found = this.decoder.record(page, Number(BigInt.asUintN(64, target - page.rip)));
    view.setInt32(record + Field.LINK, found, true);
    return found;
  }

  private resolve(record: number): number {
    const { view } = this;
    const page = this.cache.owner(record);
    const offset = view.getUint16(record + Field.OFFSET, true);
    const crossing = view.getInt32(record + Field.DISPLACEMENT, true) === (ResolveKind.Crossing as number);
    if (crossing) {
      const next = this.fetchPage(page.linear + BigInt(PAGE_SIZE));
      if (next >= 0) return this.decoder.crossing(record, page, offset, next);
      view.setBigUint64(State.RIP, this.cache.ripOf(record), true);
      this.stop = Stop.Fault;
      return 0;
    }
    if (!page.active || this.cache.exhausted) return this.enter(this.cache.ripOf(record));
    const found = this.decoder.record(page, offset);
    view.setInt32(record + Field.HANDLER, Pseudo.GoTo, true);
    view.setInt32(record + Field.LINK, found, true);
    return found;
  }

  private instructionOf(record: number): Instruction {
    const page = this.cache.owner(record);
    const instruction = page.instructions[this.view.getInt32(record + Field.LINK, true)];
    if (!instruction) throw new Error(`no instruction belongs to record 0x${record.toString(16)}`);
    return instruction;
  }

  /** #GP becomes #SS when the address that is not canonical was the stack's. */
  private classifyFault(record: number): void {
    if (this.modes.current.codeSize !== 64 || !isNonCanonicalFault(this.view)) return;
    const instruction = this.decoder.instructionAt(record);
    if (instruction) toStackFault(this.view, instruction);
  }

  // Changes from outside

  modeChanged(): void {
    this.modes.update();
  }

  translationChanged(): void {
    // The interpreter looks addresses up in the TLB itself.
    this.translator.translationChanged();
  }

  codeChanged(wasmAddress: number, length: number): void {
    for (let page = (wasmAddress & ~PAGE_MASK) >>> 0; page < wasmAddress + length; page += PAGE_SIZE)
      this.dropHost(page);
  }

  private dropHost(page: number): void {
    this.cache.dropHost(page);
    this.translator.dropPage(page);
  }

  isCodePage(wasmPageAddress: number): boolean {
    return this.cache.isCodePage(wasmPageAddress) || this.translator.hasPage(wasmPageAddress);
  }

  codeWritten(wasmAddress: number, length: number): void {
    const crosses = (wasmAddress & PAGE_MASK) + length > PAGE_SIZE;
    if (this.cache.covers(wasmAddress, length) || this.translator.covers(wasmAddress, length))
      this.dropHost((wasmAddress & ~PAGE_MASK) >>> 0);
    if (crosses) this.codeWritten(((wasmAddress & ~PAGE_MASK) >>> 0) + PAGE_SIZE, (wasmAddress + length) & PAGE_MASK);
  }

  setBreakpoints(linear: ReadonlySet<bigint>): void {
    const next = new Set([...linear].map((address) => BigInt.asUintN(64, address)));
    this.dropChanged(this.breakpoints, next);
    this.breakpoints = next;
  }

  setEntries(linear: ReadonlySet<bigint>, reached: (linear: bigint) => void): void {
    const next = new Set(linear);
    this.dropChanged(this.entries, next);
    this.entries = next;
    this.reached = reached;
  }

  private stopsAt(linear: bigint): boolean {
    return this.breakpoints.has(linear) || this.entries.has(linear);
  }

  /** At a stop: tells that the address is reached, and whether it is a breakpoint. */
  private isBreakpoint(): boolean {
    const linear = this.modes.linear(this.rip);
    if (this.entries.has(linear)) this.reached?.(linear);
    return this.breakpoints.has(linear);
  }

  /** The code at addresses that are in one of the sets only is decoded again. */
  private dropChanged(before: ReadonlySet<bigint>, next: ReadonlySet<bigint>): void {
    const changed = new Set<bigint>();
    for (const address of next) if (!before.has(address)) changed.add(address & ~0xfffn);
    for (const address of before) if (!next.has(address)) changed.add(address & ~0xfffn);
    for (const page of changed) {
      this.cache.dropLinear(page);
      this.translator.dropLinear(page);
    }
  }

  private dropAll(): void {
    this.cache.clear();
    this.decoder.clear();
    this.translator.clear();
  }

  decodeAt(bytes: Uint8Array, rip: bigint, codeSize: CodeSize): Instruction | undefined {
    return decode(bytes, 0, bytes.length, rip, codeSize);
  }
}
