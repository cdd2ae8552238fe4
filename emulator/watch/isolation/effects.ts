import { exitReasonSymbol, type ExitReasonSymbol } from '../../arch/exit-reasons';
import type { VmcsFieldSymbol } from '../../arch/vmcs-fields';
import type { IsolationPolicy } from './policy';

/**
 * The legal effect of each exit reason: which general registers the hypervisor must see to handle it, and what of the
 * guest may differ at the next entry. One row a reason; a reason is an event, an instruction that is stepped over, or an
 * access that is emulated.
 */
export interface EffectRow {
  /** Registers that the hypervisor needs to see, by number */
  readonly shows: readonly number[];
  /** Registers that it may change */
  readonly takes: readonly number[];
  /** RIP may grow by the instruction's length; then RF, and blocking by STI and MOV SS, may end */
  readonly advances: boolean;
  /** Guest-state fields that it may change */
  readonly fields: readonly VmcsFieldSymbol[];
  /**
   * What the qualification, a register or the instruction decides besides (refined-effects.ts)
   */
  readonly refined?: 'control register' | 'debug register' | 'port' | 'msr' | 'information register' | 'memory';
}

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSI = 6;
const RDI = 7;
const ALL = Array.from({ length: 16 }, (_, n) => n);

const EVENT: EffectRow = { shows: [], takes: [], advances: false, fields: [] };
const step = (shows: readonly number[] = [], takes: readonly number[] = []): EffectRow => ({
  shows,
  takes,
  advances: true,
  fields: [],
});
/** A VMX instruction of a guest that is itself a hypervisor: it tells its outcome by the flags. */
const VMX: EffectRow = { ...step(ALL, []), fields: ['GUEST_RFLAGS'] };
const MEMORY: EffectRow = { ...step(), refined: 'memory' };

// prettier-ignore
const SEGMENT_FIELDS: readonly VmcsFieldSymbol[] = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'].flatMap((name) =>
  ['SELECTOR', 'BASE', 'LIMIT', 'ACCESS_RIGHTS'].map((part) => `GUEST_${name}_${part}` as VmcsFieldSymbol));
const PDPTES: readonly VmcsFieldSymbol[] = ['GUEST_PDPTE0', 'GUEST_PDPTE1', 'GUEST_PDPTE2', 'GUEST_PDPTE3'];

const rows: Readonly<Record<ExitReasonSymbol, EffectRow>> = {
  EXCEPTION_OR_NMI: EVENT,
  EXTERNAL_INTERRUPT: EVENT,
  TRIPLE_FAULT: EVENT,
  INIT_SIGNAL: EVENT,
  // Starts the processor that waits for it (SDM vol. 3, 9.4.3).
  SIPI: { ...EVENT, fields: ['GUEST_RIP', 'GUEST_CS_SELECTOR', 'GUEST_CS_BASE'] },
  IO_SMI: EVENT,
  OTHER_SMI: EVENT,
  INTERRUPT_WINDOW: EVENT,
  NMI_WINDOW: EVENT,
  // The hypervisor does what the processor began: registers of one TSS go, those of another come (26.4.2).
  TASK_SWITCH: {
    shows: ALL,
    takes: ALL,
    advances: true,
    fields: [
      ...['GUEST_RIP', 'GUEST_RSP', 'GUEST_RFLAGS', 'GUEST_CR0', 'GUEST_CR3'].map((name) => name as VmcsFieldSymbol),
      ...SEGMENT_FIELDS,
      ...PDPTES,
      'GUEST_DR7',
    ],
  },
  CPUID: step([RAX, RCX], [RAX, RBX, RCX, RDX]),
  GETSEC: step([RAX, RBX, RCX, RDX], [RAX, RBX, RCX]),
  HLT: step(),
  INVD: step(),
  INVLPG: step(),
  RDPMC: step([RCX], [RAX, RDX]),
  RDTSC: step([], [RAX, RDX]),
  RSM: EVENT,
  VMCALL: step([RAX, RBX, RCX, RDX, RSI, RDI], [RAX]),
  VMCLEAR: VMX,
  VMLAUNCH: VMX,
  VMPTRLD: VMX,
  VMPTRST: VMX,
  VMREAD: { ...VMX, refined: 'information register' },
  VMRESUME: VMX,
  VMWRITE: VMX,
  VMXOFF: { ...VMX, fields: ['GUEST_RFLAGS', 'GUEST_CR4'] },
  VMXON: VMX,
  CR_ACCESS: { ...step(), refined: 'control register' },
  MOV_DR: { ...step(), refined: 'debug register' },
  IO_INSTRUCTION: { ...step(), refined: 'port' },
  RDMSR: step([RCX], [RAX, RDX]),
  WRMSR: { ...step([RAX, RCX, RDX]), refined: 'msr' },
  ENTRY_FAILURE_GUEST_STATE: EVENT,
  ENTRY_FAILURE_MSR_LOADING: EVENT,
  MWAIT: step([RAX, RCX]),
  MONITOR_TRAP_FLAG: EVENT,
  MONITOR: step([RAX, RCX, RDX]),
  PAUSE: step(),
  ENTRY_FAILURE_MACHINE_CHECK: EVENT,
  TPR_BELOW_THRESHOLD: EVENT,
  APIC_ACCESS: MEMORY,
  VIRTUALIZED_EOI: EVENT,
  GDTR_IDTR_ACCESS: {
    ...step(),
    fields: ['GUEST_GDTR_BASE', 'GUEST_GDTR_LIMIT', 'GUEST_IDTR_BASE', 'GUEST_IDTR_LIMIT'],
    refined: 'information register',
  },
  LDTR_TR_ACCESS: {
    ...step(),
    fields: SEGMENT_FIELDS.filter((name) => name.startsWith('GUEST_LDTR') || name.startsWith('GUEST_TR')),
    refined: 'information register',
  },
  EPT_VIOLATION: MEMORY,
  EPT_MISCONFIGURATION: MEMORY,
  INVEPT: VMX,
  RDTSCP: step([], [RAX, RCX, RDX]),
  PREEMPTION_TIMER: EVENT,
  INVVPID: VMX,
  WBINVD: step(),
  XSETBV: step([RAX, RCX, RDX]),
  APIC_WRITE: EVENT,
  RDRAND: { ...step(), fields: ['GUEST_RFLAGS'], refined: 'information register' },
  INVPCID: step(ALL),
  VMFUNC: step([RAX, RCX]),
  ENCLS: step([RAX, RBX, RCX, RDX], [RAX, RBX, RCX, RDX]),
  RDSEED: { ...step(), fields: ['GUEST_RFLAGS'], refined: 'information register' },
  PML_FULL: EVENT,
  XSAVES: step([RAX, RDX]),
  XRSTORS: step([RAX, RDX]),
  PCONFIG: { ...step([RAX, RBX, RCX, RDX], [RAX]), fields: ['GUEST_RFLAGS'] },
  SPP_EVENT: EVENT,
  UMWAIT: { ...step([RAX, RDX]), fields: ['GUEST_RFLAGS'] },
  TPAUSE: { ...step([RAX, RDX]), fields: ['GUEST_RFLAGS'] },
  LOADIWKEY: step([RAX]),
  ENCLV: step([RAX, RBX, RCX, RDX], [RAX, RBX, RCX, RDX]),
  ENQCMD_PASID: EVENT,
  ENQCMDS_PASID: EVENT,
  BUS_LOCK: EVENT,
  INSTRUCTION_TIMEOUT: EVENT,
  SEAMCALL: step(ALL, ALL),
  TDCALL: step(ALL, ALL),
  RDMSRLIST: step([RCX, RSI, RDI], [RCX]),
  WRMSRLIST: step([RCX, RSI, RDI], [RCX]),
};

export const EFFECTS = rows;

/** The effect that a policy gives an exit reason: its own row, or the built-in one. */
export function effectOf(policy: IsolationPolicy, reason: number): EffectRow {
  const symbol = exitReasonSymbol(reason);
  if (symbol === undefined) return EVENT;
  const own = policy.effects[symbol];
  if (!own) return rows[symbol];
  return { shows: numbers(own.shows), takes: numbers(own.takes), advances: own.advances, fields: own.fields };
}

const NUMBER = new Map(
  ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'].map((name, number) => [name, number] as const),
);
const numbers = (names: readonly string[]): number[] => names.map((name) => NUMBER.get(name) ?? Number(name.slice(1)));
