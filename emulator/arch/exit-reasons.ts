/** Basic VM-exit reasons (SDM vol. 3, appendix C). */
export interface ExitReasonRow {
  readonly number: number;
  /** As people write it: "EPT violation" */
  readonly name: string;
  /** Manual section that describes the cause */
  readonly section: string;
  /** One or two sentences: what happened and what decides about it */
  readonly explanation: string;
}

const reason = (number: number, name: string, section: string, explanation: string): ExitReasonRow => ({
  number,
  name,
  section,
  explanation,
});

// prettier-ignore
const reasons = {
  EXCEPTION_OR_NMI: reason(0, 'Exception or NMI', '26.2', 'An exception whose bit is set in the exception bitmap (for page faults also the error-code mask and match), or an NMI with "NMI exiting".'),
  EXTERNAL_INTERRUPT: reason(1, 'External interrupt', '26.2', 'An external interrupt arrived and "external-interrupt exiting" is 1, whatever RFLAGS.IF says.'),
  TRIPLE_FAULT: reason(2, 'Triple fault', '26.2', 'An exception occurred while a double fault was being delivered, and the exception bitmap did not catch it.'),
  INIT_SIGNAL: reason(3, 'INIT signal', '26.2', 'An INIT signal arrived in VMX non-root operation. It resets nothing: the hypervisor decides. In the wait-for-SIPI state it stays blocked, as in root operation.'),
  SIPI: reason(4, 'Start-up IPI (SIPI)', '26.2', 'A start-up IPI arrived while the guest was in the wait-for-SIPI activity state; its vector is in the exit qualification, and the guest stays in that state. In every other state of a guest a SIPI is lost.'),
  IO_SMI: reason(5, 'I/O system-management interrupt (SMI)', '26.2', 'An SMI arrived right after an I/O instruction under the dual-monitor treatment.'),
  OTHER_SMI: reason(6, 'Other SMI', '26.2', 'An SMI arrived under the dual-monitor treatment.'),
  INTERRUPT_WINDOW: reason(7, 'Interrupt window', '26.2', '"Interrupt-window exiting" is 1, RFLAGS.IF is 1 and neither STI nor MOV SS blocks interrupts: the guest could take an interrupt now.'),
  NMI_WINDOW: reason(8, 'NMI window', '26.2', '"NMI-window exiting" is 1 and there is no virtual-NMI blocking: the guest could take an NMI now.'),
  TASK_SWITCH: reason(9, 'Task switch', '26.4.2', 'The guest attempted a task switch, which never completes in VMX non-root operation: by CALL, JMP or IRET, or by an event through a task gate. The new TSS has been found available, present and long enough; the hypervisor does the rest.'),
  CPUID: reason(10, 'CPUID', '26.1.2', 'The guest executed CPUID, which always causes a VM exit.'),
  GETSEC: reason(11, 'GETSEC', '26.1.2', 'The guest executed GETSEC, which always causes a VM exit.'),
  HLT: reason(12, 'HLT', '26.1.3', 'The guest executed HLT and "HLT exiting" is 1.'),
  INVD: reason(13, 'INVD', '26.1.2', 'The guest executed INVD, which always causes a VM exit.'),
  INVLPG: reason(14, 'INVLPG', '26.1.3', 'The guest executed INVLPG and "INVLPG exiting" is 1.'),
  RDPMC: reason(15, 'RDPMC', '26.1.3', 'The guest executed RDPMC and "RDPMC exiting" is 1.'),
  RDTSC: reason(16, 'RDTSC', '26.1.3', 'The guest executed RDTSC and "RDTSC exiting" is 1.'),
  RSM: reason(17, 'RSM', '26.1.3', 'The guest executed RSM in SMM.'),
  VMCALL: reason(18, 'VMCALL', '26.1.2', 'The guest executed VMCALL, the call to its hypervisor; any privilege level may.'),
  VMCLEAR: reason(19, 'VMCLEAR', '26.1.2', 'The guest executed VMCLEAR, which always causes a VM exit.'),
  VMLAUNCH: reason(20, 'VMLAUNCH', '26.1.2', 'The guest executed VMLAUNCH, which always causes a VM exit.'),
  VMPTRLD: reason(21, 'VMPTRLD', '26.1.2', 'The guest executed VMPTRLD, which always causes a VM exit.'),
  VMPTRST: reason(22, 'VMPTRST', '26.1.2', 'The guest executed VMPTRST, which always causes a VM exit.'),
  VMREAD: reason(23, 'VMREAD', '26.1.2', 'The guest executed VMREAD without VMCS shadowing; or, with it, of a field whose bit in the VMREAD bitmap is 1, or with a register that sets a bit above bit 14. The hypervisor reads the field for its guest hypervisor.'),
  VMRESUME: reason(24, 'VMRESUME', '26.1.2', 'The guest executed VMRESUME, which always causes a VM exit.'),
  VMWRITE: reason(25, 'VMWRITE', '26.1.2', 'The guest executed VMWRITE without VMCS shadowing; or, with it, of a field whose bit in the VMWRITE bitmap is 1, or with a register that sets a bit above bit 14. The hypervisor writes the field for its guest hypervisor.'),
  VMXOFF: reason(26, 'VMXOFF', '26.1.2', 'The guest executed VMXOFF, which always causes a VM exit.'),
  VMXON: reason(27, 'VMXON', '26.1.2', 'The guest executed VMXON, which always causes a VM exit.'),
  CR_ACCESS: reason(28, 'Control-register accesses', '26.1.3', 'The guest accessed CR0, CR3, CR4 or CR8 in a way that the guest/host masks, the CR3 or the CR8 controls forbid.'),
  MOV_DR: reason(29, 'MOV DR', '26.1.3', 'The guest accessed a debug register and "MOV-DR exiting" is 1.'),
  IO_INSTRUCTION: reason(30, 'I/O instruction', '26.1.3', 'The guest executed IN, OUT, INS or OUTS on a port that the I/O bitmaps, or "unconditional I/O exiting", catch.'),
  RDMSR: reason(31, 'RDMSR', '26.1.3', 'The guest executed RDMSR, and MSR bitmaps are off, do not cover the MSR, or have its read bit set.'),
  WRMSR: reason(32, 'WRMSR', '26.1.3', 'The guest executed WRMSR, and MSR bitmaps are off, do not cover the MSR, or have its write bit set.'),
  ENTRY_FAILURE_GUEST_STATE: reason(33, 'VM-entry failure due to invalid guest state', '27.8', 'VM entry found the guest-state area inconsistent (SDM vol. 3, 27.3.1); the guest did not run.'),
  ENTRY_FAILURE_MSR_LOADING: reason(34, 'VM-entry failure due to MSR loading', '27.8', 'VM entry could not load an entry of the VM-entry MSR-load area; its number is in the exit qualification.'),
  MWAIT: reason(36, 'MWAIT', '26.1.3', 'The guest executed MWAIT at CPL 0 and "MWAIT exiting" is 1. Bit 0 of the qualification tells whether MONITOR has armed an address range.'),
  MONITOR_TRAP_FLAG: reason(37, 'Monitor trap flag', '26.5.2', '"Monitor trap flag" is 1 and the guest completed an instruction, or VM entry injected a pending MTF VM exit.'),
  MONITOR: reason(39, 'MONITOR', '26.1.3', 'The guest executed MONITOR at CPL 0 and "MONITOR exiting" is 1; its operand has not been read yet.'),
  PAUSE: reason(40, 'PAUSE', '26.1.3', 'The guest executed PAUSE and "PAUSE exiting" is 1, or a PAUSE loop at CPL 0 exceeded PLE_Window.'),
  ENTRY_FAILURE_MACHINE_CHECK: reason(41, 'VM-entry failure due to machine-check event', '27.9', 'A machine check occurred during VM entry.'),
  TPR_BELOW_THRESHOLD: reason(43, 'TPR below threshold', '30.1.2', 'The guest lowered its TPR below the TPR threshold, or VM entry found it below; "use TPR shadow" is 1 and "virtual-interrupt delivery" is 0. The exit comes after the instruction.'),
  APIC_ACCESS: reason(44, 'APIC access', '30.4', 'The guest accessed the APIC-access page, "virtualize APIC accesses" is 1, and offset, size or kind of the access are not among those that are virtualized. The access was not made.'),
  VIRTUALIZED_EOI: reason(45, 'Virtualized EOI', '30.1.4', 'The guest ended a virtual interrupt whose vector is set in the EOI-exit bitmap; "virtual-interrupt delivery" is 1. The exit comes after the instruction.'),
  GDTR_IDTR_ACCESS: reason(46, 'Access to GDTR or IDTR', '26.1.3', 'The guest executed LGDT, LIDT, SGDT or SIDT and "descriptor-table exiting" is 1.'),
  LDTR_TR_ACCESS: reason(47, 'Access to LDTR or TR', '26.1.3', 'The guest executed LLDT, LTR, SLDT or STR and "descriptor-table exiting" is 1.'),
  EPT_VIOLATION: reason(48, 'EPT violation', '29.3.3.2', 'An access to a guest-physical address was not allowed by the extended page tables, or an entry on the way was not present.'),
  EPT_MISCONFIGURATION: reason(49, 'EPT misconfiguration', '29.3.3.1', 'Translating a guest-physical address met an EPT entry with a value that is not supported.'),
  INVEPT: reason(50, 'INVEPT', '26.1.2', 'The guest executed INVEPT, which always causes a VM exit.'),
  RDTSCP: reason(51, 'RDTSCP', '26.1.3', 'The guest executed RDTSCP with "enable RDTSCP" and "RDTSC exiting" 1.'),
  PREEMPTION_TIMER: reason(52, 'VMX-preemption timer expired', '26.5.1', 'The VMX-preemption timer counted down to 0. With the value 0 the VM exit occurs before the first instruction of the guest.'),
  INVVPID: reason(53, 'INVVPID', '26.1.2', 'The guest executed INVVPID, which always causes a VM exit.'),
  WBINVD: reason(54, 'WBINVD or WBNOINVD', '26.1.3', 'The guest executed WBINVD and "WBINVD exiting" is 1.'),
  XSETBV: reason(55, 'XSETBV', '26.1.2', 'The guest executed XSETBV, which always causes a VM exit.'),
  APIC_WRITE: reason(56, 'APIC write', '30.4.3.3', 'The guest wrote an APIC register, the value is on the virtual-APIC page, and software must do what the write asks for. The exit comes after the instruction.'),
  RDRAND: reason(57, 'RDRAND', '26.1.3', 'The guest executed RDRAND and "RDRAND exiting" is 1. The instruction information has the destination and the operand size.'),
  INVPCID: reason(58, 'INVPCID', '26.1.3', 'The guest executed INVPCID with "enable INVPCID" and "INVLPG exiting" 1.'),
  VMFUNC: reason(59, 'VMFUNC', '26.5.6', 'The guest executed VMFUNC with a function in EAX that the VM-function controls do not enable; or EPTP switching with an index in ECX above 511, or of an entry that VM entry would refuse as EPT pointer.'),
  ENCLS: reason(60, 'ENCLS', '26.1.3', 'The guest executed ENCLS with its bit in the ENCLS-exiting bitmap set.'),
  RDSEED: reason(61, 'RDSEED', '26.1.3', 'The guest executed RDSEED and "RDSEED exiting" is 1. The instruction information has the destination and the operand size.'),
  PML_FULL: reason(62, 'Page-modification log full', '29.3.6', 'The page-modification log has no room for another entry.'),
  XSAVES: reason(63, 'XSAVES', '26.1.3', 'The guest executed XSAVES with a component of the XSS-exiting bitmap.'),
  XRSTORS: reason(64, 'XRSTORS', '26.1.3', 'The guest executed XRSTORS with a component of the XSS-exiting bitmap.'),
  PCONFIG: reason(65, 'PCONFIG', '26.1.3', 'The guest executed PCONFIG with its bit in the PCONFIG-exiting bitmap set.'),
  SPP_EVENT: reason(66, 'SPP-related event', '29.3.4', 'A sub-page permission was missing or misconfigured.'),
  UMWAIT: reason(67, 'UMWAIT', '26.1.3', 'The guest executed UMWAIT and "RDTSC exiting" is 1.'),
  TPAUSE: reason(68, 'TPAUSE', '26.1.3', 'The guest executed TPAUSE and "RDTSC exiting" is 1.'),
  LOADIWKEY: reason(69, 'LOADIWKEY', '26.1.3', 'The guest executed LOADIWKEY and "LOADIWKEY exiting" is 1.'),
  ENCLV: reason(70, 'ENCLV', '26.1.3', 'The guest executed ENCLV with its bit in the ENCLV-exiting bitmap set.'),
  ENQCMD_PASID: reason(72, 'ENQCMD PASID translation failure', '26.5.8', 'The PASID of ENQCMD could not be translated.'),
  ENQCMDS_PASID: reason(73, 'ENQCMDS PASID translation failure', '26.5.8', 'The PASID of ENQCMDS could not be translated.'),
  BUS_LOCK: reason(74, 'Bus lock', '26.2', 'The guest asserted a bus lock and "VMM bus-lock detection" is 1.'),
  INSTRUCTION_TIMEOUT: reason(75, 'Instruction timeout', '26.2', 'No instruction boundary came within the instruction-timeout control.'),
  SEAMCALL: reason(76, 'SEAMCALL', '26.1.2', 'The guest executed SEAMCALL, which always causes a VM exit.'),
  TDCALL: reason(77, 'TDCALL', '26.1.2', 'The guest executed TDCALL, which always causes a VM exit.'),
  RDMSRLIST: reason(78, 'RDMSRLIST', '26.1.3', 'The guest executed RDMSRLIST on an MSR that the MSR bitmaps catch.'),
  WRMSRLIST: reason(79, 'WRMSRLIST', '26.1.3', 'The guest executed WRMSRLIST on an MSR that the MSR bitmaps catch.'),
};

export type ExitReasonSymbol = keyof typeof reasons;

/** The table by symbol. */
export const EXIT_REASONS: Readonly<Record<ExitReasonSymbol, ExitReasonRow>> = reasons;

/** Numbers by symbol: `ExitReason.EPT_VIOLATION` is 48. */
export const ExitReason = Object.fromEntries(Object.entries(reasons).map(([symbol, row]) => [symbol, row.number])) as {
  readonly [K in ExitReasonSymbol]: number;
};

/** Bit 31 of the exit-reason field: the VM exit is a VM-entry failure. */
export const ENTRY_FAILURE = 0x8000_0000;
/** Bit 28: a VM exit was pending as MTF (SDM vol. 3, 25.9.1). Only with SMM VM exits. */
export const PENDING_MTF = 0x1000_0000;

const symbolByNumber = new Map(
  (Object.keys(reasons) as ExitReasonSymbol[]).map((symbol) => [reasons[symbol].number, symbol]),
);

/** Of an exit-reason field or a basic reason */
export const exitReasonSymbol = (value: number): ExitReasonSymbol | undefined => symbolByNumber.get(value & 0xffff);

export function exitReason(value: number): ExitReasonRow | undefined {
  const symbol = exitReasonSymbol(value);
  return symbol && reasons[symbol];
}

/** "EPT violation", or "reserved reason 35" */
export const exitReasonName = (value: number): string => exitReason(value)?.name ?? `reserved reason ${value & 0xffff}`;
