import { Msr } from '../../arch/msrs';
import { GPR_NAMES } from '../../arch/registers';
import type { Instruction } from '../../isa/instruction';
import type { Context } from '../../machine/api';

/** Registers that instructions without a meaning write whenever they retire (SDM vol. 2), by their helper */
const ALWAYS: Readonly<Record<string, readonly string[]>> = {
  cpuid: ['rax', 'rbx', 'rcx', 'rdx'],
  rdtsc: ['rax', 'rdx'],
  rdtscp: ['rax', 'rcx', 'rdx'],
  rdmsr: ['rax', 'rdx'],
  rdpmc: ['rax', 'rdx'],
  xgetbv: ['rax', 'rdx'],
  in: ['rax'],
  clts: ['cr0'],
  lmsw: ['cr0'],
  lgdt: ['gdtr.base', 'gdtr.limit'],
  lidt: ['idtr.base', 'idtr.limit'],
  swapgs: ['gs.base', 'kernel_gs_base'],
  syscall: ['rcx', 'r11', 'rip', 'cs', 'ss'],
  sysret: ['rip', 'cs', 'ss'],
  sysenter: ['rip', 'rsp', 'cs', 'ss'],
  sysexit: ['rip', 'rsp', 'cs', 'ss'],
  call_far: ['rsp', 'cs'],
  ret_far: ['rsp', 'cs'],
  iret: ['rsp', 'cs', 'rflags'],
  int_n: ['rsp', 'cs'],
  int3: ['rsp', 'cs'],
  pushf: ['rsp'],
  popf: ['rsp', 'rflags'],
  push_seg: ['rsp'],
  pop_seg: ['rsp'],
  ins: ['rdi'],
  outs: ['rsi'],
};
/** Those that write a register operand named by ModRM.rm, and by ModRM.reg */
const TO_RM = new Set(['mov_from_cr', 'mov_from_dr', 'mov_from_seg', 'smsw', 'sldt', 'str']);
const TO_REG = new Set(['load_far_pointer']);
/** The register that an MSR is */
const MSR_REGISTERS: ReadonlyMap<number, string> = new Map([
  [Msr.IA32_EFER, 'efer'],
  [Msr.IA32_STAR, 'star'],
  [Msr.IA32_LSTAR, 'lstar'],
  [Msr.IA32_CSTAR, 'cstar'],
  [Msr.IA32_FMASK, 'fmask'],
  [Msr.IA32_FS_BASE, 'fs.base'],
  [Msr.IA32_GS_BASE, 'gs.base'],
  [Msr.IA32_KERNEL_GS_BASE, 'kernel_gs_base'],
  [Msr.IA32_SYSENTER_CS, 'sysenter_cs'],
  [Msr.IA32_SYSENTER_ESP, 'sysenter_esp'],
  [Msr.IA32_SYSENTER_EIP, 'sysenter_eip'],
  [Msr.IA32_PAT, 'pat'],
  [Msr.IA32_APIC_BASE, 'apic_base'],
]);

/** Whether an instruction of a helper writes a register when it retires, whatever the register holds. */
export function implicitWrites(instruction: Instruction, name: string, context: Context): boolean {
  const { helper } = instruction.row;
  if (helper === undefined) return false;
  if (ALWAYS[helper]?.includes(name)) return true;
  const gpr = GPR_NAMES.findIndex((upper) => upper.toLowerCase() === name);
  if (TO_RM.has(helper)) return !instruction.isMemory && gpr >= 0 && instruction.rm === gpr;
  if (TO_REG.has(helper)) return instruction.reg === gpr;
  if (helper === 'mov_to_cr') return name === `cr${instruction.reg}`;
  if (helper === 'mov_to_dr') return name === `dr${instruction.reg}`;
  if (helper === 'wrmsr') {
    const index = Number(BigInt.asUintN(32, context.registers.read('rcx') ?? 0n));
    return MSR_REGISTERS.get(index) === name;
  }
  return false;
}
