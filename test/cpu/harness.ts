import { Cpu, type CpuParts, type CpuRunResult } from '../../emulator/cpu/cpu';
import { processorHelpers } from '../../emulator/cpu/helpers/table';
import { noInterrupts, noVirtualization } from '../../emulator/cpu/processor';
import { Engine } from '../../emulator/engine/engine';
import { EngineExit, type EngineControl } from '../../emulator/engine/host';
import type { Instruction } from '../../emulator/isa/instruction';
import type { InstructionRow } from '../../emulator/isa/row';
import { hostPhysical } from '../../emulator/memory/address';
import { RAM_BASE, Segment, State } from '../../emulator/memory/layout';
import { MachineMemory } from '../../emulator/memory/machine-memory';
import { PhysicalMemory } from '../../emulator/memory/physical';

/** A step of the script: an instruction for a helper, or what an instruction of the engine would do to the processor. */
export type Step = Instruction | ((cpu: Cpu) => void);

/**
 * Stands for the engine: executes a list of steps, one retired instruction each, so that a test says exactly which
 * instruction meets which state. A function that sets State.FAULT is a faulting instruction.
 */
export class ScriptedEngine implements EngineControl {
  instruction!: Instruction;
  script: Step[] = [];
  cpu!: Cpu;
  translatorEnabled = false;
  hotThreshold = 0;
  readonly statistics = {
    interpreted: 0, translated: 0, tracked: 0, regionsCompiled: 0, regionsDropped: 0, recordsDecoded: 0, slowLoads: 0, slowStores: 0,
  }; // prettier-ignore

  attach(): void {}

  run(budget: number): EngineExit {
    const { state } = this.cpu;
    for (let i = 0; i < budget; i++) {
      const step = this.script.shift();
      if (!step) {
        this.cpu.requestStop();
        return EngineExit.Budget;
      }
      if (typeof step !== 'function') {
        this.instruction = { ...step, rip: state.rip, codeSize: this.cpu.codeSize };
        return EngineExit.Helper;
      }
      step(this.cpu);
      if (state.get32(State.FAULT)) return EngineExit.Fault;
      state.rip += 1n;
      state.set64(State.RETIRED, state.get64(State.RETIRED) + 1n);
    }
    return EngineExit.Budget;
  }

  readonly holdsSecret = false;
  tracksAddresses = false;
  setEntries(): void {}

  runTracked(budget: number): EngineExit {
    return this.run(budget);
  }

  modeChanged(): void {}
  translationChanged(): void {}
  codeChanged(): void {}
  isCodePage(): boolean {
    return false;
  }
  codeWritten(): void {}
  setBreakpoints(): void {}
  decodeAt(): Instruction | undefined {
    return undefined;
  }
}

/** An instruction of 2 bytes that a helper executes. */
export function instruction(helper: string, fields: Partial<Instruction> = {}, operands: string[] = []): Instruction {
  const row: InstructionRow = {
    id: 0,
    mnemonic: helper.toUpperCase(),
    notation: '',
    operands,
    helper,
    modes: { legacy: true, long: true },
    longModeSize: 'prefixes',
    lockable: false,
    repeatable: false,
    undefinedFlags: '',
    summary: '',
  };
  return {
    row,
    rip: 0n,
    length: 2,
    codeSize: 64,
    operandSize: 32,
    addressSize: 64,
    mod: 3,
    reg: 0,
    rm: 0,
    isMemory: false,
    base: -1,
    index: -1,
    scale: 0,
    displacement: 0n,
    ripRelative: false,
    segment: 3,
    immediate: 0n,
    immediate2: 0,
    rex: 0,
    lock: false,
    rep: false,
    repne: false,
    ...fields,
  };
}

export const GDT = 0x1000;
export const IDT = 0x2000;
export const TSS = 0x3000;
export const STACK = 0x9000n;
export const INNER_STACK = 0xa000n;
export const IST_STACK = 0xb000n;
export const KERNEL_CODE = 0x08;
export const KERNEL_DATA = 0x10;
export const USER_CODE = 0x1b;
export const USER_DATA = 0x23;
export const TASK = 0x28;
export const HANDLER = 0x10_0000n;
const PML4 = 0x20000;

/** A processor with a scripted engine, 2 MByte of RAM, a GDT, an IDT and a TSS. */
export class Bench {
  readonly memory: MachineMemory;
  readonly physical: PhysicalMemory;
  readonly engine = new ScriptedEngine();
  readonly cpu: Cpu;

  /** `real`: the generated interpreter instead of a script */
  constructor(parts: Partial<CpuParts> = {}, real = false, ramSize = 0x200000) {
    this.memory = new MachineMemory(ramSize);
    this.physical = new PhysicalMemory(this.memory);
    this.cpu = new Cpu({
      index: 0,
      physical: this.physical,
      ports: { read: () => 0xffffffff, write: () => undefined },
      taps: {},
      interrupts: noInterrupts,
      helpers: processorHelpers,
      engine: (host) => (real ? new Engine(this.memory, host) : this.engine),
      virtualization: () => noVirtualization,
      ...parts,
    });
    this.engine.cpu = this.cpu;
    this.cpu.reset();
  }

  /** Code at a physical address, in hexadecimal */
  load(address: number, code: string): void {
    this.memory.u8.set(Buffer.from(code.replaceAll(' ', ''), 'hex'), RAM_BASE + address);
  }

  write64(address: number, value: bigint): void {
    this.physical.write64(hostPhysical(BigInt(address)), value);
  }

  read64(address: bigint): bigint {
    return this.physical.read64(hostPhysical(address));
  }

  read32(address: bigint): number {
    return this.physical.read32(hostPhysical(address));
  }

  run(...script: Step[]): CpuRunResult {
    this.engine.script = script;
    return this.cpu.run(1000);
  }

  /** 64-bit mode at CPL 0, identity-mapped by 2-MByte page 0 as a user page; every vector has an interrupt gate. */
  longMode(): this {
    this.write64(PML4, BigInt(PML4 + 0x1000) | 7n);
    this.write64(PML4 + 0x1000, BigInt(PML4 + 0x2000) | 7n);
    this.write64(PML4 + 0x2000, 0x87n);
    const flat = [0n, 0x00af9a000000ffffn, 0x00cf92000000ffffn, 0x00affa000000ffffn, 0x00cff2000000ffffn];
    flat.forEach((descriptor, i) => this.write64(GDT + i * 8, descriptor));
    this.write64(GDT + TASK, 0x0000_8900_0000_0067n | (BigInt(TSS) << 16n));
    this.write64(GDT + TASK + 8, 0n);
    this.write64(TSS + 4, INNER_STACK);
    this.write64(TSS + 0x24, IST_STACK);
    // The I/O permission bitmap would begin beyond the limit.
    this.memory.view.setUint16(RAM_BASE + TSS + 102, 0x68, true);
    for (let vector = 0; vector < 64; vector++) this.gate64(vector, HANDLER + BigInt(vector * 16));
    const { state } = this.cpu;
    state.cr0 = 0x80010031n;
    state.cr4 = 0x20n;
    state.cr3 = BigInt(PML4);
    state.efer = 0xd01n;
    this.tables(0x37, 64 * 16 - 1);
    state.setSegment(Segment.CS, { selector: KERNEL_CODE, access: 0xa09b, limit: 0xffffffff, base: 0n });
    this.data(KERNEL_DATA, 0xc093);
    state.setSegment(Segment.TR, { selector: TASK, access: 0x8b, limit: 0x67, base: BigInt(TSS) });
    state.setGpr(4, STACK);
    state.rip = 0x8000n;
    this.cpu.contextChanged();
    return this;
  }

  gate64(vector: number, offset: bigint, { ist = 0, rights = 0x8e, selector = KERNEL_CODE } = {}): void {
    const low = (offset & 0xffffn) | (BigInt(selector) << 16n) | (BigInt(ist) << 32n) | (BigInt(rights) << 40n);
    this.write64(IDT + vector * 16, low | (((offset >> 16n) & 0xffffn) << 48n));
    this.write64(IDT + vector * 16 + 8, offset >> 32n);
  }

  /** 32-bit protected mode without paging, CPL 0 */
  protectedMode(): this {
    const flat = [0n, 0x00cf9a000000ffffn, 0x00cf92000000ffffn, 0x00cffa000000ffffn, 0x00cff2000000ffffn];
    flat.forEach((descriptor, i) => this.write64(GDT + i * 8, descriptor));
    this.write64(GDT + TASK, 0x0000_8900_0000_0067n | (BigInt(TSS) << 16n));
    this.physical.write32(hostPhysical(BigInt(TSS + 4)), Number(INNER_STACK));
    this.physical.write32(hostPhysical(BigInt(TSS + 8)), KERNEL_DATA);
    for (let vector = 0; vector < 64; vector++) this.gate32(vector, HANDLER + BigInt(vector * 16));
    const { state } = this.cpu;
    state.cr0 = 0x31n;
    this.tables(0x2f, 64 * 8 - 1);
    state.setSegment(Segment.CS, { selector: KERNEL_CODE, access: 0xc09b, limit: 0xffffffff, base: 0n });
    this.data(KERNEL_DATA, 0xc093);
    state.setSegment(Segment.TR, { selector: TASK, access: 0x8b, limit: 0x67, base: BigInt(TSS) });
    state.setGpr(4, STACK);
    state.rip = 0x8000n;
    this.cpu.contextChanged();
    return this;
  }

  gate32(vector: number, offset: bigint, { rights = 0x8e, selector = KERNEL_CODE } = {}): void {
    const low = (offset & 0xffffn) | (BigInt(selector) << 16n) | (BigInt(rights) << 40n);
    this.write64(IDT + vector * 8, low | (((offset >> 16n) & 0xffffn) << 48n));
  }

  /** The running code becomes user code (CPL 3). */
  userMode(): this {
    const { state } = this.cpu;
    state.setSegment(Segment.CS, {
      selector: USER_CODE,
      access: this.cpu.longMode ? 0xa0fb : 0xc0fb,
      limit: 0xffffffff,
      base: 0n,
    });
    this.data(USER_DATA, 0xc0f3);
    this.cpu.contextChanged();
    return this;
  }

  private data(selector: number, access: number): void {
    for (const segment of [Segment.ES, Segment.SS, Segment.DS])
      this.cpu.state.setSegment(segment, { selector, access, limit: 0xffffffff, base: 0n });
  }

  private tables(gdtLimit: number, idtLimit: number): void {
    const { state } = this.cpu;
    state.set64(State.GDTR, BigInt(GDT));
    state.set32(State.GDTR + 8, gdtLimit);
    state.set64(State.IDTR, BigInt(IDT));
    state.set32(State.IDTR + 8, idtLimit);
  }
}
