import { CONTROL_WORDS, type ControlRow, type ControlWordKey } from './controls';

/**
 * All VMCS fields (SDM vol. 3, appendix B). A field's width and type follow from its encoding (SDM vol. 3, 25.11.2):
 * access type in bit 0, index in 9:1, type in 11:10, width in 14:13.
 */
export type VmcsWidth = 16 | 32 | 64 | 'natural';
export type VmcsFieldType = 'control' | 'read-only data' | 'guest state' | 'host state';

/** "secondary.ENABLE_VPID": a control by its word and symbol. */
export type ControlPath = {
  [K in ControlWordKey]: `${K}.${keyof (typeof CONTROL_WORDS)[K]['controls'] & string}`;
}[ControlWordKey];

export interface VmcsField {
  readonly encoding: number;
  /** As in the manual's appendix B */
  readonly name: string;
  /** SDM vol. 3 section that defines it */
  readonly section: string;
  readonly meaning: string;
  /** The field exists when one of these controls can be 1; empty: always */
  readonly when: readonly ControlPath[];
}

const field = (
  encoding: number,
  name: string,
  section: string,
  meaning: string,
  ...when: ControlPath[]
): VmcsField => ({
  encoding,
  name,
  section,
  meaning,
  when,
});

const PAT = ['exit.SAVE_PAT', 'entry.LOAD_PAT'] as const;
const EFER = ['exit.SAVE_EFER', 'entry.LOAD_EFER'] as const;
const PERF = ['exit.SAVE_PERF_GLOBAL_CTRL', 'entry.LOAD_PERF_GLOBAL_CTRL'] as const;
const TERTIARY = 'primary.ACTIVATE_TERTIARY_CONTROLS' as const;

// prettier-ignore
const fields = {
  // 16-bit control, guest state, host state
  VPID: field(0x0000, 'Virtual-processor identifier (VPID)', '25.6.12', 'tags cached translations of this guest; not 0', 'secondary.ENABLE_VPID'),
  POSTED_INTERRUPT_NOTIFICATION_VECTOR: field(0x0002, 'Posted-interrupt notification vector', '25.6.8', 'an external interrupt with this vector makes the processor process posted interrupts instead of exiting; bits 15:8 are 0', 'pin.PROCESS_POSTED_INTERRUPTS'),
  EPTP_INDEX: field(0x0004, 'EPTP index', '25.6.20', 'index in the EPTP list, changed by VMFUNC 0', 'secondary.EPT_VIOLATION_VE'),
  HLAT_PREFIX_SIZE: field(0x0006, 'HLAT prefix size', '25.6.23', 'linear addresses that begin with this many ones use HLAT paging', TERTIARY),
  LAST_PID_POINTER_INDEX: field(0x0008, 'Last PID-pointer index', '25.6.8', 'last entry of the PID-pointer table', TERTIARY),
  GUEST_ES_SELECTOR: field(0x0800, 'Guest ES selector', '25.4.1', 'selector of ES'),
  GUEST_CS_SELECTOR: field(0x0802, 'Guest CS selector', '25.4.1', 'selector of CS'),
  GUEST_SS_SELECTOR: field(0x0804, 'Guest SS selector', '25.4.1', 'selector of SS'),
  GUEST_DS_SELECTOR: field(0x0806, 'Guest DS selector', '25.4.1', 'selector of DS'),
  GUEST_FS_SELECTOR: field(0x0808, 'Guest FS selector', '25.4.1', 'selector of FS'),
  GUEST_GS_SELECTOR: field(0x080a, 'Guest GS selector', '25.4.1', 'selector of GS'),
  GUEST_LDTR_SELECTOR: field(0x080c, 'Guest LDTR selector', '25.4.1', 'selector of LDTR'),
  GUEST_TR_SELECTOR: field(0x080e, 'Guest TR selector', '25.4.1', 'selector of TR'),
  GUEST_INTERRUPT_STATUS: field(0x0810, 'Guest interrupt status', '25.4.2', 'RVI in 7:0, the highest virtual interrupt that is requested, and SVI in 15:8, the one in service; loaded by VM entry, saved by VM exit', 'secondary.VIRTUAL_INTERRUPT_DELIVERY'),
  PML_INDEX: field(0x0812, 'PML index', '25.4.2', 'next entry of the page-modification log', 'secondary.ENABLE_PML'),
  GUEST_UINV: field(0x0814, 'Guest UINV', '25.4.2', 'user-interrupt notification vector', 'exit.CLEAR_UINV', 'entry.LOAD_UINV'),
  HOST_ES_SELECTOR: field(0x0c00, 'Host ES selector', '25.5', 'selector loaded into ES on VM exit'),
  HOST_CS_SELECTOR: field(0x0c02, 'Host CS selector', '25.5', 'selector loaded into CS on VM exit'),
  HOST_SS_SELECTOR: field(0x0c04, 'Host SS selector', '25.5', 'selector loaded into SS on VM exit'),
  HOST_DS_SELECTOR: field(0x0c06, 'Host DS selector', '25.5', 'selector loaded into DS on VM exit'),
  HOST_FS_SELECTOR: field(0x0c08, 'Host FS selector', '25.5', 'selector loaded into FS on VM exit'),
  HOST_GS_SELECTOR: field(0x0c0a, 'Host GS selector', '25.5', 'selector loaded into GS on VM exit'),
  HOST_TR_SELECTOR: field(0x0c0c, 'Host TR selector', '25.5', 'selector loaded into TR on VM exit'),

  // 64-bit control
  IO_BITMAP_A: field(0x2000, 'Address of I/O bitmap A', '25.6.4', 'one bit a port, 0000H to 7FFFH', 'primary.USE_IO_BITMAPS'),
  IO_BITMAP_B: field(0x2002, 'Address of I/O bitmap B', '25.6.4', 'one bit a port, 8000H to FFFFH', 'primary.USE_IO_BITMAPS'),
  MSR_BITMAPS: field(0x2004, 'Address of MSR bitmaps', '25.6.9', 'read low, read high, write low, write high: 1 KByte each', 'primary.USE_MSR_BITMAPS'),
  EXIT_MSR_STORE_ADDRESS: field(0x2006, 'VM-exit MSR-store address', '25.7.2', 'list of MSRs stored on VM exit'),
  EXIT_MSR_LOAD_ADDRESS: field(0x2008, 'VM-exit MSR-load address', '25.7.2', 'list of MSRs loaded on VM exit'),
  ENTRY_MSR_LOAD_ADDRESS: field(0x200a, 'VM-entry MSR-load address', '25.8.2', 'list of MSRs loaded on VM entry'),
  EXECUTIVE_VMCS_POINTER: field(0x200c, 'Executive-VMCS pointer', '25.6.10', 'used by the dual-monitor treatment of SMM only'),
  PML_ADDRESS: field(0x200e, 'PML address', '25.6.19', 'page-modification log of 512 entries', 'secondary.ENABLE_PML'),
  TSC_OFFSET: field(0x2010, 'TSC offset', '25.6.5', 'signed value added to the time-stamp counter that the guest reads, after scaling by the TSC multiplier'),
  VIRTUAL_APIC_ADDRESS: field(0x2012, 'Virtual-APIC address', '25.6.8', '4-KByte page with the registers of the virtual APIC, at the offsets of the local APIC', 'primary.USE_TPR_SHADOW'),
  APIC_ACCESS_ADDRESS: field(0x2014, 'APIC-access address', '25.6.8', '4-KByte page whose accesses by the guest are virtualized or exit; changing it needs INVEPT or INVVPID, like any mapping', 'secondary.VIRTUALIZE_APIC_ACCESSES'),
  POSTED_INTERRUPT_DESCRIPTOR_ADDRESS: field(0x2016, 'Posted-interrupt descriptor address', '25.6.8', '64 aligned bytes: 256 requests, one a vector, the outstanding-notification bit, and bits for software', 'pin.PROCESS_POSTED_INTERRUPTS'),
  VM_FUNCTION_CONTROLS: field(0x2018, 'VM-function controls', '25.6.14', 'which VM functions the guest may use without a VM exit, a bit for each number in EAX; bit 0 is EPTP switching', 'secondary.ENABLE_VM_FUNCTIONS'),
  EPT_POINTER: field(0x201a, 'EPT pointer (EPTP)', '25.6.11', 'root of the extended page tables, memory type, walk length, accessed and dirty flags', 'secondary.ENABLE_EPT'),
  EOI_EXIT_BITMAP_0: field(0x201c, 'EOI-exit bitmap 0', '25.6.8', 'vectors 0 to 63 whose EOI causes a VM exit', 'secondary.VIRTUAL_INTERRUPT_DELIVERY'),
  EOI_EXIT_BITMAP_1: field(0x201e, 'EOI-exit bitmap 1', '25.6.8', 'vectors 64 to 127 whose EOI causes a VM exit', 'secondary.VIRTUAL_INTERRUPT_DELIVERY'),
  EOI_EXIT_BITMAP_2: field(0x2020, 'EOI-exit bitmap 2', '25.6.8', 'vectors 128 to 191 whose EOI causes a VM exit', 'secondary.VIRTUAL_INTERRUPT_DELIVERY'),
  EOI_EXIT_BITMAP_3: field(0x2022, 'EOI-exit bitmap 3', '25.6.8', 'vectors 192 to 255 whose EOI causes a VM exit', 'secondary.VIRTUAL_INTERRUPT_DELIVERY'),
  EPTP_LIST_ADDRESS: field(0x2024, 'EPTP-list address', '25.6.14', 'physical address of a page of 512 EPT pointers; VMFUNC with EAX = 0 takes the one that ECX numbers', 'secondary.ENABLE_VM_FUNCTIONS'),
  VMREAD_BITMAP: field(0x2026, 'VMREAD-bitmap address', '25.6.15', 'physical address of 4 KByte, a bit for each field encoding to 7FFFH: with VMCS shadowing a VMREAD of the guest whose bit is 1 causes a VM exit', 'secondary.VMCS_SHADOWING'),
  VMWRITE_BITMAP: field(0x2028, 'VMWRITE-bitmap address', '25.6.15', 'physical address of 4 KByte, a bit for each field encoding to 7FFFH: with VMCS shadowing a VMWRITE of the guest whose bit is 1 causes a VM exit', 'secondary.VMCS_SHADOWING'),
  VIRTUALIZATION_EXCEPTION_ADDRESS: field(0x202a, 'Virtualization-exception information address', '25.6.20', 'where #VE is described', 'secondary.EPT_VIOLATION_VE'),
  XSS_EXITING_BITMAP: field(0x202c, 'XSS-exiting bitmap', '25.6.21', 'state components whose XSAVES or XRSTORS causes a VM exit', 'secondary.ENABLE_XSAVES_XRSTORS'),
  ENCLS_EXITING_BITMAP: field(0x202e, 'ENCLS-exiting bitmap', '25.6.16', 'ENCLS leaves that cause VM exits', 'secondary.ENABLE_ENCLS_EXITING'),
  SUB_PAGE_PERMISSION_TABLE: field(0x2030, 'Sub-page-permission-table pointer', '25.6.22', 'root of the sub-page permissions', 'secondary.SUB_PAGE_WRITE_PERMISSIONS'),
  TSC_MULTIPLIER: field(0x2032, 'TSC multiplier', '25.6.5', 'what the time-stamp counter that the guest reads is multiplied by before the TSC offset is added: a fixed-point number with 48 fraction bits, not 0', 'secondary.USE_TSC_SCALING'),
  TERTIARY_PROCESSOR_CONTROLS: field(0x2034, 'Tertiary processor-based VM-execution controls', '25.6.2', 'controls that the other words have no room for', TERTIARY),
  ENCLV_EXITING_BITMAP: field(0x2036, 'ENCLV-exiting bitmap', '25.6.17', 'ENCLV leaves that cause VM exits', 'secondary.ENABLE_ENCLV_EXITING'),
  LOW_PASID_DIRECTORY: field(0x2038, 'Low PASID directory address', '25.6.24', 'translates PASIDs below 2^19', 'secondary.PASID_TRANSLATION'),
  HIGH_PASID_DIRECTORY: field(0x203a, 'High PASID directory address', '25.6.24', 'translates the other PASIDs', 'secondary.PASID_TRANSLATION'),
  SHARED_EPT_POINTER: field(0x203c, 'Shared EPT pointer', '25.6.11', 'EPT of shared addresses, outside the guest-physical width', TERTIARY),
  PCONFIG_EXITING_BITMAP: field(0x203e, 'PCONFIG-exiting bitmap', '25.6.18', 'PCONFIG leaves that cause VM exits', 'secondary.ENABLE_PCONFIG'),
  HLAT_POINTER: field(0x2040, 'Hypervisor-managed linear-address translation pointer (HLATP)', '25.6.23', 'root of HLAT paging', TERTIARY),
  PID_POINTER_TABLE: field(0x2042, 'PID-pointer table address', '25.6.8', 'posted-interrupt descriptors for IPI virtualization', TERTIARY),
  SECONDARY_EXIT_CONTROLS: field(0x2044, 'Secondary VM-exit controls', '25.7.1', 'exit controls that the primary word has no room for', 'exit.ACTIVATE_SECONDARY_EXIT_CONTROLS'),
  SPEC_CTRL_MASK: field(0x204a, 'IA32_SPEC_CTRL mask', '25.6.26', 'bits that the guest cannot change', TERTIARY),
  SPEC_CTRL_SHADOW: field(0x204c, 'IA32_SPEC_CTRL shadow', '25.6.26', 'value that the guest reads', TERTIARY),

  // 64-bit read-only data, guest state, host state
  GUEST_PHYSICAL_ADDRESS: field(0x2400, 'Guest-physical address', '25.9.1', 'address that caused an EPT violation or misconfiguration', 'secondary.ENABLE_EPT'),
  VMCS_LINK_POINTER: field(0x2800, 'VMCS link pointer', '25.4.2', 'physical address of the shadow VMCS that the VMREAD and VMWRITE of the guest access, or all ones; the region begins with the revision identifier, and its bit 31 equals "VMCS shadowing"'),
  GUEST_IA32_DEBUGCTL: field(0x2802, 'Guest IA32_DEBUGCTL', '25.4.1', 'saved and loaded with the debug controls'),
  GUEST_IA32_PAT: field(0x2804, 'Guest IA32_PAT', '25.4.1', 'page attribute table', ...PAT),
  GUEST_IA32_EFER: field(0x2806, 'Guest IA32_EFER', '25.4.1', 'extended features: SCE, LME, LMA, NXE', ...EFER),
  GUEST_IA32_PERF_GLOBAL_CTRL: field(0x2808, 'Guest IA32_PERF_GLOBAL_CTRL', '25.4.1', 'performance counters enabled', ...PERF),
  GUEST_PDPTE0: field(0x280a, 'Guest PDPTE0', '25.4.2', 'PAE page-directory-pointer-table entry 0', 'secondary.ENABLE_EPT'),
  GUEST_PDPTE1: field(0x280c, 'Guest PDPTE1', '25.4.2', 'PAE page-directory-pointer-table entry 1', 'secondary.ENABLE_EPT'),
  GUEST_PDPTE2: field(0x280e, 'Guest PDPTE2', '25.4.2', 'PAE page-directory-pointer-table entry 2', 'secondary.ENABLE_EPT'),
  GUEST_PDPTE3: field(0x2810, 'Guest PDPTE3', '25.4.2', 'PAE page-directory-pointer-table entry 3', 'secondary.ENABLE_EPT'),
  GUEST_IA32_BNDCFGS: field(0x2812, 'Guest IA32_BNDCFGS', '25.4.1', 'bounds of MPX', 'exit.CLEAR_BNDCFGS', 'entry.LOAD_BNDCFGS'),
  GUEST_IA32_RTIT_CTL: field(0x2814, 'Guest IA32_RTIT_CTL', '25.4.1', 'Intel PT', 'exit.CLEAR_RTIT_CTL', 'entry.LOAD_RTIT_CTL'),
  GUEST_IA32_LBR_CTL: field(0x2816, 'Guest IA32_LBR_CTL', '25.4.1', 'last-branch recording', 'exit.CLEAR_LBR_CTL', 'entry.LOAD_LBR_CTL'),
  GUEST_IA32_PKRS: field(0x2818, 'Guest IA32_PKRS', '25.4.1', 'protection keys of supervisor pages', 'entry.LOAD_PKRS'),
  HOST_IA32_PAT: field(0x2c00, 'Host IA32_PAT', '25.5', 'page attribute table loaded on VM exit', 'exit.LOAD_PAT'),
  HOST_IA32_EFER: field(0x2c02, 'Host IA32_EFER', '25.5', 'extended features loaded on VM exit', 'exit.LOAD_EFER'),
  HOST_IA32_PERF_GLOBAL_CTRL: field(0x2c04, 'Host IA32_PERF_GLOBAL_CTRL', '25.5', 'performance counters enabled by VM exit', 'exit.LOAD_PERF_GLOBAL_CTRL'),
  HOST_IA32_PKRS: field(0x2c06, 'Host IA32_PKRS', '25.5', 'protection keys of supervisor pages after VM exit', 'exit.LOAD_PKRS'),

  // 32-bit control
  PIN_BASED_CONTROLS: field(0x4000, 'Pin-based VM-execution controls', '25.6.1', 'how interrupts and NMIs are handled'),
  PRIMARY_PROCESSOR_CONTROLS: field(0x4002, 'Primary processor-based VM-execution controls', '25.6.2', 'which instructions and windows cause VM exits'),
  EXCEPTION_BITMAP: field(0x4004, 'Exception bitmap', '25.6.3', 'one bit a vector: the exception causes a VM exit'),
  PAGE_FAULT_ERROR_CODE_MASK: field(0x4006, 'Page-fault error-code mask', '25.6.3', 'bits of the error code that are compared'),
  PAGE_FAULT_ERROR_CODE_MATCH: field(0x4008, 'Page-fault error-code match', '25.6.3', 'equal: bit 14 of the exception bitmap decides; different: its inverse'),
  CR3_TARGET_COUNT: field(0x400a, 'CR3-target count', '25.6.7', 'how many CR3-target values count, at most 4'),
  EXIT_CONTROLS: field(0x400c, 'Primary VM-exit controls', '25.7.1', 'what VM exits save and load'),
  EXIT_MSR_STORE_COUNT: field(0x400e, 'VM-exit MSR-store count', '25.7.2', 'entries of the list'),
  EXIT_MSR_LOAD_COUNT: field(0x4010, 'VM-exit MSR-load count', '25.7.2', 'entries of the list'),
  ENTRY_CONTROLS: field(0x4012, 'VM-entry controls', '25.8.1', 'what VM entries load'),
  ENTRY_MSR_LOAD_COUNT: field(0x4014, 'VM-entry MSR-load count', '25.8.2', 'entries of the list'),
  ENTRY_INTERRUPTION_INFORMATION: field(0x4016, 'VM-entry interruption-information field', '25.8.3', 'event that VM entry injects; cleared by VM exit'),
  ENTRY_EXCEPTION_ERROR_CODE: field(0x4018, 'VM-entry exception error code', '25.8.3', 'error code of the injected exception'),
  ENTRY_INSTRUCTION_LENGTH: field(0x401a, 'VM-entry instruction length', '25.8.3', 'length of the injected software interrupt or exception'),
  TPR_THRESHOLD: field(0x401c, 'TPR threshold', '25.6.8', 'class (3:0): without "virtual-interrupt delivery" a VM exit occurs when bits 7:4 of the TPR on the virtual-APIC page fall below it', 'primary.USE_TPR_SHADOW'),
  SECONDARY_PROCESSOR_CONTROLS: field(0x401e, 'Secondary processor-based VM-execution controls', '25.6.2', 'EPT, VPID, unrestricted guest and other features', 'primary.ACTIVATE_SECONDARY_CONTROLS'),
  PLE_GAP: field(0x4020, 'PLE_Gap', '25.6.13', 'longest time between two PAUSE of one loop', 'secondary.PAUSE_LOOP_EXITING'),
  PLE_WINDOW: field(0x4022, 'PLE_Window', '25.6.13', 'longest time that a PAUSE loop may run', 'secondary.PAUSE_LOOP_EXITING'),
  INSTRUCTION_TIMEOUT_CONTROL: field(0x4024, 'Instruction-timeout control', '25.6.25', 'longest time without an instruction boundary', 'secondary.INSTRUCTION_TIMEOUT'),

  // 32-bit read-only data, guest state, host state
  VM_INSTRUCTION_ERROR: field(0x4400, 'VM-instruction error', '25.9.5', 'number of the last VMfailValid'),
  EXIT_REASON: field(0x4402, 'Exit reason', '25.9.1', 'basic reason in 15:0, VM-entry failure in 31'),
  EXIT_INTERRUPTION_INFORMATION: field(0x4404, 'VM-exit interruption information', '25.9.2', 'event that caused the VM exit'),
  EXIT_INTERRUPTION_ERROR_CODE: field(0x4406, 'VM-exit interruption error code', '25.9.2', 'its error code'),
  IDT_VECTORING_INFORMATION: field(0x4408, 'IDT-vectoring information field', '25.9.3', 'event that was being delivered when the VM exit occurred'),
  IDT_VECTORING_ERROR_CODE: field(0x440a, 'IDT-vectoring error code', '25.9.3', 'its error code'),
  EXIT_INSTRUCTION_LENGTH: field(0x440c, 'VM-exit instruction length', '25.9.4', 'bytes of the instruction that caused the VM exit'),
  EXIT_INSTRUCTION_INFORMATION: field(0x440e, 'VM-exit instruction information', '25.9.4', 'operands of the instruction that caused the VM exit'),
  GUEST_ES_LIMIT: field(0x4800, 'Guest ES limit', '25.4.1', 'limit of ES in bytes'),
  GUEST_CS_LIMIT: field(0x4802, 'Guest CS limit', '25.4.1', 'limit of CS in bytes'),
  GUEST_SS_LIMIT: field(0x4804, 'Guest SS limit', '25.4.1', 'limit of SS in bytes'),
  GUEST_DS_LIMIT: field(0x4806, 'Guest DS limit', '25.4.1', 'limit of DS in bytes'),
  GUEST_FS_LIMIT: field(0x4808, 'Guest FS limit', '25.4.1', 'limit of FS in bytes'),
  GUEST_GS_LIMIT: field(0x480a, 'Guest GS limit', '25.4.1', 'limit of GS in bytes'),
  GUEST_LDTR_LIMIT: field(0x480c, 'Guest LDTR limit', '25.4.1', 'limit of LDTR in bytes'),
  GUEST_TR_LIMIT: field(0x480e, 'Guest TR limit', '25.4.1', 'limit of TR in bytes'),
  GUEST_GDTR_LIMIT: field(0x4810, 'Guest GDTR limit', '25.4.1', 'limit of GDTR'),
  GUEST_IDTR_LIMIT: field(0x4812, 'Guest IDTR limit', '25.4.1', 'limit of IDTR'),
  GUEST_ES_ACCESS_RIGHTS: field(0x4814, 'Guest ES access rights', '25.4.1', 'type, S, DPL, P, AVL, L, D/B, G, unusable'),
  GUEST_CS_ACCESS_RIGHTS: field(0x4816, 'Guest CS access rights', '25.4.1', 'type, S, DPL, P, AVL, L, D/B, G, unusable'),
  GUEST_SS_ACCESS_RIGHTS: field(0x4818, 'Guest SS access rights', '25.4.1', 'type, S, DPL (the CPL), P, AVL, L, D/B, G, unusable'),
  GUEST_DS_ACCESS_RIGHTS: field(0x481a, 'Guest DS access rights', '25.4.1', 'type, S, DPL, P, AVL, L, D/B, G, unusable'),
  GUEST_FS_ACCESS_RIGHTS: field(0x481c, 'Guest FS access rights', '25.4.1', 'type, S, DPL, P, AVL, L, D/B, G, unusable'),
  GUEST_GS_ACCESS_RIGHTS: field(0x481e, 'Guest GS access rights', '25.4.1', 'type, S, DPL, P, AVL, L, D/B, G, unusable'),
  GUEST_LDTR_ACCESS_RIGHTS: field(0x4820, 'Guest LDTR access rights', '25.4.1', 'type, P, G, unusable'),
  GUEST_TR_ACCESS_RIGHTS: field(0x4822, 'Guest TR access rights', '25.4.1', 'type, P, G, unusable'),
  GUEST_INTERRUPTIBILITY: field(0x4824, 'Guest interruptibility state', '25.4.2', 'what blocks events: 0 STI and 1 MOV SS, until the next instruction ends; 2 SMI; 3 NMI, or virtual-NMI blocking with "virtual NMIs"'),
  GUEST_ACTIVITY_STATE: field(0x4826, 'Guest activity state', '25.4.2', '0 active, 1 HLT, 2 shutdown (only NMI, INIT and the preemption timer end it), 3 wait-for-SIPI (only a SIPI ends it, by a VM exit)'),
  GUEST_SMBASE: field(0x4828, 'Guest SMBASE', '25.4.1', 'base of the SMRAM state save area'),
  GUEST_IA32_SYSENTER_CS: field(0x482a, 'Guest IA32_SYSENTER_CS', '25.4.1', 'code segment of SYSENTER'),
  PREEMPTION_TIMER_VALUE: field(0x482e, 'VMX-preemption timer value', '25.4.2', 'counts down to a VM exit', 'pin.ACTIVATE_PREEMPTION_TIMER'),
  HOST_IA32_SYSENTER_CS: field(0x4c00, 'Host IA32_SYSENTER_CS', '25.5', 'code segment of SYSENTER after VM exit'),

  // Natural-width control, read-only data, guest state, host state
  CR0_GUEST_HOST_MASK: field(0x6000, 'CR0 guest/host mask', '25.6.6', 'bits of CR0 that the host owns'),
  CR4_GUEST_HOST_MASK: field(0x6002, 'CR4 guest/host mask', '25.6.6', 'bits of CR4 that the host owns'),
  CR0_READ_SHADOW: field(0x6004, 'CR0 read shadow', '25.6.6', 'what the guest reads of the owned bits'),
  CR4_READ_SHADOW: field(0x6006, 'CR4 read shadow', '25.6.6', 'what the guest reads of the owned bits'),
  CR3_TARGET_VALUE_0: field(0x6008, 'CR3-target value 0', '25.6.7', 'MOV to CR3 of this value causes no VM exit'),
  CR3_TARGET_VALUE_1: field(0x600a, 'CR3-target value 1', '25.6.7', 'MOV to CR3 of this value causes no VM exit'),
  CR3_TARGET_VALUE_2: field(0x600c, 'CR3-target value 2', '25.6.7', 'MOV to CR3 of this value causes no VM exit'),
  CR3_TARGET_VALUE_3: field(0x600e, 'CR3-target value 3', '25.6.7', 'MOV to CR3 of this value causes no VM exit'),
  EXIT_QUALIFICATION: field(0x6400, 'Exit qualification', '25.9.1', 'details of the exit reason'),
  IO_RCX: field(0x6402, 'I/O RCX', '25.9.4', 'RCX before an I/O instruction, for SMM VM exits only'),
  IO_RSI: field(0x6404, 'I/O RSI', '25.9.4', 'RSI before an I/O instruction, for SMM VM exits only'),
  IO_RDI: field(0x6406, 'I/O RDI', '25.9.4', 'RDI before an I/O instruction, for SMM VM exits only'),
  IO_RIP: field(0x6408, 'I/O RIP', '25.9.4', 'RIP of an I/O instruction, for SMM VM exits only'),
  GUEST_LINEAR_ADDRESS: field(0x640a, 'Guest-linear address', '25.9.1', 'linear address of the access that caused the VM exit'),
  GUEST_CR0: field(0x6800, 'Guest CR0', '25.4.1', 'control register CR0'),
  GUEST_CR3: field(0x6802, 'Guest CR3', '25.4.1', 'control register CR3'),
  GUEST_CR4: field(0x6804, 'Guest CR4', '25.4.1', 'control register CR4'),
  GUEST_ES_BASE: field(0x6806, 'Guest ES base', '25.4.1', 'base of ES'),
  GUEST_CS_BASE: field(0x6808, 'Guest CS base', '25.4.1', 'base of CS'),
  GUEST_SS_BASE: field(0x680a, 'Guest SS base', '25.4.1', 'base of SS'),
  GUEST_DS_BASE: field(0x680c, 'Guest DS base', '25.4.1', 'base of DS'),
  GUEST_FS_BASE: field(0x680e, 'Guest FS base', '25.4.1', 'base of FS'),
  GUEST_GS_BASE: field(0x6810, 'Guest GS base', '25.4.1', 'base of GS'),
  GUEST_LDTR_BASE: field(0x6812, 'Guest LDTR base', '25.4.1', 'base of LDTR'),
  GUEST_TR_BASE: field(0x6814, 'Guest TR base', '25.4.1', 'base of TR'),
  GUEST_GDTR_BASE: field(0x6816, 'Guest GDTR base', '25.4.1', 'base of GDTR'),
  GUEST_IDTR_BASE: field(0x6818, 'Guest IDTR base', '25.4.1', 'base of IDTR'),
  GUEST_DR7: field(0x681a, 'Guest DR7', '25.4.1', 'debug register DR7'),
  GUEST_RSP: field(0x681c, 'Guest RSP', '25.4.1', 'stack pointer'),
  GUEST_RIP: field(0x681e, 'Guest RIP', '25.4.1', 'instruction pointer'),
  GUEST_RFLAGS: field(0x6820, 'Guest RFLAGS', '25.4.1', 'flags'),
  GUEST_PENDING_DEBUG_EXCEPTIONS: field(0x6822, 'Guest pending debug exceptions', '25.4.2', 'debug exceptions recognised and not yet delivered'),
  GUEST_IA32_SYSENTER_ESP: field(0x6824, 'Guest IA32_SYSENTER_ESP', '25.4.1', 'stack pointer of SYSENTER'),
  GUEST_IA32_SYSENTER_EIP: field(0x6826, 'Guest IA32_SYSENTER_EIP', '25.4.1', 'instruction pointer of SYSENTER'),
  GUEST_IA32_S_CET: field(0x6828, 'Guest IA32_S_CET', '25.4.1', 'control-flow enforcement of supervisor mode', 'entry.LOAD_CET_STATE'),
  GUEST_SSP: field(0x682a, 'Guest SSP', '25.4.1', 'shadow-stack pointer', 'entry.LOAD_CET_STATE'),
  GUEST_IA32_INTERRUPT_SSP_TABLE: field(0x682c, 'Guest IA32_INTERRUPT_SSP_TABLE_ADDR', '25.4.1', 'shadow stacks of interrupts', 'entry.LOAD_CET_STATE'),
  HOST_CR0: field(0x6c00, 'Host CR0', '25.5', 'loaded into CR0 on VM exit'),
  HOST_CR3: field(0x6c02, 'Host CR3', '25.5', 'loaded into CR3 on VM exit'),
  HOST_CR4: field(0x6c04, 'Host CR4', '25.5', 'loaded into CR4 on VM exit'),
  HOST_FS_BASE: field(0x6c06, 'Host FS base', '25.5', 'base of FS after VM exit'),
  HOST_GS_BASE: field(0x6c08, 'Host GS base', '25.5', 'base of GS after VM exit'),
  HOST_TR_BASE: field(0x6c0a, 'Host TR base', '25.5', 'base of TR after VM exit'),
  HOST_GDTR_BASE: field(0x6c0c, 'Host GDTR base', '25.5', 'base of GDTR after VM exit'),
  HOST_IDTR_BASE: field(0x6c0e, 'Host IDTR base', '25.5', 'base of IDTR after VM exit'),
  HOST_IA32_SYSENTER_ESP: field(0x6c10, 'Host IA32_SYSENTER_ESP', '25.5', 'stack pointer of SYSENTER after VM exit'),
  HOST_IA32_SYSENTER_EIP: field(0x6c12, 'Host IA32_SYSENTER_EIP', '25.5', 'instruction pointer of SYSENTER after VM exit'),
  HOST_RSP: field(0x6c14, 'Host RSP', '25.5', 'stack pointer after VM exit'),
  HOST_RIP: field(0x6c16, 'Host RIP', '25.5', 'where VM exits arrive'),
  HOST_IA32_S_CET: field(0x6c18, 'Host IA32_S_CET', '25.5', 'control-flow enforcement after VM exit', 'exit.LOAD_CET_STATE'),
  HOST_SSP: field(0x6c1a, 'Host SSP', '25.5', 'shadow-stack pointer after VM exit', 'exit.LOAD_CET_STATE'),
  HOST_IA32_INTERRUPT_SSP_TABLE: field(0x6c1c, 'Host IA32_INTERRUPT_SSP_TABLE_ADDR', '25.5', 'shadow stacks of interrupts after VM exit', 'exit.LOAD_CET_STATE'),
};

export type VmcsFieldSymbol = keyof typeof fields;

/** The table by C-style symbolic name. */
export const VMCS_FIELDS: Readonly<Record<VmcsFieldSymbol, VmcsField>> = fields;

/** Encodings by symbol: `Field.GUEST_RIP` is 0x681e. */
export const Field = Object.fromEntries(Object.entries(fields).map(([symbol, row]) => [symbol, row.encoding])) as {
  readonly [K in VmcsFieldSymbol]: number;
};

export const VMCS_FIELD_SYMBOLS = Object.keys(fields) as readonly VmcsFieldSymbol[];

const symbolByEncoding = new Map(VMCS_FIELD_SYMBOLS.map((symbol) => [fields[symbol].encoding, symbol]));

/** The field of an encoding; the access-type bit of 64-bit fields ("high") does not matter. */
export function vmcsFieldSymbol(encoding: number): VmcsFieldSymbol | undefined {
  return symbolByEncoding.get(encoding) ?? (vmcsAccessHigh(encoding) ? symbolByEncoding.get(encoding & ~1) : undefined);
}

export function vmcsField(encoding: number): VmcsField | undefined {
  const symbol = vmcsFieldSymbol(encoding);
  return symbol && fields[symbol];
}

const WIDTHS: readonly VmcsWidth[] = [16, 64, 32, 'natural'];
const TYPES: readonly VmcsFieldType[] = ['control', 'read-only data', 'guest state', 'host state'];

export const vmcsWidth = (encoding: number): VmcsWidth => WIDTHS[(encoding >> 13) & 3] ?? 16;
export const vmcsFieldType = (encoding: number): VmcsFieldType => TYPES[(encoding >> 10) & 3] ?? 'control';
export const vmcsIndex = (encoding: number): number => (encoding >> 1) & 0x1ff;
/** Encoding of bits 63:32 of a 64-bit field */
export const vmcsAccessHigh = (encoding: number): boolean => (encoding & 0x6001) === 0x2001;

/** Whether this processor has the field: one of the controls that bring it is implemented. */
export function vmcsFieldExists(row: VmcsField): boolean {
  return row.when.length === 0 || row.when.some(controlImplemented);
}

export function controlImplemented(path: ControlPath): boolean {
  return controlRow(path).implemented;
}

/** The row of "secondary.ENABLE_VPID" */
export function controlRow(path: ControlPath): ControlRow {
  const [word, symbol] = path.split('.') as [ControlWordKey, string];
  const controls: Readonly<Record<string, ControlRow>> = CONTROL_WORDS[word].controls;
  const row = controls[symbol];
  if (!row) throw new Error(`no control ${path}`);
  return row;
}
