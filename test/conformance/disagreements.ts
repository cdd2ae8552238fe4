/**
 * Where Bochs 2.7 answers otherwise, case by case, and why the manual's answer (SDM vol. 3) is the expected one. A case
 * of this list that comes to agree is an error too: the list says what is, not what may be.
 */
export const ENTRY_CHECK_DISAGREEMENTS: Readonly<Record<string, string>> = {
  'control.smm': '27.2.1.3 makes it a control check (VMfailValid 7); Bochs reports a VM-entry failure',
  'guest.debugctl': '27.3.1.1: reserved bits of IA32_DEBUGCTL must be 0; Bochs does not look',
  'guest.long-mode.paging': '27.3.1.1: CR0.PG must be 1 with "IA-32e mode guest", also with "unrestricted guest"',
  'guest.rip.width': '27.3.1.4: bits 63:48 of RIP must be equal; Bochs leaves it to the first fetch',
  'guest.rflags.vm': '27.3.1.4: RFLAGS.VM must be 0 when CR0.PE is 0; Bochs looks at IA-32e mode only',
  'guest.interruptibility.nmi-sti': '27.8: exit qualification 3; Bochs gives 0',
  'guest.interruptibility.virtual-nmi':
    '27.3.1.5: no virtual-NMI blocking when an NMI is injected; Bochs does not look',
  'guest.pending-debug.single-step': '27.3.1.5: BS must be 1 with RFLAGS.TF while MOV SS blocks; Bochs does not look',
};

/** The same for the cases of programs/. */
export const DISAGREEMENTS: Readonly<Record<string, string>> = {
  'a convertible EPT violation is #VE, its area says what happened':
    '26.5.7.2: the area gets the EPTP-index field as it is; Bochs gives the index of an earlier VMFUNC',
  'a full log exits':
    '29.3.6: only an access that sets a flag needs room in the log; Bochs exits for one whose flags are all set',
  'page-modification logging writes down guest-physical addresses':
    '29.3.6: bits 11:0 of a log entry are 0; Bochs logs the address of the byte',
  'misconfigurations of an entry that refers to a table':
    '29.3.2: bits 20:12 of an entry that maps 2 MiB are reserved; Bochs does not look',
  "violation by setting a flag in the guest's page tables without the right to write":
    '29.3.3.2: setting accessed flags is a write to the paging structure; Bochs lets it pass',
  '"NMI-window exiting" exits when there is no virtual-NMI blocking':
    '27.7.6: with no blocking the exit comes right after the VM entry; Bochs misses it after an earlier virtual NMI',
  'it wakes a guest in the HLT state':
    '27.7.5: an open interrupt window wakes from HLT; in Bochs the guest stays halted',
  'also when RFLAGS.IF is 0': '26.2: with "external-interrupt exiting" RFLAGS.IF does not matter; Bochs waits for it',
  'a shadow VMCS cannot be entered: VMfailInvalid':
    '27.1: a current VMCS that is a shadow VMCS is VMfailInvalid; Bochs ends with VMfailValid',
  'RF in the saved RFLAGS: 1 after a fault':
    '28.3.3: RF is saved as the delivery of the fault would push it, as 1; Bochs saves 0',
  'a virtual interrupt wakes a guest from HLT':
    '30.2.2: virtual-interrupt delivery ends the HLT state; in Bochs the guest stays halted',
  'IA32_APIC_BASE goes to x2APIC mode, where directions and reserved bits count':
    '11.12.10.2: the LDR is derived from the x2APIC ID, 1 for ID 0; Bochs has 0',
  'a disabled APIC is enabled again as xAPIC only':
    '11.4.3: a disabled local APIC may be enabled again; Bochs ignores IA32_APIC_BASE from then on',
  "a page table of the guest's on the page: a guest-physical access exits":
    'table 28-6: access type 15 for a guest-physical access; Bochs reports a read by linear address',
  'read-modify-write is a read and a write; an exit of its read says "write"':
    '28.2.1: bit 12 is what bit 1 of a page fault would be, and that of a read-modify-write is 1; Bochs gives 0',
  'a fetch from it exits': '30.4.6.2: a VM exit with access type 2; Bochs ends itself here',
  'VMCALL in root operation: error 1': '31.3: VMfailValid 1 without the dual-monitor treatment; Bochs would end itself',
};
