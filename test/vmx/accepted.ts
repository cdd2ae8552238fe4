import { Cr0, Efer } from '../../emulator/arch/control-registers';
import { Entry, Exit, Pin, Primary, Secondary } from '../../emulator/arch/controls';
import { interruptionInformation, InterruptionType } from '../../emulator/arch/interruption';
import { enableEpt, make32BitGuest, makeVirtual8086Guest, OTHER_VMCS, PDPT_PAE, type VmxBench } from './bench';

/** Values beside the violations that must be accepted: a rule that refuses too much fails here. */
export const ACCEPTED: Readonly<Record<string, (bench: VmxBench) => void>> = {
  'a 32-bit guest': (b) => make32BitGuest(b),
  'a PAE guest with PDPTEs in memory': (b) => {
    make32BitGuest(b, true);
    b.set('GUEST_CR3', PDPT_PAE);
  },
  'a PAE guest under EPT, whose PDPTEs in memory do not count': (b) => {
    make32BitGuest(b, true);
    b.set('GUEST_CR3', PDPT_PAE);
    b.write64(PDPT_PAE, 3n);
    enableEpt(b);
  },
  'a PDPTE that is not present with any other bit': (b) => {
    make32BitGuest(b, true);
    enableEpt(b);
    b.set('GUEST_PDPTE1', 0xffff_ffff_ffff_fffen);
  },
  'a virtual-8086 guest': makeVirtual8086Guest,
  'a real-mode guest with "unrestricted guest"': (b) => {
    make32BitGuest(b);
    enableEpt(b, Secondary.UNRESTRICTED_GUEST);
    b.clear('GUEST_CR0', Cr0.PE | Cr0.PG);
    b.set('GUEST_CS_ACCESS_RIGHTS', 0x93);
    b.set('GUEST_CS_LIMIT', 0xffff);
    b.set('GUEST_SS_SELECTOR', 0x1003);
    b.set('GUEST_DS_SELECTOR', 0x1003);
  },
  'unusable data segments, whatever else they hold': (b) => {
    for (const name of ['DS', 'ES', 'FS', 'GS'] as const) {
      b.set(`GUEST_${name}_ACCESS_RIGHTS`, 0x1_0f00);
      b.set(`GUEST_${name}_LIMIT`, 0xffff_fffe);
    }
  },
  'an unusable SS with a 64-bit base field': (b) => {
    b.set('GUEST_SS_ACCESS_RIGHTS', 0x1_0000);
    b.set('GUEST_SS_BASE', 1n << 40n);
  },
  'conforming code with a lower DPL than SS': (b) => {
    b.set('GUEST_CS_SELECTOR', 11);
    b.set('GUEST_SS_SELECTOR', 19);
    b.set('GUEST_SS_ACCESS_RIGHTS', 0xc0f3);
    b.set('GUEST_CS_ACCESS_RIGHTS', 0xa09f);
    for (const name of ['DS', 'ES', 'FS', 'GS'] as const) b.set(`GUEST_${name}_SELECTOR`, 16);
  },
  'readable code in DS with a higher RPL when it conforms': (b) => {
    b.set('GUEST_DS_ACCESS_RIGHTS', 0xc09f);
    b.set('GUEST_DS_SELECTOR', 19);
  },
  'a 16-bit busy TSS outside IA-32e mode': (b) => {
    make32BitGuest(b);
    b.set('GUEST_TR_ACCESS_RIGHTS', 0x83);
  },
  'a RIP whose bit 47 differs from those above': (b) => b.set('GUEST_RIP', 0x8000_0000_0000n),
  'page-granular limits with G': (b) => {
    b.set('GUEST_DS_LIMIT', 0xfff);
    b.set('GUEST_ES_LIMIT', 0xf_ffff);
  },
  'addresses of features that are off': (b) => {
    b.set('IO_BITMAP_A', 1);
    b.set('MSR_BITMAPS', 1);
    b.set('EPT_POINTER', 0xfff);
    b.set('EXIT_MSR_LOAD_ADDRESS', 1);
  },
  'secondary controls that are not activated': (b) => b.set('SECONDARY_PROCESSOR_CONTROLS', 0xffff_ffff),
  'EFER, PAT and debug registers that are not loaded': (b) => {
    b.set('GUEST_IA32_EFER', 0xffffn);
    b.set('GUEST_IA32_PAT', 0xffn);
    b.set('HOST_IA32_PAT', 0xffn);
    b.set('HOST_IA32_EFER', 0xffn);
    b.set('GUEST_IA32_DEBUGCTL', 0xff0n);
    b.set('GUEST_DR7', 1n << 40n);
  },
  'EFER with LME and not LMA when the guest does not page': (b) => {
    make32BitGuest(b);
    enableEpt(b, Secondary.UNRESTRICTED_GUEST);
    b.clear('GUEST_CR0', Cr0.PG);
    b.or('ENTRY_CONTROLS', Entry.LOAD_EFER);
    b.set('GUEST_IA32_EFER', Efer.LME);
  },
  'a null host SS with a 64-bit host': (b) => b.set('HOST_SS_SELECTOR', 0),
  'an event whose valid bit is clear': (b) => b.set('ENTRY_INTERRUPTION_INFORMATION', 0x7fff_ffff),
  'an EPT pointer for uncached tables with accessed and dirty flags': (b) => {
    enableEpt(b);
    b.set('EPT_POINTER', 0x9000n | (3n << 3n) | 0x40n);
  },
  'NMI-window exiting with virtual NMIs': (b) => {
    b.or('PIN_BASED_CONTROLS', Pin.NMI_EXITING | Pin.VIRTUAL_NMIS);
    b.or('PRIMARY_PROCESSOR_CONTROLS', Primary.NMI_WINDOW_EXITING);
  },
  'saving the preemption timer when it runs': (b) => {
    b.or('PIN_BASED_CONTROLS', Pin.ACTIVATE_PREEMPTION_TIMER);
    b.or('EXIT_CONTROLS', Exit.SAVE_PREEMPTION_TIMER);
  },
  'a link pointer to another VMCS region': (b) => b.set('VMCS_LINK_POINTER', OTHER_VMCS),
  'a single step that waits behind MOV SS': (b) => {
    b.set('GUEST_INTERRUPTIBILITY', 2);
    b.or('GUEST_RFLAGS', 0x100);
    b.set('GUEST_PENDING_DEBUG_EXCEPTIONS', 0x4000);
  },
  'no single step behind MOV SS with branch trap': (b) => {
    b.set('GUEST_INTERRUPTIBILITY', 2);
    b.or('GUEST_RFLAGS', 0x100);
    b.set('GUEST_IA32_DEBUGCTL', 2);
  },
  'software interrupt of length 0': (b) =>
    b.set('ENTRY_INTERRUPTION_INFORMATION', interruptionInformation(0x80, InterruptionType.SOFTWARE_INTERRUPT, false)),
  'a debug exception injected into HLT': (b) => {
    b.set('GUEST_ACTIVITY_STATE', 1);
    b.set('ENTRY_INTERRUPTION_INFORMATION', interruptionInformation(1, InterruptionType.HARDWARE_EXCEPTION, false));
  },
};
