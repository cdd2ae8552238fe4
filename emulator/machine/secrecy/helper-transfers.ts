import type { Instruction } from '../../isa/instruction';
import { operandKind } from '../../isa/operand';

/**
 * What the instructions that helpers execute do to secrets: one row a helper. Rows of the instruction table that have a
 * meaning need none, except VMREAD and VMWRITE, whose helpers move data that the meaning reaches directly.
 */
export interface HelperTransfer {
  /** General registers whose secrets go into what it writes; RAM that it reads always does when there is an output for it */
  readonly inputs: (insn: Instruction) => readonly number[];
  /** General registers that it writes */
  readonly outputs: (insn: Instruction) => readonly number[];
  /** Arithmetic flags flow into what it writes to RAM or registers (PUSHF). */
  readonly readsFlags: boolean;
  /** What it writes is independent of its inputs ('clean'), or depends on all of them. */
  readonly writes: 'clean' | 'inputs';
  /** The arithmetic flags afterwards */
  readonly flags: 'kept' | 'clean' | 'inputs';
  /** Bits stay at their places: the output's secret bits are those of the input. */
  readonly moves: boolean;
  /** The value leaves by a port. */
  readonly port: boolean;
  /** x87 and SSE registers: loaded from what it reads, or stored */
  readonly extended: 'load' | 'store' | undefined;
  /** A VMCS field is its input or output. */
  readonly vmcs: 'read' | 'write' | undefined;
}

const [A, C, D, B, SP] = [0, 1, 2, 3, 4] as const;
const R11 = 11;
const none = (): readonly number[] => [];
const registers =
  (...numbers: number[]) =>
  () =>
    numbers;

const transfer = (given: Partial<HelperTransfer>): HelperTransfer => ({
  inputs: none,
  outputs: none,
  readsFlags: false,
  writes: 'clean',
  flags: 'kept',
  moves: false,
  port: false,
  extended: undefined,
  vmcs: undefined,
  ...given,
});

/** The general register that operand `position` names; none when it is in memory. */
const operand =
  (position: number) =>
  (insn: Instruction): readonly number[] => {
    const kind = operandKind(insn.row.operands[position] ?? '');
    if (kind === 'G') return [insn.reg];
    return insn.isMemory ? [] : [insn.rm];
  };

/** Writes nothing that a program can compute with, or only what no secret flows into. */
const NOTHING = transfer({});
const overwrites = (...numbers: number[]): HelperTransfer => transfer({ outputs: registers(...numbers) });
const VMX = transfer({ flags: 'clean' });
const DELIVERY = transfer({ readsFlags: true, writes: 'inputs' });

export const HELPER_TRANSFERS: Readonly<Record<string, HelperTransfer>> = {
  // Values that come from nowhere
  cpuid: overwrites(A, B, C, D),
  rdtsc: overwrites(A, D),
  rdtscp: overwrites(A, C, D),
  rdpmc: overwrites(A, D),
  rdmsr: overwrites(A, D),
  xgetbv: overwrites(A, D),
  rdrand: transfer({ outputs: operand(0), flags: 'clean' }),
  rdseed: transfer({ outputs: operand(0), flags: 'clean' }),
  getsec: overwrites(A, B, C),
  // Ports
  in: transfer({ outputs: registers(A), writes: 'inputs' }),
  out: transfer({ inputs: registers(A), port: true }),
  ins: transfer({ writes: 'inputs' }),
  outs: transfer({ port: true }),
  // Flags
  pushf: transfer({ readsFlags: true, writes: 'inputs' }),
  popf: transfer({ flags: 'inputs' }),
  cli: NOTHING,
  sti: NOTHING,
  clac: NOTHING,
  stac: NOTHING,
  // Descriptors, control and debug registers
  mov_from_seg: transfer({ outputs: operand(0) }),
  mov_to_seg: NOTHING,
  push_seg: NOTHING,
  pop_seg: NOTHING,
  load_far_pointer: transfer({ outputs: operand(0), writes: 'inputs' }),
  lar: transfer({ inputs: operand(1), outputs: operand(0), writes: 'inputs', flags: 'inputs' }),
  lsl: transfer({ inputs: operand(1), outputs: operand(0), writes: 'inputs', flags: 'inputs' }),
  verr: transfer({ inputs: operand(0), flags: 'inputs' }),
  verw: transfer({ inputs: operand(0), flags: 'inputs' }),
  lgdt: NOTHING,
  lidt: NOTHING,
  sgdt: NOTHING,
  sidt: NOTHING,
  lldt: NOTHING,
  ltr: NOTHING,
  sldt: transfer({ outputs: operand(0) }),
  str: transfer({ outputs: operand(0) }),
  smsw: transfer({ outputs: operand(0) }),
  lmsw: NOTHING,
  clts: NOTHING,
  mov_from_cr: transfer({ outputs: operand(0) }),
  mov_to_cr: NOTHING,
  mov_from_dr: transfer({ outputs: operand(0) }),
  mov_to_dr: NOTHING,
  wrmsr: NOTHING,
  xsetbv: NOTHING,
  swapgs: NOTHING,
  // Transfers of control
  jmp_far: NOTHING,
  call_far: NOTHING,
  ret_far: NOTHING,
  iret: transfer({ outputs: registers(SP), writes: 'inputs', flags: 'inputs' }),
  int3: DELIVERY,
  int_n: DELIVERY,
  into: DELIVERY,
  int1: DELIVERY,
  ud: DELIVERY,
  syscall: transfer({ readsFlags: true, outputs: registers(C, R11), writes: 'inputs' }),
  sysret: transfer({ inputs: registers(R11), flags: 'inputs' }),
  sysenter: transfer({ outputs: registers(SP) }),
  sysexit: transfer({ inputs: registers(C), outputs: registers(SP), writes: 'inputs' }),
  // Memory
  cmpxchg16b: transfer({ inputs: registers(A, B, C, D), outputs: registers(A, D), writes: 'inputs', flags: 'inputs' }),
  fxsave: transfer({ extended: 'store', writes: 'inputs' }),
  xsave: transfer({ extended: 'store', writes: 'inputs' }),
  xsaveopt: transfer({ extended: 'store', writes: 'inputs' }),
  xsavec: transfer({ extended: 'store', writes: 'inputs' }),
  xsaves: transfer({ extended: 'store', writes: 'inputs' }),
  fxrstor: transfer({ extended: 'load' }),
  xrstor: transfer({ extended: 'load' }),
  xrstors: transfer({ extended: 'load' }),
  // Caches and waiting
  invlpg: NOTHING,
  invpcid: NOTHING,
  wbinvd: NOTHING,
  invd: NOTHING,
  pause: NOTHING,
  hlt: NOTHING,
  monitor: NOTHING,
  mwait: NOTHING,
  // VT-x
  vmread: transfer({ vmcs: 'read', outputs: operand(0), writes: 'inputs', flags: 'clean', moves: true }),
  vmwrite: transfer({ vmcs: 'write', inputs: operand(1), writes: 'inputs', flags: 'clean', moves: true }),
  vmxon: VMX,
  vmxoff: VMX,
  vmclear: VMX,
  vmptrld: VMX,
  vmptrst: VMX,
  vmlaunch: VMX,
  vmresume: VMX,
  invept: VMX,
  invvpid: VMX,
  vmcall: NOTHING,
  vmfunc: NOTHING,
};
