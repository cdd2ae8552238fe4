import { exceptionRow, Vector } from '../arch/exceptions';
import { Access, EngineExit } from '../engine/host';
import type { Instruction } from '../isa/instruction';
import { State } from '../memory/layout';
import { finishInstruction, startInstruction, type InstructionStart } from './boundary';
import type { Cpu } from './cpu';
import { hardwareException } from './event-chain';
import { ExitTaken, ProcessorFault } from './fault';
import { raiseApicAccess, raiseEptFault } from './linear-memory';
import type { HelperTable } from './processor';
import type { SlowPath } from './slow-path';
import { instructionAt, isStackReference } from './stack-reference';
import { eptFaultKind, FaultKind, Privilege, type Translation } from './translation';

/** Rules that are asked about before the helper; see `Processor.intercept`. */
const ASKED_BEFORE = new Set(['VMX', 'VMCALL', 'GETSEC']);
/** Instructions after which no single-step trap follows */
const NO_TRAP = new Set(['int_n', 'int3', 'into', 'int1', 'syscall', 'sysenter']);

/** Lets the engine run, and completes what it hands back: helpers, faults, accesses to devices. */
export class Execution {
  private readonly start: InstructionStart = {
    shadow: 0, trap: false, resume: false, monitorTrap: false, nonRoot: false,
  }; // prettier-ignore

  constructor(
    private readonly cpu: Cpu,
    private readonly helpers: HelperTable,
    private readonly slowPath: SlowPath,
    private readonly translation: Translation,
  ) {}

  /** At most `slice` instructions, or one that a helper executes. */
  execute(slice: number, skipBreakpoint: boolean): EngineExit {
    const { cpu, start } = this;
    const { state, engine } = cpu;
    startInstruction(cpu, start);
    const before = slice === 1 ? cpu.retired : -1;
    const exit = engine.run(slice, skipBreakpoint);
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

  private help(insn: Instruction): void {
    const { cpu, start } = this;
    const { state } = cpu;
    const name = insn.row.helper ?? '';
    const helper = this.helpers[name];
    if (!helper) throw cpu.unsupported(`the instruction ${insn.row.mnemonic} (helper '${name}')`);
    cpu.nextRip = this.ripAfter(insn);
    cpu.exited = false;
    try {
      if (insn.row.exit !== undefined && ASKED_BEFORE.has(insn.row.exit) && cpu.exits(insn)) return;
      helper(cpu, insn);
    } catch (error) {
      this.unwind(error);
      return;
    }
    if (cpu.exited) return;
    state.rip = cpu.nextRip;
    state.set64(State.RETIRED, state.get64(State.RETIRED) + 1n);
    finishInstruction(cpu, start, name === 'iret', NO_TRAP.has(name));
    cpu.deliverInjected();
  }

  /** A byte of code, or -1 when it cannot be fetched; raises nothing. */
  private readonly fetchByte = (linear: bigint): number => {
    const at = this.translation.translate(linear, Access.Execute, Privilege.Current);
    return at < 0 ? -1 : Number(this.translation.load(at, 1));
  };

  private ripAfter(insn: Instruction): bigint {
    const next = insn.rip + BigInt(insn.length);
    return insn.codeSize === 64 ? BigInt.asUintN(64, next) : next & 0xffffffffn;
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
        this.executeOnDevice();
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
        return;
      }
      case FaultKind.ApicAccess:
        raiseApicAccess(
          cpu,
          Number(state.get64(State.FAULT_QUALIFICATION)),
          instructionAt(cpu, this.fetchByte)?.length ?? 0,
        );
        return;
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
  }

  /** Repeats the one instruction whose access was found to reach a device; see SlowPath. */
  private executeOnDevice(): void {
    const { cpu, slowPath, start } = this;
    const { engine } = cpu;
    const before = cpu.retired;
    startInstruction(cpu, start);
    slowPath.deviceAllowed = true;
    const exit = engine.run(1, true);
    slowPath.deviceAllowed = false;
    if (exit === EngineExit.Fault) this.handleFault();
    else if (exit === EngineExit.Helper) this.help(engine.instruction);
    else if (cpu.retired !== before) finishInstruction(cpu, start, false, false);
  }
}
