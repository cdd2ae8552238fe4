import { allowed0, Entry, Exit, Primary, Secondary } from '../../emulator/arch/controls';
import { Cr0, Cr4, Efer } from '../../emulator/arch/control-registers';
import type { VmcsFieldSymbol } from '../../emulator/arch/vmcs-fields';
import { Cpu } from '../../emulator/cpu/cpu';
import { processorHelpers } from '../../emulator/cpu/helpers/table';
import { ExitTaken, ProcessorFault } from '../../emulator/cpu/fault';
import { noInterrupts, type InterruptSource } from '../../emulator/cpu/processor';
import type { StaleTranslation, Taps, VmEntryFailure, VmEntryRecord, VmExitRecord } from '../../emulator/cpu/taps';
import { Engine } from '../../emulator/engine/engine';
import { EngineExit, type EngineControl } from '../../emulator/engine/host';
import type { Instruction } from '../../emulator/isa/instruction';
import type { ExitRule, InstructionRow } from '../../emulator/isa/row';
import { hostPhysical } from '../../emulator/memory/address';
import { RAM_BASE, Segment } from '../../emulator/memory/layout';
import { MachineMemory } from '../../emulator/memory/machine-memory';
import { TableWatch } from '../../emulator/memory/table-watch';
import { PhysicalMemory } from '../../emulator/memory/physical';
import { createVmx, vmxHelpers, VMCS_REVISION, type Vmx } from '../../emulator/vmx';
import { Slot, type Vmcs } from '../../emulator/vmx/vmcs';

/** Places in RAM */
export const VMXON_REGION = 0x1000n;
export const VMCS_REGION = 0x2000n;
export const OTHER_VMCS = 0x3000n;
export const OPERAND = 0x4000n;
export const MSR_AREA = 0x5000n;
export const BITMAP_A = 0x6000n;
export const BITMAP_B = 0x7000n;
export const PDPT_PAE = 0x8000n;
export const EPT_ROOT = 0x9000n;
export const PML4 = 0xa000n;
const LOW_MEMORY = 0xc000n;
export const PDPT = 0xb000n;

export const HOST_RIP = 0x10_0000n;
export const HOST_RSP = 0x11_0000n;
export const GUEST_RIP = 0x20_0000n;
export const GUEST_RSP = 0x21_0000n;
/** Flags that VMX instructions report in */
export const CF = 1n;
export const ZF = 0x40n;

const RAM = 1 << 20;
const NONE = (1n << 64n) - 1n;
const CODE_64 = 0xa09b;
const DATA = 0xc093;
const BUSY_TSS = 0x8b;
const UNUSABLE = 0x1_0000;

/** An engine without generated code: these tests call helpers and VT-x directly. */
const noEngine = (): EngineControl => ({
  instruction: instruction('NOP', 'nop'),
  attach: () => undefined,
  run: () => EngineExit.Budget,
  runTracked: () => EngineExit.Budget,
  holdsSecret: false,
  tracksAddresses: false,
  setEntries: () => undefined,
  modeChanged: () => undefined,
  translationChanged: () => undefined,
  codeChanged: () => undefined,
  isCodePage: () => false,
  codeWritten: () => undefined,
  setBreakpoints: () => undefined,
  decodeAt: () => undefined,
  translatorEnabled: false,
  hotThreshold: 0,
  statistics: {
    interpreted: 0,
    translated: 0,
    tracked: 0,
    regionsCompiled: 0,
    regionsDropped: 0,
    recordsDecoded: 0,
    slowLoads: 0,
    slowStores: 0,
  },
});

/** A decoded instruction; `more` overrides what differs from a 3-byte register form in 64-bit mode. */
export function instruction(
  mnemonic: string,
  helper: string,
  more: Partial<Instruction> = {},
  exit?: ExitRule,
  operands: readonly string[] = [],
): Instruction {
  const row = { id: 0, mnemonic, notation: '', operands, helper, ...(exit && { exit }) } as unknown as InstructionRow;
  return {
    row,
    rip: 0x1234n,
    length: 3,
    codeSize: 64,
    operandSize: 64,
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
    segment: Segment.DS,
    immediate: 0n,
    immediate2: 0,
    rex: 0,
    lock: false,
    rep: false,
    repne: false,
    ...more,
  };
}

export type HelperOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'exit' }
  | { readonly kind: 'fault'; readonly vector: number; readonly errorCode: number | undefined };

/** A processor in 64-bit mode at CPL 0, identity-mapped, ready for VMXON; with what VT-x reported. */
export class VmxBench {
  readonly physical = new PhysicalMemory(new MachineMemory(RAM));
  readonly failures: VmEntryFailure[] = [];
  readonly exits: VmExitRecord[] = [];
  readonly entries: VmEntryRecord[] = [];
  readonly flushes: string[] = [];
  readonly cpu: Cpu;
  readonly vmx: Vmx;

  /** @param executes with the real engine and all helpers: `cpu.run` executes code */
  /** Strict mode: what was told */
  readonly stale: StaleTranslation[] = [];

  constructor(interrupts: InterruptSource = noInterrupts, executes = false, strict = false) {
    const taps: Taps = {
      vmEntryFailed: (failure) => this.failures.push({ ...failure }),
      vmExit: (record) => this.exits.push({ ...record }),
      vmEntry: (record) => this.entries.push({ ...record }),
      tlbFlush: (scope) => this.flushes.push(scope),
      staleTranslation: (use) => this.stale.push(use),
    };
    const { memory } = this.physical;
    const watch = new TableWatch(
      memory,
      (page) => this.cpu.tlb.withdrawWrite(page),
      () => this.cpu.tlb.withdrawAll(),
    );
    let vmx: Vmx | undefined;
    this.cpu = new Cpu({
      index: 0,
      physical: this.physical,
      ports: { read: () => 0, write: () => undefined },
      taps,
      interrupts,
      helpers: executes ? { ...processorHelpers, ...vmxHelpers } : vmxHelpers,
      engine: executes ? (host) => new Engine(this.physical.memory, host) : noEngine,
      virtualization: (cpu) => (vmx = createVmx(cpu)),
      tableWatch: strict ? watch : undefined,
    });
    if (!vmx) throw new Error('the processor did not make its VT-x');
    this.vmx = vmx;
    this.powerUp();
  }

  private powerUp(): void {
    this.physical.memory.u8.fill(0, RAM_BASE, RAM_BASE + Number(LOW_MEMORY));
    this.cpu.reset();
    this.enterLongMode();
    for (const region of [VMXON_REGION, VMCS_REGION, OTHER_VMCS]) this.write32(region, VMCS_REVISION);
    for (const records of [this.failures, this.exits, this.entries, this.flushes]) records.length = 0;
  }

  get state() {
    return this.cpu.state;
  }

  get vmcs(): Vmcs {
    return this.vmx.core.current();
  }

  write32(address: bigint, value: number): void {
    this.physical.write32(hostPhysical(address), value);
  }

  write64(address: bigint, value: bigint): void {
    this.physical.write64(hostPhysical(address), value);
  }

  read64(address: bigint): bigint {
    return this.physical.read64(hostPhysical(address));
  }

  private enterLongMode(): void {
    const { state } = this;
    this.write64(PML4, PDPT | 7n);
    this.write64(PDPT, 0x87n);
    state.cr3 = PML4;
    state.cr4 = Cr4.PAE | Cr4.VMXE;
    state.efer = Efer.LME | Efer.LMA | Efer.SCE;
    state.cr0 = Cr0.PE | Cr0.NE | Cr0.PG | Cr0.ET;
    state.setSegment(Segment.CS, { selector: 8, access: CODE_64, limit: 0xffff_ffff, base: 0n });
    for (const segment of [Segment.SS, Segment.DS, Segment.ES, Segment.FS, Segment.GS])
      state.setSegment(segment, { selector: 16, access: DATA, limit: 0xffff_ffff, base: 0n });
    state.setSegment(Segment.TR, { selector: 24, access: BUSY_TSS, limit: 0x67, base: 0n });
    state.rip = 0x1234n;
    this.cpu.contextChanged();
  }

  /** Runs a VMX instruction's helper as the run loop would. */
  run(insn: Instruction): HelperOutcome {
    const helper = vmxHelpers[insn.row.helper ?? ''];
    if (!helper) throw new Error(`no helper ${insn.row.helper ?? ''}`);
    this.cpu.nextRip = insn.rip + BigInt(insn.length);
    try {
      helper(this.cpu, insn);
    } catch (error) {
      if (error instanceof ExitTaken) return { kind: 'exit' };
      if (error instanceof ProcessorFault) return { kind: 'fault', vector: error.vector, errorCode: error.errorCode };
      throw error;
    }
    this.state.rip = this.cpu.nextRip;
    return { kind: 'done' };
  }

  simple(mnemonic: string): HelperOutcome {
    return this.run(instruction(mnemonic, mnemonic.toLowerCase(), {}, mnemonic === 'VMCALL' ? 'VMCALL' : 'VMX'));
  }

  /** An instruction with a memory operand at OPERAND, which holds `value`. */
  pointer(mnemonic: string, value: bigint): HelperOutcome {
    this.write64(OPERAND, value);
    const more = { mod: 0, isMemory: true, displacement: OPERAND };
    return this.run(instruction(mnemonic, mnemonic.toLowerCase(), more, 'VMX'));
  }

  /** VMXON, VMCLEAR and VMPTRLD, with a VMCS whose entry succeeds: a 64-bit guest. */
  static ready(interrupts?: InterruptSource, executes?: boolean, strict?: boolean): VmxBench {
    const bench = new VmxBench(interrupts, executes, strict);
    bench.prepareEntry();
    return bench;
  }

  /** As `ready` makes it, without a new machine */
  restart(): void {
    this.powerUp();
    this.prepareEntry();
  }

  private prepareEntry(): void {
    this.pointer('VMXON', VMXON_REGION);
    this.pointer('VMCLEAR', VMCS_REGION);
    this.pointer('VMPTRLD', VMCS_REGION);
    writeValidVmcs(this.vmcs);
  }

  launch(): HelperOutcome {
    return this.simple('VMLAUNCH');
  }

  set(symbol: VmcsFieldSymbol, value: bigint | number): void {
    this.vmcs.set64(Slot[symbol], BigInt.asUintN(64, BigInt(value)));
  }

  get(symbol: VmcsFieldSymbol): bigint {
    return this.vmcs.get64(Slot[symbol]);
  }

  /** Sets bits of a field. */
  or(symbol: VmcsFieldSymbol, bits: bigint | number): void {
    this.set(symbol, this.get(symbol) | BigInt(bits));
  }

  clear(symbol: VmcsFieldSymbol, bits: bigint | number): void {
    this.set(symbol, this.get(symbol) & ~BigInt(bits));
  }
}

/** Control, host and guest state of a 64-bit guest under a 64-bit host: every check holds. */
export function writeValidVmcs(vmcs: Vmcs): void {
  const put = (symbol: VmcsFieldSymbol, value: bigint | number) => vmcs.set64(Slot[symbol], BigInt(value));
  put('PIN_BASED_CONTROLS', allowed0('pin', true));
  put('PRIMARY_PROCESSOR_CONTROLS', allowed0('primary', true));
  put('EXIT_CONTROLS', allowed0('exit', true) | Exit.HOST_ADDRESS_SPACE_SIZE);
  put('ENTRY_CONTROLS', allowed0('entry', true) | Entry.IA32E_MODE_GUEST);
  put('VMCS_LINK_POINTER', NONE);
  writeHostState(put);
  writeGuestState(put);
}

type Put = (symbol: VmcsFieldSymbol, value: bigint | number) => void;

function writeHostState(put: Put): void {
  put('HOST_CR0', Cr0.PE | Cr0.NE | Cr0.PG | Cr0.ET);
  put('HOST_CR3', PML4);
  put('HOST_CR4', Cr4.PAE | Cr4.VMXE);
  put('HOST_CS_SELECTOR', 8);
  put('HOST_TR_SELECTOR', 24);
  for (const name of ['SS', 'DS', 'ES', 'FS', 'GS'] as const) put(`HOST_${name}_SELECTOR`, 16);
  put('HOST_RIP', HOST_RIP);
  put('HOST_RSP', HOST_RSP);
}

function writeGuestState(put: Put): void {
  put('GUEST_CR0', Cr0.PE | Cr0.NE | Cr0.PG | Cr0.ET);
  put('GUEST_CR3', PML4);
  put('GUEST_CR4', Cr4.PAE | Cr4.VMXE);
  put('GUEST_DR7', 0x400);
  put('GUEST_CS_SELECTOR', 8);
  put('GUEST_CS_ACCESS_RIGHTS', CODE_64);
  put('GUEST_CS_LIMIT', 0xffff_ffff);
  for (const name of ['SS', 'DS', 'ES', 'FS', 'GS'] as const) {
    put(`GUEST_${name}_SELECTOR`, 16);
    put(`GUEST_${name}_ACCESS_RIGHTS`, DATA);
    put(`GUEST_${name}_LIMIT`, 0xffff_ffff);
  }
  put('GUEST_LDTR_ACCESS_RIGHTS', UNUSABLE);
  put('GUEST_TR_SELECTOR', 24);
  put('GUEST_TR_ACCESS_RIGHTS', BUSY_TSS);
  put('GUEST_TR_LIMIT', 0x67);
  put('GUEST_GDTR_LIMIT', 0xffff);
  put('GUEST_IDTR_LIMIT', 0xffff);
  put('GUEST_RIP', GUEST_RIP);
  put('GUEST_RSP', GUEST_RSP);
  put('GUEST_RFLAGS', 0x202);
}

/** Makes the guest one without IA-32e mode: 32-bit code; with `pae`, PAE paging. */
export function make32BitGuest(bench: VmxBench, pae = false): void {
  bench.clear('ENTRY_CONTROLS', Entry.IA32E_MODE_GUEST);
  bench.set('GUEST_CR4', Cr4.VMXE | (pae ? Cr4.PAE : 0n));
  bench.set('GUEST_CS_ACCESS_RIGHTS', 0xc09b);
}

/** Secondary controls on, with EPT at EPT_ROOT (WB, 4 levels). */
export function enableEpt(bench: VmxBench, more = 0): void {
  bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.ACTIVATE_SECONDARY_CONTROLS);
  bench.or('SECONDARY_PROCESSOR_CONTROLS', Secondary.ENABLE_EPT | more);
  bench.set('EPT_POINTER', EPT_ROOT | 6n | (3n << 3n));
}

/** The guest in virtual-8086 mode; every check holds. */
export function makeVirtual8086Guest(bench: VmxBench): void {
  make32BitGuest(bench);
  bench.or('GUEST_RFLAGS', 1 << 17);
  for (const name of ['CS', 'SS', 'DS', 'ES', 'FS', 'GS'] as const) {
    bench.set(`GUEST_${name}_SELECTOR`, 0x1000);
    bench.set(`GUEST_${name}_BASE`, 0x1_0000);
    bench.set(`GUEST_${name}_LIMIT`, 0xffff);
    bench.set(`GUEST_${name}_ACCESS_RIGHTS`, 0xf3);
  }
}
