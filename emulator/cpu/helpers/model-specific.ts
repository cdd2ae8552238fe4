import { Cr4 } from '../../arch/control-registers';
import { cpuidLeaf, Leaf1, withTopology } from '../../arch/cpuid';
import { Vector } from '../../arch/exceptions';
import { ApicBase, MiscEnable } from '../../arch/msrs';
import { State } from '../../memory/layout';
import { readMsr, writeMsr } from '../msr';
import { MsrWrite, type Helper, type HelperTable, type Processor } from '../processor';
import { requireDefined, requirePrivilege } from './operands';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const LOW = 0xffffffffn;

const cpuid: Helper = (cpu, insn) => {
  if (cpu.exits(insn)) return;
  const { state } = cpu;
  const number = Number(state.gpr(RAX) & LOW);
  const subleaf = Number(state.gpr(RCX) & LOW);
  const row = withTopology(cpuidLeaf(number, subleaf), subleaf, { id: cpu.index, processors: cpu.processors });
  const { ebx } = row;
  let { ecx, edx } = row;
  if (row.leaf === 1) {
    if (cpu.virtualization.present) ecx |= Leaf1.ECX_VMX;
    if (cpu.saferMode) ecx |= Leaf1.ECX_SMX;
    if (state.cr4 & Cr4.OSXSAVE) ecx |= Leaf1.ECX_OSXSAVE;
    if (state.get64(State.MISC_ENABLE) & MiscEnable.MONITOR) ecx |= Leaf1.ECX_MONITOR;
    if ((state.get64(State.APIC_BASE) & ApicBase.ENABLE) === 0n) edx &= ~Leaf1.EDX_APIC;
  }
  state.setGpr(RAX, BigInt(row.eax >>> 0));
  state.setGpr(RBX, BigInt(ebx >>> 0));
  state.setGpr(RCX, BigInt(ecx >>> 0));
  state.setGpr(RDX, BigInt(edx >>> 0));
};

const rdmsr: Helper = (cpu, insn) => {
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  const index = Number(cpu.state.gpr(RCX) & LOW);
  const value = cpu.virtualization.apic?.readMsr(index) ?? readMsr(cpu, index);
  if (value === undefined) throw cpu.fault(Vector.GP, 0);
  setPair(cpu, value);
};

const wrmsr: Helper = (cpu, insn) => {
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  const { state } = cpu;
  const value = ((state.gpr(RDX) & LOW) << 32n) | (state.gpr(RAX) & LOW);
  const index = Number(state.gpr(RCX) & LOW);
  const virtual = cpu.virtualization.apic?.writeMsr(index, value) ?? MsrWrite.Ordinary;
  if (virtual === MsrWrite.Done) return;
  if (virtual === MsrWrite.Fault || !writeMsr(cpu, index, value)) throw cpu.fault(Vector.GP, 0);
};

/** EDX:EAX; the upper halves of both registers are cleared. */
function setPair(cpu: Processor, value: bigint): void {
  cpu.state.setGpr(RAX, value & LOW);
  cpu.state.setGpr(RDX, (value >> 32n) & LOW);
}

function checkTimeStamp(cpu: Processor): void {
  if (cpu.state.cr4 & Cr4.TSD && cpu.cpl !== 0) throw cpu.fault(Vector.GP, 0);
}

const rdtsc: Helper = (cpu, insn) => {
  checkTimeStamp(cpu);
  if (cpu.exits(insn)) return;
  setPair(cpu, cpu.tsc);
};

const rdtscp: Helper = (cpu, insn) => {
  requireDefined(cpu, insn);
  checkTimeStamp(cpu);
  if (cpu.exits(insn)) return;
  setPair(cpu, cpu.tsc);
  cpu.state.setGpr(RCX, cpu.state.get64(State.TSC_AUX) & LOW);
};

/** No performance counters are announced, so every counter number is invalid (SDM vol. 2, RDPMC). */
const rdpmc: Helper = (cpu, insn) => {
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  throw cpu.fault(Vector.GP, 0);
};

export const modelSpecificHelpers: HelperTable = { cpuid, rdmsr, wrmsr, rdtsc, rdtscp, rdpmc };
