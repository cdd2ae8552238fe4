import { exceptionRow, Vector } from '../arch/exceptions';
import { Access, EngineExit } from '../engine/host';
import type { Instruction } from '../isa/instruction';
import type { InstructionRow } from '../isa/row';
import { State } from '../memory/layout';
import { finishInstruction, startInstruction, startPlainInstruction, type InstructionStart } from './boundary';
import type { Cpu } from './cpu';
import { hardwareException } from './event-chain';
import { ExitTaken, ProcessorFault } from './fault';
import { raiseApicAccess, raiseEptFault } from './linear-memory';
import type { Helper, HelperTable } from './processor';
import type { SlowPath } from './slow-path';
import { instructionAt, isStackReference } from './stack-reference';
import { eptFaultKind, FaultKind, Privilege, type Translation } from './translation';

/** Rules that are asked about before the helper; see `Processor.intercept`. */
const ASKED_BEFORE = new Set(['VMX', 'VMCALL', 'GETSEC']);
/** Instructions after which no single-step trap follows */
const NO_TRAP = new Set(['int_n', 'int3', 'into', 'int1', 'syscall', 'sysenter']);

/** What the table of helpers says of a row; looked up once. */
interface HelperRow {
  readonly row: InstructionRow;
  readonly helper: Helper;
  readonly askedBefore: boolean;
  /** It loads RF itself. */
  readonly keepsResume: boolean;
  readonly suppressesTrap: boolean;
}

/** Lets the engine run, and completes what it hands back: helpers, faults, accesses to devices. */
export class Execution {
  private readonly start: InstructionStart = {
    shadow: 0, trap: false, resume: false, monitorTrap: false, nonRoot: false,
  }; // prettier-ignore

  private readonly rows: HelperRow[] = [];

  constructor(
    private readonly cpu: Cpu,
    private readonly helpers: HelperTable,
    private readonly slowPath: SlowPath,
    private readonly translation: Translation,
  ) {}

  /** At most `slice` instructions, or one that a helper executes. `alone`: one, after which something may have to be done. */
  execute(slice: number, skipBreakpoint: boolean, alone: boolean, nonRoot: boolean): EngineExit {
    const { cpu, start } = this;
    const { state, engine } = cpu;
    if (alone) startInstruction(cpu, start);
    else startPlainInstruction(start, nonRoot);
    const before = alone ? cpu.retired : -1;
    const exit = this.runEngine(slice, skipBreakpoint);
    switch (exit) {
      case EngineExit.Budget:
        if (before >= 0 && cpu.retired !== before) finishInstruction(cpu, start, false, false);
        break;
      case EngineExit.Helper:
        // Within a longer slice nothing that `start` records can have changed: only helpers change it.
        this.help(engine.instruction);
        break;
      case EngineExit.Fault:
        this.handleFault();
        break;
      case EngineExit.Breakpoint:
        break;
    }
    state.set32(State.FAULT, 0);
    return exit;
  }

  /**
   * In a stretch of more than one instruction nobody knows which one accesses watched bytes. Secrets in registers are moved
   * along; in code that holds none, instructions run as ever.
   */
  private runEngine(slice: number, skipBreakpoint: boolean): EngineExit {
    const { memory } = this.cpu.physical;
    const { accessWatch } = memory;
    if (slice === 1 || (!accessWatch && !memory.exacting)) return this.runFollowing(slice, skipBreakpoint);
    memory.exact = false;
    if (accessWatch) accessWatch.exact = false;
    const exit = this.runFollowing(slice, skipBreakpoint);
    if (accessWatch) accessWatch.exact = true;
    memory.exact = true;
    return exit;
  }

  private runFollowing(slice: number, skipBreakpoint: boolean): EngineExit {
    const { engine } = this.cpu;
    const { secrecy } = this.translation;
    return secrecy?.follows ? secrecy.track(engine, slice, skipBreakpoint) : engine.run(slice, skipBreakpoint);
  }

  private help(insn: Instruction): void {
    const { secrecy } = this.translation;
    if (!secrecy) return this.helpPlainly(insn);
    secrecy.helperBegins(insn);
    this.helpPlainly(insn);
    secrecy.helperEnded();
  }

  private helpPlainly(insn: Instruction): void {
    const { cpu, start } = this;
    const { state } = cpu;
    const row = this.helperOf(insn.row);
    cpu.exited = false;
    try {
      if (row.askedBefore && cpu.exits(insn)) {
        cpu.countEvent();
        return;
      }
      this.prepareNextRip(insn);
      row.helper(cpu, insn);
    } catch (error) {
      this.unwind(error);
      cpu.countEvent();
      return;
    }
    if (cpu.exited) {
      cpu.countEvent();
      return;
    }
    state.copy64(State.RIP, State.NEXT_RIP);
    state.increment64(State.RETIRED);
    finishInstruction(cpu, start, row.keepsResume, row.suppressesTrap);
    cpu.deliverInjected();
  }

  private helperOf(row: InstructionRow): HelperRow {
    const known = this.rows[row.id];
    return known?.row === row ? known : (this.rows[row.id] = this.lookUp(row));
  }

  private lookUp(row: InstructionRow): HelperRow {
    const name = row.helper ?? '';
    const helper = this.helpers[name];
    if (!helper) throw this.cpu.unsupported(`the instruction ${row.mnemonic} (helper '${name}')`);
    const askedBefore = row.exit !== undefined && ASKED_BEFORE.has(row.exit);
    return { row, helper, askedBefore, keepsResume: name === 'iret', suppressesTrap: NO_TRAP.has(name) };
  }

  /** A byte of code, or -1 when it cannot be fetched; raises nothing. */
  private readonly fetchByte = (linear: bigint): number => {
    const at = this.translation.translate(linear, Access.Execute, Privilege.Current);
    return at < 0 ? -1 : Number(this.translation.load(at, 1));
  };

  /** State.RIP is the instruction's. */
  private prepareNextRip(insn: Instruction): void {
    const { state } = this.cpu;
    const low = state.get32(State.RIP) + insn.length;
    const high = insn.codeSize === 64 ? state.get32(State.RIP + 4) + (low > 0xffffffff ? 1 : 0) : 0;
    state.set32(State.NEXT_RIP, low);
    state.set32(State.NEXT_RIP + 4, high);
  }

  /** What a helper or a delivery threw: an exception is delivered, a VM exit needs nothing more. */
  private unwind(error: unknown): void {
    if (error instanceof ExitTaken) return;
    if (!(error instanceof ProcessorFault)) throw error;
    const { vector, errorCode, payload } = error;
    this.cpu.deliver(hardwareException(vector, errorCode, payload));
  }

  private handleFault(): void {
    const { cpu } = this;
    const { state } = cpu;
    state.set32(State.FAULT, 0);
    const kind: FaultKind = state.get32(State.FAULT_KIND);
    switch (kind) {
      case FaultKind.Device:
        this.executeAlone('deviceAllowed');
        return;
      case FaultKind.StaleTranslation:
        this.executeAlone('staleAllowed');
        return;
      case FaultKind.Watched:
        this.executeAlone(undefined);
        return;
      case FaultKind.Secret:
        this.executeTracked();
        return;
      case FaultKind.EptViolation:
      case FaultKind.EptMisconfiguration:
      case FaultKind.LogFull: {
        const raised = raiseEptFault(cpu, {
          kind: eptFaultKind(kind),
          convertible: state.get32(State.FAULT_ERROR) !== 0,
          guestPhysical: state.get64(State.FAULT_PHYSICAL),
          linear: state.get64(State.FAULT_LINEAR),
          qualification: state.get64(State.FAULT_QUALIFICATION),
        });
        this.unwind(raised);
        break;
      }
      case FaultKind.ApicAccess:
        raiseApicAccess(
          cpu,
          Number(state.get64(State.FAULT_QUALIFICATION)),
          instructionAt(cpu, this.fetchByte)?.length ?? 0,
        );
        break;
      case FaultKind.FetchOutsideRam: {
        const physical = state.get64(State.FAULT_PHYSICAL).toString(16);
        throw cpu.unsupported(`fetching an instruction outside RAM, at physical address 0x${physical}`);
      }
      default: {
        let vector = state.get32(State.FAULT_VECTOR);
        const linear = state.get64(State.FAULT_LINEAR);
        // Not every fault is one of an access: the next one must not find this address.
        state.set64(State.FAULT_LINEAR, 0n);
        if (vector === Number(Vector.GP) && isStackReference(cpu, linear, this.fetchByte)) vector = Vector.SS;
        const errorCode = exceptionRow(vector)?.errorCode ? state.get32(State.FAULT_ERROR) : undefined;
        const payload = vector === Number(Vector.PF) ? linear : 0n;
        this.cpu.deliver(hardwareException(vector, errorCode, payload));
      }
    }
    cpu.countEvent();
  }

  /** Repeats the one instruction whose access was refused for the time being; see SlowPath. */
  private executeAlone(allowed: 'deviceAllowed' | 'staleAllowed' | undefined): void {
    const { cpu, slowPath, start } = this;
    const before = cpu.retired;
    startInstruction(cpu, start);
    if (allowed) slowPath[allowed] = true;
    const exit = this.runEngine(1, true);
    // Still allowed: the instruction may have met the other reason as well.
    if (exit === EngineExit.Fault) this.handleFault();
    if (allowed) slowPath[allowed] = false;
    if (exit === EngineExit.Fault) return;
    if (exit === EngineExit.Helper) this.help(cpu.engine.instruction);
    else if (cpu.retired !== before) finishInstruction(cpu, start, false, false);
  }

  /** Repeats the one instruction whose access met a secret: it now carries it on. */
  private executeTracked(): void {
    const { cpu, start } = this;
    const { secrecy } = this.translation;
    if (!secrecy) throw new Error('an access was refused for secrecy, which nobody tracks');
    const before = cpu.retired;
    startInstruction(cpu, start);
    const exit = secrecy.track(cpu.engine, 1, true);
    if (exit === EngineExit.Fault) this.handleFault();
    else if (exit === EngineExit.Helper) this.help(cpu.engine.instruction);
    else if (cpu.retired !== before) finishInstruction(cpu, start, false, false);
  }
}
