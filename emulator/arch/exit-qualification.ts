import { EptViolation, eptPermissions } from './ept-bits';
import { exceptionRow, describePageFault, Vector } from './exceptions';
import { exitReasonSymbol, type ExitReasonSymbol } from './exit-reasons';
import { describeInterruption, interruptionVector } from './interruption';
import { gprName } from './registers';
import { APIC_OFFSET_NAMES } from './x2apic-msrs';

/** What of the VM-exit information, besides the qualification, makes the words better. All optional. */
export interface QualificationContext {
  readonly guestPhysical?: bigint;
  readonly guestLinear?: bigint;
  readonly interruptionInformation?: number;
  readonly interruptionErrorCode?: number;
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
const bits = (value: bigint, high: number, low: number): number =>
  Number((value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n));

/**
 * The exit qualification in words (SDM vol. 3, 28.2.1), for example "write to 0x5000: not present; linear address
 * 0x401000", "OUT 0x3f8, 1 byte, immediate", "MOV to CR3 from RAX". Empty when the reason has no qualification.
 * @param reason exit-reason field or basic reason
 */
export function describeQualification(reason: number, qualification: bigint, extra: QualificationContext = {}): string {
  return qualificationRow(reason)?.words?.(qualification, extra) ?? '';
}

type Description = (qualification: bigint, extra: QualificationContext) => string;

const ENTRY_FAILURES: Readonly<Record<number, string>> = {
  2: 'a PDPTE is not valid',
  3: 'NMI injection while events are blocked by STI',
  4: 'the VMCS link pointer is not valid',
};

const APIC_ACCESSES: Readonly<Record<number, string>> = {
  0: 'read',
  1: 'write',
  2: 'fetch',
  3: 'during event delivery',
  10: 'guest-physical access during event delivery',
  15: 'guest-physical access',
};
const FIRST_PHYSICAL_ACCESS = 10;

/** `format`: the fields of the qualification; `words`, absent where no such VM exit occurs here: one value in words */
interface QualificationRow {
  readonly format: string;
  readonly words?: Description;
}

const MEMORY_OPERAND: QualificationRow = {
  format: 'displacement of the memory operand, sign-extended; 0 without one',
  words: (q) => `displacement ${hex(q)}`,
};
const IO_FORMAT =
  '2:0 size minus 1; 3 direction (1 = IN); 4 string instruction; 5 REP; 6 operand encoding (1 = immediate); 31:16 port';
const VECTOR_FORMAT = '7:0 vector';
const UNBLOCKING = '12 NMI unblocking due to IRET';

const QUALIFICATIONS: Partial<Record<ExitReasonSymbol, QualificationRow>> = {
  EXCEPTION_OR_NMI: {
    format:
      'page fault: linear address; debug exception: 3:0 breakpoint conditions met, 13 access to a debug register, 14 single step; otherwise 0. The vector is in the VM-exit interruption information',
    words: exception,
  },
  EXTERNAL_INTERRUPT: {
    format: 'none; with "acknowledge interrupt on exit" the vector is in the VM-exit interruption information',
    words: (_q, extra) => (extra.interruptionInformation ? describeInterruption(extra.interruptionInformation) : ''),
  },
  SIPI: { format: VECTOR_FORMAT, words: (q) => `vector ${hex(q & 0xffn)}` },
  IO_SMI: { format: IO_FORMAT },
  TASK_SWITCH: {
    format: '15:0 TSS selector; 31:30 source: 0 CALL, 1 IRET, 2 JMP, 3 task gate in the IDT',
    words: taskSwitch,
  },
  INVLPG: { format: 'linear address', words: (q) => `linear address ${hex(q)}` },
  CR_ACCESS: {
    format:
      '3:0 control register; 5:4 access: 0 MOV to CR, 1 MOV from CR, 2 CLTS, 3 LMSW; 6 LMSW operand (1 = memory); 11:8 general-purpose register; 31:16 LMSW source data',
    words: controlRegister,
  },
  MOV_DR: {
    format: '2:0 debug register; 4 direction (1 = MOV from DR); 11:8 general-purpose register',
    words: debugRegister,
  },
  IO_INSTRUCTION: { format: IO_FORMAT, words: inputOutput },
  ENTRY_FAILURE_GUEST_STATE: {
    format: `0, or: ${Object.entries(ENTRY_FAILURES)
      .map(([number, what]) => `${number} ${what}`)
      .join('; ')}`,
    words: (q) => ENTRY_FAILURES[Number(q)] ?? '',
  },
  ENTRY_FAILURE_MSR_LOADING: {
    format: 'number of the entry of the VM-entry MSR-load area, from 1',
    words: (q) => `entry ${q} of the VM-entry MSR-load area`,
  },
  MWAIT: {
    format: '0 address-range monitoring armed',
    words: (q) => (q & 1n ? 'address range armed' : 'address range not armed'),
  },
  APIC_ACCESS: {
    format: `11:0 offset in the APIC-access page, of linear accesses; 15:12 access type: ${Object.entries(APIC_ACCESSES)
      .map(([number, what]) => `${number} ${what}`)
      .join(', ')}`,
    words: apicAccess,
  },
  VIRTUALIZED_EOI: { format: VECTOR_FORMAT, words: (q) => `vector ${hex(q & 0xffn)}` },
  APIC_WRITE: { format: '11:0 offset in the virtual-APIC page', words: (q) => apicRegister(bits(q, 11, 0)) },
  EPT_VIOLATION: {
    format: `0 read; 1 write; 2 fetch; 5:3 what the EPT entries allow (read, write, execute); 6 user-mode execute, with mode-based execute control; 7 guest linear address valid; 8 translation of it (0 = the walk of the guest page tables), and then what paging allows: 9 user-mode, 10 writable, 11 execute-disabled; ${UNBLOCKING}`,
    words: eptViolation,
  },
  EPT_MISCONFIGURATION: {
    format: 'undefined; the VMCS field "guest-physical address" has the address',
    words: (_q, extra) => (extra.guestPhysical === undefined ? '' : `access to ${hex(extra.guestPhysical)}`),
  },
  PML_FULL: { format: UNBLOCKING },
  SPP_EVENT: { format: `11 type (0 = misconfiguration, 1 = miss); ${UNBLOCKING}` },
  GDTR_IDTR_ACCESS: MEMORY_OPERAND,
  LDTR_TR_ACCESS: MEMORY_OPERAND,
  VMCLEAR: MEMORY_OPERAND,
  VMPTRLD: MEMORY_OPERAND,
  VMPTRST: MEMORY_OPERAND,
  VMREAD: MEMORY_OPERAND,
  VMWRITE: MEMORY_OPERAND,
  VMXON: MEMORY_OPERAND,
  INVEPT: MEMORY_OPERAND,
  INVVPID: MEMORY_OPERAND,
  INVPCID: MEMORY_OPERAND,
  XSAVES: MEMORY_OPERAND,
  XRSTORS: MEMORY_OPERAND,
};

const qualificationRow = (reason: number): QualificationRow | undefined => {
  const symbol = exitReasonSymbol(reason);
  return symbol && QUALIFICATIONS[symbol];
};

/**
 * The fields of the exit qualification (SDM vol. 3, 28.2.1), bit positions first; undefined when the reason has none.
 * @param reason exit-reason field or basic reason
 */
export const qualificationFormat = (reason: number): string | undefined => qualificationRow(reason)?.format;

function exception(qualification: bigint, extra: QualificationContext): string {
  const information = extra.interruptionInformation;
  if (information === undefined) return qualification === 0n ? '' : hex(qualification);
  const vector = interruptionVector(information);
  const what = describeInterruption(information, extra.interruptionErrorCode);
  if (vector === Vector.PF) {
    const code = extra.interruptionErrorCode;
    return `${what}: ${code === undefined ? '' : `${describePageFault(code)}; `}linear address ${hex(qualification)}`;
  }
  if (vector === Vector.DB) return `${what}: ${debugConditions(qualification)}`;
  const row = exceptionRow(vector);
  return row ? `${what}: ${row.name}` : what;
}

function debugConditions(qualification: bigint): string {
  const words: string[] = [];
  for (let i = 0; i < 4; i++) if ((qualification >> BigInt(i)) & 1n) words.push(`breakpoint DR${i}`);
  if (qualification & (1n << 13n)) words.push('access to a debug register');
  if (qualification & (1n << 14n)) words.push('single step');
  return words.join(', ') || 'no condition';
}

/** A register of the local APIC by its offset in the page: "offset 0x80 (TPR)" */
function apicRegister(offset: number): string {
  const name = APIC_OFFSET_NAMES.get(offset & ~3);
  return `offset ${hex(offset)}${name === undefined ? '' : ` (${name})`}`;
}

function apicAccess(q: bigint): string {
  const type = bits(q, 15, 12);
  const kind = APIC_ACCESSES[type] ?? `access of type ${type}`;
  return type >= FIRST_PHYSICAL_ACCESS ? kind : `${kind}, ${apicRegister(bits(q, 11, 0))}`;
}

const TASK_SWITCH_SOURCES = ['CALL', 'IRET', 'JMP', 'task gate in the IDT'];

function taskSwitch(q: bigint): string {
  return `to TSS selector ${hex(q & 0xffffn)}, by ${TASK_SWITCH_SOURCES[bits(q, 31, 30)] ?? ''}`;
}

function controlRegister(q: bigint): string {
  const register = `CR${bits(q, 3, 0)}`;
  switch (bits(q, 5, 4)) {
    case 0:
      return `MOV to ${register} from ${gprName(bits(q, 11, 8))}`;
    case 1:
      return `MOV from ${register} to ${gprName(bits(q, 11, 8))}`;
    case 2:
      return 'CLTS';
    default:
      return `LMSW ${hex(bits(q, 31, 16))} from ${bits(q, 6, 6) ? 'memory' : 'a register'}`;
  }
}

function debugRegister(q: bigint): string {
  const register = `DR${bits(q, 2, 0)}`;
  const gpr = gprName(bits(q, 11, 8));
  return bits(q, 4, 4) ? `MOV from ${register} to ${gpr}` : `MOV to ${register} from ${gpr}`;
}

function inputOutput(q: bigint): string {
  const size = bits(q, 2, 0) + 1;
  const string = bits(q, 4, 4) === 1;
  const name = bits(q, 3, 3) ? (string ? 'INS' : 'IN') : string ? 'OUTS' : 'OUT';
  const operand = bits(q, 6, 6) ? 'immediate' : 'DX';
  return `${bits(q, 5, 5) ? 'REP ' : ''}${name} ${hex(bits(q, 31, 16))}, ${size} byte${size === 1 ? '' : 's'}, ${operand}`;
}

function eptViolation(q: bigint, extra: QualificationContext): string {
  const kinds: string[] = [];
  if (q & EptViolation.READ) kinds.push('read');
  if (q & EptViolation.WRITE) kinds.push('write');
  if (q & EptViolation.FETCH) kinds.push('fetch');
  const allowed = (q >> 3n) & 7n;
  const where = extra.guestPhysical === undefined ? '' : ` of ${hex(extra.guestPhysical)}`;
  const why = allowed === 0n ? 'not present' : `allowed ${eptPermissions(allowed)}`;
  let words = `${kinds.join(' and ') || 'access'}${where}: ${why}`;
  if (q & EptViolation.LINEAR_VALID) {
    words += extra.guestLinear === undefined ? '' : `; linear address ${hex(extra.guestLinear)}`;
    if (!(q & EptViolation.TRANSLATED)) words += '; by the walk of the guest page tables';
  }
  if (q & EptViolation.NMI_UNBLOCKING_DUE_TO_IRET) words += '; NMI unblocking due to IRET';
  return words;
}
