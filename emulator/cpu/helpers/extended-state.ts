import { Cr0, Cr4 } from '../../arch/control-registers';
import { Vector } from '../../arch/exceptions';
import {
  COMPACTED,
  Legacy,
  LEGACY_REGION_SIZE,
  MXCSR_DEFINED,
  StateComponent,
  SUPPORTED_COMPONENTS,
  XSAVE_AREA_SIZE,
  XSAVE_HEADER,
  XSAVE_HEADER_SIZE,
} from '../../arch/extended-state';
import { Access } from '../../engine/host';
import type { Instruction } from '../../isa/instruction';
import { State } from '../../memory/layout';
import { componentsInUse, copyLegacy, initializeComponent, type LegacyPart, legacyParts } from '../extended-state';
import type { Helper, HelperTable, Processor } from '../processor';
import { requireDefined, requirePrivilege } from './operands';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const LOW = 0xffffffffn;
const FXSAVE_ALIGNMENT = 15n;
const XSAVE_ALIGNMENT = 63n;

/** The linear address of the area; #GP(0) when it is not aligned. */
function area(cpu: Processor, insn: Instruction, size: number, alignment: bigint, access: Access): bigint {
  const address = cpu.linear.operandAddress(insn, size, access);
  if (address & alignment) throw cpu.fault(Vector.GP, 0);
  cpu.linear.check(address, size, access);
  return address;
}

function readBytes(cpu: Processor, address: bigint, size: number): DataView {
  const view = new DataView(new ArrayBuffer(size));
  for (let at = 0; at < size; at += 8) view.setBigUint64(at, cpu.linear.read(address + BigInt(at), 8), true);
  return view;
}

function writePart(cpu: Processor, address: bigint, { from, to }: LegacyPart): void {
  for (let at = from; at < to; at += 8)
    cpu.linear.write(address + BigInt(at), 8, cpu.state.get64(State.LEGACY_STATE + at));
}

const saveLegacy = (cpu: Processor, address: bigint, components: bigint): void => {
  for (const part of legacyParts(components, cpu.codeSize === 64)) writePart(cpu, address, part);
};

// --- FXSAVE, FXRSTOR (SDM vol. 2) ---

function requireFxsave(cpu: Processor, insn: Instruction): void {
  if (!insn.isMemory) throw cpu.fault(Vector.UD);
  if (cpu.state.cr0 & (Cr0.EM | Cr0.TS)) throw cpu.fault(Vector.NM);
}

/** MXCSR and its mask: 8 bytes */
const MXCSR_PART: LegacyPart = { from: Legacy.MXCSR, to: Legacy.X87 };

const fxsave: Helper = (cpu, insn) => {
  requireFxsave(cpu, insn);
  const address = area(cpu, insn, LEGACY_REGION_SIZE, FXSAVE_ALIGNMENT, Access.Write);
  saveLegacy(cpu, address, SUPPORTED_COMPONENTS);
  writePart(cpu, address, MXCSR_PART);
};

const fxrstor: Helper = (cpu, insn) => {
  requireFxsave(cpu, insn);
  const address = area(cpu, insn, LEGACY_REGION_SIZE, FXSAVE_ALIGNMENT, Access.Read);
  const bytes = readBytes(cpu, address, LEGACY_REGION_SIZE);
  loadMxcsr(cpu, bytes);
  copyLegacy(cpu.state, bytes, SUPPORTED_COMPONENTS, cpu.codeSize === 64);
};

/** #GP(0), with nothing changed, when a reserved bit is set. */
function loadMxcsr(cpu: Processor, bytes: DataView): void {
  const mxcsr = bytes.getUint32(Legacy.MXCSR, true);
  if (mxcsr & ~MXCSR_DEFINED) throw cpu.fault(Vector.GP, 0);
  cpu.state.set32(State.LEGACY_STATE + Legacy.MXCSR, mxcsr);
}

// --- The XSAVE feature set (SDM vol. 1, 13.7 to 13.12) ---

function requireXsave(cpu: Processor, insn: Instruction): void {
  if (!insn.isMemory || !(cpu.state.cr4 & Cr4.OSXSAVE)) throw cpu.fault(Vector.UD);
  if (cpu.state.cr0 & Cr0.TS) throw cpu.fault(Vector.NM);
}

/** EDX:EAX and XCR0: the requested-feature bitmap */
const requested = ({ state }: Processor): bigint =>
  (((state.gpr(RDX) & LOW) << 32n) | (state.gpr(RAX) & LOW)) & state.get64(State.XCR0);

/** XSAVE writes every requested component; XSAVEOPT leaves out those in their initial configuration. */
const xsave =
  (optimized: boolean): Helper =>
  (cpu, insn) => {
    requireXsave(cpu, insn);
    const address = area(cpu, insn, XSAVE_AREA_SIZE, XSAVE_ALIGNMENT, Access.Write);
    const components = requested(cpu);
    const inUse = componentsInUse(cpu.state);
    const before = cpu.linear.read(address + BigInt(XSAVE_HEADER), 8);
    saveLegacy(cpu, address, optimized ? components & inUse : components);
    if (components & StateComponent.SSE) writePart(cpu, address, MXCSR_PART);
    cpu.linear.write(address + BigInt(XSAVE_HEADER), 8, (before & ~components) | (inUse & components));
  };

/** XSAVEC and XSAVES: the compacted form; MXCSR belongs to the SSE component. */
function saveCompacted(cpu: Processor, insn: Instruction): void {
  const address = area(cpu, insn, XSAVE_AREA_SIZE, XSAVE_ALIGNMENT, Access.Write);
  const components = requested(cpu);
  const saved = components & componentsInUse(cpu.state, true);
  saveLegacy(cpu, address, saved);
  if (saved & StateComponent.SSE) writePart(cpu, address, MXCSR_PART);
  cpu.linear.write(address + BigInt(XSAVE_HEADER), 8, saved);
  cpu.linear.write(address + BigInt(XSAVE_HEADER + 8), 8, components | COMPACTED);
}

const xsavec: Helper = (cpu, insn) => {
  requireXsave(cpu, insn);
  saveCompacted(cpu, insn);
};

/** IA32_XSS is always 0 here: no component is of the supervisor's. */
const xsaves: Helper = (cpu, insn) => {
  if (!insn.isMemory) throw cpu.fault(Vector.UD);
  requireDefined(cpu, insn);
  requireXsave(cpu, insn);
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  saveCompacted(cpu, insn);
};

const headerWord = (bytes: DataView, at: number): bigint => bytes.getBigUint64(XSAVE_HEADER + at, true);

/** The header's checks of both forms (SDM vol. 1, 13.8 and 13.12); `reserved` is where bytes that must be 0 begin. */
function checkHeader(cpu: Processor, bytes: DataView, reserved: number): void {
  for (let at = reserved; at < XSAVE_HEADER_SIZE; at += 8)
    if (headerWord(bytes, at) !== 0n) throw cpu.fault(Vector.GP, 0);
}

function restoreComponents(cpu: Processor, bytes: DataView, present: bigint): void {
  const components = requested(cpu);
  copyLegacy(cpu.state, bytes, components & present, cpu.codeSize === 64);
  for (const component of Object.values(StateComponent))
    if (components & component & ~present) initializeComponent(cpu.state, component, cpu.codeSize === 64);
}

function restoreStandard(cpu: Processor, bytes: DataView): void {
  const present = headerWord(bytes, 0);
  if (present & ~cpu.state.get64(State.XCR0)) throw cpu.fault(Vector.GP, 0);
  checkHeader(cpu, bytes, 8);
  if (requested(cpu) & StateComponent.SSE) loadMxcsr(cpu, bytes);
  restoreComponents(cpu, bytes, present);
}

function restoreCompacted(cpu: Processor, bytes: DataView): void {
  const present = headerWord(bytes, 0);
  const format = headerWord(bytes, 8);
  if (format & ~COMPACTED & ~cpu.state.get64(State.XCR0) || present & ~format) throw cpu.fault(Vector.GP, 0);
  checkHeader(cpu, bytes, 16);
  if (requested(cpu) & present & StateComponent.SSE) loadMxcsr(cpu, bytes);
  restoreComponents(cpu, bytes, present);
  if (requested(cpu) & ~present & StateComponent.SSE) initializeComponent(cpu.state, StateComponent.SSE, false, true);
}

const xrstor: Helper = (cpu, insn) => {
  requireXsave(cpu, insn);
  const address = area(cpu, insn, XSAVE_AREA_SIZE, XSAVE_ALIGNMENT, Access.Read);
  const bytes = readBytes(cpu, address, XSAVE_AREA_SIZE);
  if (headerWord(bytes, 8) & COMPACTED) restoreCompacted(cpu, bytes);
  else restoreStandard(cpu, bytes);
};

const xrstors: Helper = (cpu, insn) => {
  if (!insn.isMemory) throw cpu.fault(Vector.UD);
  requireDefined(cpu, insn);
  requireXsave(cpu, insn);
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  const address = area(cpu, insn, XSAVE_AREA_SIZE, XSAVE_ALIGNMENT, Access.Read);
  const bytes = readBytes(cpu, address, XSAVE_AREA_SIZE);
  if (!(headerWord(bytes, 8) & COMPACTED)) throw cpu.fault(Vector.GP, 0);
  restoreCompacted(cpu, bytes);
};

/** ECX 1 reads which components of XCR0 are in use (SDM vol. 1, 13.2). */
const xgetbv: Helper = (cpu) => {
  const { state } = cpu;
  if (!(state.cr4 & Cr4.OSXSAVE)) throw cpu.fault(Vector.UD);
  const index = state.gpr(RCX) & LOW;
  if (index > 1n) throw cpu.fault(Vector.GP, 0);
  const xcr0 = state.get64(State.XCR0);
  const value = index === 0n ? xcr0 : xcr0 & componentsInUse(state);
  state.setGpr(RAX, value & LOW);
  state.setGpr(RDX, value >> 32n);
};

const xsetbv: Helper = (cpu, insn) => {
  const { state } = cpu;
  if (!(state.cr4 & Cr4.OSXSAVE)) throw cpu.fault(Vector.UD);
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  const value = ((state.gpr(RDX) & LOW) << 32n) | (state.gpr(RAX) & LOW);
  const legal = (state.gpr(RCX) & LOW) === 0n && (value & StateComponent.X87) !== 0n;
  if (!legal || value & ~SUPPORTED_COMPONENTS) throw cpu.fault(Vector.GP, 0);
  state.set64(State.XCR0, value);
};

export const extendedStateHelpers: HelperTable = {
  fxsave,
  fxrstor,
  xsave: xsave(false),
  xsaveopt: xsave(true),
  xsavec,
  xsaves,
  xrstor,
  xrstors,
  xgetbv,
  xsetbv,
};
