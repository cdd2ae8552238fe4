import { GPR_NAMES, SEGMENT_NAMES } from '../arch/registers';
import type { CpuState } from '../cpu/state';
import { State } from '../memory/layout';
import type { Registers } from './api';

/** One register by name: where it lies in the state block, or how it is made from it. */
interface RegisterRow {
  readonly name: string;
  read(state: CpuState): bigint;
  /** Absent: shown only */
  write?(state: CpuState, value: bigint): void;
}

const qword = (name: string, offset: number): RegisterRow => ({
  name,
  read: (state) => state.get64(offset),
  write: (state, value) => state.set64(offset, value),
});

const dword = (name: string, offset: number): RegisterRow => ({
  name,
  read: (state) => BigInt(state.get32(offset)),
  write: (state, value) => state.set32(offset, Number(BigInt.asUintN(32, value))),
});

const segmentRows = SEGMENT_NAMES.flatMap((upper, index) => {
  const name = upper.toLowerCase();
  const at = State.SEGMENTS + index * 32;
  const selector: RegisterRow = {
    name,
    read: (state) => BigInt(state.get32(at) & 0xffff),
    write: (state, value) => state.set32(at, Number(value & 0xffffn)),
  };
  return [selector, qword(`${name}.base`, at + 16), dword(`${name}.limit`, at + 8), dword(`${name}.access`, at + 4)];
});

/** In the order in which views show them */
const ROWS: readonly RegisterRow[] = [
  ...GPR_NAMES.map((name, index) => qword(name.toLowerCase(), State.GPR + index * 8)),
  qword('rip', State.RIP),
  {
    name: 'rflags',
    read: (state) => state.rflags,
    write: (state, value) => {
      state.rflags = value;
    },
  },
  ...segmentRows,
  qword('gdtr.base', State.GDTR),
  dword('gdtr.limit', State.GDTR + 8),
  qword('idtr.base', State.IDTR),
  dword('idtr.limit', State.IDTR + 8),
  qword('cr0', State.CR0),
  qword('cr2', State.CR2),
  qword('cr3', State.CR3),
  qword('cr4', State.CR4),
  qword('efer', State.EFER),
  qword('xcr0', State.XCR0),
  ...['dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7'].map((name, index) => qword(name, State.DR + index * 8)),
  qword('star', State.STAR),
  qword('lstar', State.LSTAR),
  qword('cstar', State.CSTAR),
  qword('fmask', State.FMASK),
  qword('kernel_gs_base', State.KERNEL_GS_BASE),
  qword('sysenter_cs', State.SYSENTER_CS),
  qword('sysenter_esp', State.SYSENTER_ESP),
  qword('sysenter_eip', State.SYSENTER_EIP),
  qword('pat', State.PAT),
  qword('apic_base', State.APIC_BASE),
  // VMX operation keeps more than these numbers: they change by VMX instructions only. All ones = none.
  { name: 'vmxon_pointer', read: (state) => state.get64(State.VMXON_POINTER) },
  { name: 'current_vmcs', read: (state) => state.get64(State.CURRENT_VMCS) },
];

const NAMES = ROWS.map((row) => row.name);
const BY_NAME = new Map(ROWS.map((row) => [row.name, row]));

/** False: no such register, or it cannot be written. Nobody is told. */
export function writeRegister(state: CpuState, name: string, value: bigint): boolean {
  const row = BY_NAME.get(name);
  row?.write?.(state, value);
  return row?.write !== undefined;
}

/** What is to be told of a write to a register, by its name */
export interface RegisterWrites {
  /** Before it takes effect */
  writing(name: string, value: bigint): void;
  written(name: string): void;
}

/**
 * Registers of a context.
 * @param state the running state block, or the copy that was kept when the context was left
 * @param writes undefined when these cannot be written now
 */
export function registersOf(state: () => CpuState, writes: () => RegisterWrites | undefined): Registers {
  return {
    names: () => NAMES,
    read: (name) => BY_NAME.get(name)?.read(state()),
    write: (name, value) => {
      const row = BY_NAME.get(name);
      const told = writes();
      if (!row?.write || !told) return false;
      told.writing(name, value);
      row.write(state(), value);
      told.written(name);
      return true;
    },
  };
}
