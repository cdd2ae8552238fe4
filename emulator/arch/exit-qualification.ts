import { EptViolation, eptPermissions } from './ept-bits';
import { exceptionRow, describePageFault, Vector } from './exceptions';
import { ExitReason } from './exit-reasons';
import { describeInterruption, interruptionVector } from './interruption';
import { gprName } from './registers';

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
  return DESCRIPTIONS.get(reason & 0xffff)?.(qualification, extra) ?? '';
}

type Description = (qualification: bigint, extra: QualificationContext) => string;

const displacement: Description = (q) => `displacement ${hex(q)}`;

const ENTRY_FAILURES: Readonly<Record<number, string>> = {
  2: 'a PDPTE is not valid',
  3: 'NMI injection while events are blocked by STI',
  4: 'the VMCS link pointer is not valid',
};

const DESCRIPTIONS = new Map<number, Description>([
  [ExitReason.EXCEPTION_OR_NMI, exception],
  [
    ExitReason.EXTERNAL_INTERRUPT,
    (_q, extra) => (extra.interruptionInformation ? describeInterruption(extra.interruptionInformation) : ''),
  ],
  [ExitReason.SIPI, (q) => `vector ${hex(q & 0xffn)}`],
  [ExitReason.TASK_SWITCH, taskSwitch],
  [ExitReason.INVLPG, (q) => `linear address ${hex(q)}`],
  [ExitReason.CR_ACCESS, controlRegister],
  [ExitReason.MOV_DR, debugRegister],
  [ExitReason.IO_INSTRUCTION, inputOutput],
  [ExitReason.ENTRY_FAILURE_GUEST_STATE, (q) => ENTRY_FAILURES[Number(q)] ?? ''],
  [ExitReason.ENTRY_FAILURE_MSR_LOADING, (q) => `entry ${q} of the VM-entry MSR-load area`],
  [ExitReason.MWAIT, (q) => (q & 1n ? 'address range armed' : 'address range not armed')],
  [ExitReason.EPT_VIOLATION, eptViolation],
  [
    ExitReason.EPT_MISCONFIGURATION,
    (_q, extra) => (extra.guestPhysical === undefined ? '' : `access to ${hex(extra.guestPhysical)}`),
  ],
  ...(
    [
      'GDTR_IDTR_ACCESS',
      'LDTR_TR_ACCESS',
      'VMCLEAR',
      'VMPTRLD',
      'VMPTRST',
      'VMREAD',
      'VMWRITE',
      'VMXON',
      'INVEPT',
      'INVVPID',
      'INVPCID',
      'XSAVES',
      'XRSTORS',
    ] as const
  ).map((symbol): [number, Description] => [ExitReason[symbol], displacement]),
]);

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
