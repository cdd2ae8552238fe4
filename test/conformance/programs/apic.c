// APIC virtualization and virtual interrupts (SDM vol. 3, chapter 30). page_a is the virtual-APIC page; page_b the
// APIC-access page, which the guest sees at 0x604000; page_c the posted-interrupt descriptor.
#include "vt.h"

#define VIRTUAL(offset) (((volatile u32 *)page_a)[(offset) / 4])
#define ACCESS_PAGE "0x604000"
#define READ (0ul << 12)
#define WRITE (1ul << 12)
#define FETCH (2ul << 12)

static void
use_tpr_shadow(void)
{
  on(USE_TPR_SHADOW);
  vmwrite(VIRTUAL_APIC, (u64)page_a);
  vmwrite(TPR_THRESHOLD, 0);
  APIC[0x80 / 4] = 0;
}
static void
use_access_page(void)
{
  use_guest_paging();
  guest_pt[4] = (u64)page_b | 7;
  on(VIRTUALIZE_APIC_ACCESSES);
  vmwrite(APIC_ACCESS, (u64)page_b);
  invept(2, 0);
}
static void
use_virtual_interrupts(void)
{
  on(EXTERNAL_INTERRUPT_EXITING);
  on(VIRTUAL_INTERRUPT_DELIVERY);
  vmwrite(GUEST_INTERRUPT_STATUS, 0);
  for (u32 i = 0; i < 4; i++)
    vmwrite(EOI_EXIT_0 + 2 * i, 0);
}

GUEST(cr8_read, "", "movq %cr8, %rdx");
GUEST(cr8_write, "movl $5, %ecx", "movq %rcx, %cr8");
GUEST(cr8_lower, "movl $3, %ecx", "movq %rcx, %cr8");
CASE(tpr_shadow, "\"use TPR shadow\": MOV CR8 reads and writes VTPR, not the local APIC", "control.primary.USE_TPR_SHADOW", "30.3")
{
  use_tpr_shadow();
  VIRTUAL(0x80) = 0x6f;
  PASSES(cr8_read);
  expect("CR8", registers[RDX], 6);
  PASSES(cr8_write);
  expect("VTPR", VIRTUAL(0x80), 0x50);
  expect("TPR of the local APIC", APIC[0x80 / 4], 0);
}
CASE(tpr_threshold, "a TPR below the threshold exits behind the instruction",
     "exit.TPR_BELOW_THRESHOLD control.primary.USE_TPR_SHADOW", "30.1.2")
{
  use_tpr_shadow();
  VIRTUAL(0x80) = 0x50;
  vmwrite(TPR_THRESHOLD, 4);
  START(cr8_lower);
  go();
  expect_exit(43, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)cr8_lower_next);
  VIRTUAL(0x80) = 0x50;
  PASSES(cr8_write);
}
CASE(tpr_threshold_check, "a threshold above VTPR is refused without \"virtualize APIC accesses\"", "control.primary.USE_TPR_SHADOW", "27.2.1.1")
{
  use_tpr_shadow();
  VIRTUAL(0x80) = 0x30;
  vmwrite(TPR_THRESHOLD, 4);
  START(cr8_read);
  expect_refused(7);
}
CASE(tpr_threshold_entry, "with it the exit comes right after the VM entry", "exit.TPR_BELOW_THRESHOLD", "27.7.7")
{
  use_tpr_shadow();
  use_access_page();
  VIRTUAL(0x80) = 0x30;
  vmwrite(TPR_THRESHOLD, 4);
  START(cr8_read);
  go();
  expect_exit(43, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)cr8_read);
}

GUEST(read_tpr, "movl $" ACCESS_PAGE ", %ebx", "movl 0x80(%rbx), %eax");
GUEST(write_tpr, "movl $" ACCESS_PAGE ", %ebx", "movl $0x70, 0x80(%rbx)");
GUEST(read_id, "movl $" ACCESS_PAGE ", %ebx", "movl 0x20(%rbx), %eax");
GUEST(write_id, "movl $" ACCESS_PAGE ", %ebx", "movl $0x1000000, 0x20(%rbx)");
GUEST(write_version, "movl $" ACCESS_PAGE ", %ebx", "movl $1, 0x30(%rbx)");
GUEST(fetch_page, "movl $" ACCESS_PAGE " + 0x40, %eax", "jmp *%rax");
#define ACCESS(name, qualification)                                                                                    \
  do {                                                                                                                 \
    START(name);                                                                                                       \
    go();                                                                                                              \
    expect_exit(44, qualification);                                                                                    \
    expect("guest RIP", vmread(GUEST_RIP), (u64)name##_at);                                                            \
  } while (0)
CASE(access_exits, "accesses to the APIC-access page exit", "exit.APIC_ACCESS control.secondary.VIRTUALIZE_APIC_ACCESSES", "30.4")
{
  use_access_page();
  ACCESS(read_tpr, 0x80 | READ);
  ACCESS(write_tpr, 0x80 | WRITE);
  ACCESS(read_id, 0x20 | READ);
}
CASE(access_tpr, "with \"use TPR shadow\" its TPR is VTPR", "control.secondary.VIRTUALIZE_APIC_ACCESSES control.primary.USE_TPR_SHADOW", "30.4.2, 30.4.3")
{
  use_tpr_shadow();
  use_access_page();
  VIRTUAL(0x80) = 0x20;
  PASSES(read_tpr);
  expect("TPR as read", registers[RAX], 0x20);
  PASSES(write_tpr);
  expect("VTPR", VIRTUAL(0x80), 0x70);
  ACCESS(read_id, 0x20 | READ);
  ACCESS(write_id, 0x20 | WRITE);
}
CASE(register_virtualization, "\"APIC-register virtualization\": reads come from the virtual-APIC page, writes exit behind the instruction",
     "exit.APIC_WRITE exit.APIC_ACCESS control.secondary.APIC_REGISTER_VIRTUALIZATION", "30.4.2, 30.4.3")
{
  use_tpr_shadow();
  use_access_page();
  on(APIC_REGISTER_VIRTUALIZATION);
  VIRTUAL(0x20) = 0x5000000;
  PASSES(read_id);
  expect("identifier as read", registers[RAX], 0x5000000);
  START(write_id);
  go();
  expect_exit(56, 0x20);
  expect("guest RIP", vmread(GUEST_RIP), (u64)write_id_next);
  expect("identifier in the virtual-APIC page", VIRTUAL(0x20), 0x1000000);
  ACCESS(write_version, 0x30 | WRITE);
}

GUEST(rdmsr_tpr, "movl $0x808, %ecx", "rdmsr");
GUEST(wrmsr_tpr, "movl $0x808, %ecx\n movl $0x90, %eax\n xorl %edx, %edx", "wrmsr");
GUEST(rdmsr_id, "movl $0x802, %ecx", "rdmsr");
static void
use_x2apic(void)
{
  use_tpr_shadow();
  on(VIRTUALIZE_X2APIC_MODE);
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
}
CASE(x2apic_tpr, "\"virtualize x2APIC mode\": MSR 808H is VTPR", "control.secondary.VIRTUALIZE_X2APIC_MODE", "30.5")
{
  use_x2apic();
  VIRTUAL(0x80) = 0x30;
  PASSES(rdmsr_tpr);
  expect("TPR as read", registers[RAX], 0x30);
  PASSES(wrmsr_tpr);
  expect("VTPR", VIRTUAL(0x80), 0x90);
}
CASE(x2apic_registers, "with \"APIC-register virtualization\" the other registers too", "control.secondary.VIRTUALIZE_X2APIC_MODE control.secondary.APIC_REGISTER_VIRTUALIZATION", "30.5")
{
  use_x2apic();
  on(APIC_REGISTER_VIRTUALIZATION);
  VIRTUAL(0x20) = 0x1234;
  PASSES(rdmsr_id);
  expect("identifier as read", registers[RAX], 0x1234);
}

GUEST(enabled, "", "sti\n nop\n nop\n nop");
CASE(virtual_interrupt, "\"virtual-interrupt delivery\": a pending virtual interrupt is delivered, RVI, SVI, VIRR, VISR follow",
     "control.secondary.VIRTUAL_INTERRUPT_DELIVERY", "30.2.2")
{
  use_tpr_shadow();
  use_virtual_interrupts();
  vmwrite(GUEST_INTERRUPT_STATUS, 0x51);
  VIRTUAL(0x200 + 0x20) = 1 << 0x11;
  vmwrite(GUEST_RFLAGS, 0x202);
  START(enabled);
  go();
  expect_exit(18, 0);
  expect("vector in the guest", trap.vector, 0x51);
  expect("pushed RIP", trap.rip, (u64)enabled);
  expect("guest interrupt status", vmread(GUEST_INTERRUPT_STATUS), 0x5100);
  expect("VIRR", VIRTUAL(0x200 + 0x20), 0);
  expect("VISR", VIRTUAL(0x100 + 0x20), 1 << 0x11);
  expect("VPPR", VIRTUAL(0xa0), 0x50);
}
CASE(virtual_interrupt_priority, "VTPR holds a virtual interrupt back", "control.secondary.VIRTUAL_INTERRUPT_DELIVERY", "30.2.1")
{
  use_tpr_shadow();
  use_virtual_interrupts();
  vmwrite(GUEST_INTERRUPT_STATUS, 0x51);
  VIRTUAL(0x200 + 0x20) = 1 << 0x11;
  VIRTUAL(0x80) = 0x50;
  PASSES(enabled);
  expect("guest interrupt status", vmread(GUEST_INTERRUPT_STATUS), 0x51);
}
CASE(virtual_interrupt_disabled, "RFLAGS.IF holds it back until STI and its shadow", "control.secondary.VIRTUAL_INTERRUPT_DELIVERY", "30.2.2")
{
  use_tpr_shadow();
  use_virtual_interrupts();
  vmwrite(GUEST_INTERRUPT_STATUS, 0x51);
  VIRTUAL(0x200 + 0x20) = 1 << 0x11;
  START(enabled);
  go();
  expect_exit(18, 0);
  expect("vector in the guest", trap.vector, 0x51);
  expect("pushed RIP", trap.rip, (u64)enabled + 2);
}
GUEST(write_eoi, "movl $" ACCESS_PAGE ", %ebx", "movl $0, 0xb0(%rbx)");
static void
in_service(u32 vector)
{
  vmwrite(GUEST_INTERRUPT_STATUS, vector << 8);
  VIRTUAL(0x100 + vector / 32 * 16) = 1u << (vector & 31);
}
CASE(virtual_eoi, "an EOI is virtualized: VISR, SVI and VPPR follow", "control.secondary.VIRTUAL_INTERRUPT_DELIVERY", "30.1.4")
{
  use_tpr_shadow();
  use_access_page();
  use_virtual_interrupts();
  in_service(0x51);
  PASSES(write_eoi);
  expect("guest interrupt status", vmread(GUEST_INTERRUPT_STATUS), 0);
  expect("VISR", VIRTUAL(0x100 + 0x20), 0);
}
CASE(virtual_eoi_exits, "the EOI-exit bitmap makes it exit", "exit.VIRTUALIZED_EOI control.secondary.VIRTUAL_INTERRUPT_DELIVERY", "30.1.4")
{
  use_tpr_shadow();
  use_access_page();
  use_virtual_interrupts();
  in_service(0x51);
  vmwrite(EOI_EXIT_0 + 2, 1ul << 0x11);
  START(write_eoi);
  go();
  expect_exit(45, 0x51);
  expect("guest RIP", vmread(GUEST_RIP), (u64)write_eoi_next);
  expect("guest interrupt status", vmread(GUEST_INTERRUPT_STATUS), 0);
}
GUEST(self_ipi, "sti\n movl $0x83f, %ecx\n movl $0x61, %eax\n xorl %edx, %edx", "wrmsr\n nop\n nop");
CASE(virtual_self_ipi, "a self-IPI is virtualized", "control.secondary.VIRTUAL_INTERRUPT_DELIVERY control.secondary.VIRTUALIZE_X2APIC_MODE", "30.1.5")
{
  use_x2apic();
  use_virtual_interrupts();
  START(self_ipi);
  go();
  expect_exit(18, 0);
  expect("vector in the guest", trap.vector, 0x61);
  expect("guest interrupt status", vmread(GUEST_INTERRUPT_STATUS), 0x6100);
}
CASE(virtual_halted, "a virtual interrupt wakes a guest from HLT", "control.secondary.VIRTUAL_INTERRUPT_DELIVERY", "30.2.2")
{
  GUEST(waits, "sti", "hlt");
  use_tpr_shadow();
  use_virtual_interrupts();
  on(ACTIVATE_PREEMPTION_TIMER);
  vmwrite(PREEMPTION_TIMER, 100000);
  vmwrite(ACTIVITY, 1);
  vmwrite(GUEST_RFLAGS, 0x202);
  vmwrite(GUEST_INTERRUPT_STATUS, 0x51);
  VIRTUAL(0x200 + 0x20) = 1 << 0x11;
  START(waits);
  go();
  expect_exit(18, 0);
  expect("vector in the guest", trap.vector, 0x51);
}
CASE(posted, "a posted interrupt is taken from the descriptor and delivered",
     "control.pin.PROCESS_POSTED_INTERRUPTS control.secondary.VIRTUAL_INTERRUPT_DELIVERY", "30.6")
{
  use_tpr_shadow();
  use_virtual_interrupts();
  on(ACKNOWLEDGE_INTERRUPT);
  on(PROCESS_POSTED_INTERRUPTS);
  vmwrite(POSTED_VECTOR, 0xf2);
  vmwrite(POSTED_DESCRIPTOR, (u64)page_c);
  ((volatile u32 *)page_c)[0x53 / 32] = 1 << 0x13;
  ((volatile u32 *)page_c)[8] = 1; // ON
  APIC[0x300 / 4] = 0x400f2;
  vmwrite(GUEST_RFLAGS, 0x202);
  START(enabled);
  go();
  expect_exit(18, 0);
  expect("vector in the guest", trap.vector, 0x53);
  expect("guest interrupt status", vmread(GUEST_INTERRUPT_STATUS), 0x5300);
  expect("posted-interrupt requests", ((u32 *)page_c)[0x53 / 32], 0);
  expect("ON", ((u32 *)page_c)[8] & 1, 0);
  __asm__ volatile("sti\n nop\n nop\n cli");
  expect("interrupts that the host takes", host_interrupts, 0);
}
CASE(posted_other, "another vector still exits", "exit.EXTERNAL_INTERRUPT control.pin.PROCESS_POSTED_INTERRUPTS", "30.6")
{
  use_tpr_shadow();
  use_virtual_interrupts();
  on(ACKNOWLEDGE_INTERRUPT);
  on(PROCESS_POSTED_INTERRUPTS);
  vmwrite(POSTED_VECTOR, 0xf2);
  vmwrite(POSTED_DESCRIPTOR, (u64)page_c);
  APIC[0x300 / 4] = 0x40055;
  vmwrite(GUEST_RFLAGS, 0x202);
  START(enabled);
  go();
  expect_exit(1, 0);
  expect("interruption information", vmread(EXIT_EVENT), 0x80000055);
  APIC[0xb0 / 4] = 0;
}

// --- Forms of accesses to the APIC-access page ---

GUEST(read_tpr_byte, "movl $" ACCESS_PAGE ", %ebx", "movzbl 0x80(%rbx), %eax");
GUEST(read_tpr_second, "movl $" ACCESS_PAGE ", %ebx", "movzbl 0x81(%rbx), %eax");
GUEST(read_tpr_quad, "movl $" ACCESS_PAGE ", %ebx", "movq 0x80(%rbx), %rax");
GUEST(read_tpr_across, "movl $" ACCESS_PAGE ", %ebx", "movl 0x82(%rbx), %eax");
GUEST(read_beside_tpr, "movl $" ACCESS_PAGE ", %ebx", "movl 0x84(%rbx), %eax");
GUEST(or_tpr, "movl $" ACCESS_PAGE ", %ebx", "orl $0x40, 0x80(%rbx)");
GUEST(or_id, "movl $" ACCESS_PAGE ", %ebx", "orl $0x40, 0x20(%rbx)");
GUEST(read_ppr, "movl $" ACCESS_PAGE ", %ebx", "movl 0xa0(%rbx), %eax");
CASE(access_forms, "only accesses at the offset of the TPR and within 4 bytes are virtualized", "exit.APIC_ACCESS control.secondary.VIRTUALIZE_APIC_ACCESSES", "30.4.2")
{
  use_tpr_shadow();
  use_access_page();
  VIRTUAL(0x80) = 0x1234;
  PASSES(read_tpr_byte);
  expect("byte as read", registers[RAX], 0x34);
  ACCESS(read_tpr_second, 0x81 | READ);
  ACCESS(read_tpr_quad, 0x80 | READ);
  ACCESS(read_tpr_across, 0x82 | READ);
  ACCESS(read_beside_tpr, 0x84 | READ);
}
CASE(access_modify, "read-modify-write is a read and a write; an exit of its read says \"write\"", "exit.APIC_ACCESS", "28.2.1, 30.4.3")
{
  use_tpr_shadow();
  use_access_page();
  VIRTUAL(0x80) = 0x13;
  PASSES(or_tpr);
  expect("VTPR", VIRTUAL(0x80), 0x53);
  ACCESS(or_id, 0x20 | WRITE);
}
CASE(access_ppr, "\"APIC-register virtualization\" does not read the PPR", "exit.APIC_ACCESS control.secondary.APIC_REGISTER_VIRTUALIZATION", "30.4.2")
{
  use_tpr_shadow();
  use_access_page();
  on(APIC_REGISTER_VIRTUALIZATION);
  ACCESS(read_ppr, 0xa0 | READ);
}
CASE(access_tpr_threshold, "a write to VTPR clears its other bytes, and exits behind the instruction below the threshold", "exit.TPR_BELOW_THRESHOLD", "30.4.3.2")
{
  GUEST(lower_tpr, "movl $" ACCESS_PAGE ", %ebx", "movl $0x12345637, 0x80(%rbx)");
  use_tpr_shadow();
  use_access_page();
  VIRTUAL(0x80) = 0x50;
  vmwrite(TPR_THRESHOLD, 4);
  START(lower_tpr);
  go();
  expect_exit(43, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)lower_tpr_next);
  expect("VTPR", VIRTUAL(0x80), 0x37);
}
CASE(eoi_write, "an EOI without \"virtual-interrupt delivery\" is an APIC-write VM exit", "exit.APIC_WRITE control.secondary.APIC_REGISTER_VIRTUALIZATION", "30.4.3.2")
{
  use_tpr_shadow();
  use_access_page();
  on(APIC_REGISTER_VIRTUALIZATION);
  START(write_eoi);
  go();
  expect_exit(56, 0xb0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)write_eoi_next);
}
GUEST(write_icr_high, "movl $" ACCESS_PAGE ", %ebx", "movl $0x12345678, 0x310(%rbx)");
CASE(icr_high, "a write to ICR high keeps its top byte, without an exit", "control.secondary.APIC_REGISTER_VIRTUALIZATION", "30.4.3.2")
{
  use_tpr_shadow();
  use_access_page();
  on(APIC_REGISTER_VIRTUALIZATION);
  PASSES(write_icr_high);
  expect("VICR_HI", VIRTUAL(0x310), 0x12000000);
}
GUEST(icr_self, "movl $" ACCESS_PAGE ", %ebx\n sti", "movl $0x40061, 0x300(%rbx)\n nop\n nop");
GUEST(icr_other, "movl $" ACCESS_PAGE ", %ebx", "movl $0xc0061, 0x300(%rbx)");
CASE(icr_self_ipi, "a self-IPI by ICR low is virtualized, any other command is an APIC-write VM exit",
     "exit.APIC_WRITE control.secondary.VIRTUAL_INTERRUPT_DELIVERY", "30.4.3.2")
{
  use_tpr_shadow();
  use_access_page();
  use_virtual_interrupts();
  START(icr_self);
  go();
  expect_exit(18, 0);
  expect("vector in the guest", trap.vector, 0x61);
  clear_page(page_a);
  vmwrite(GUEST_INTERRUPT_STATUS, 0);
  vmwrite(GUEST_RFLAGS, 2);
  START(icr_other);
  go();
  expect_exit(56, 0x300);
  expect("guest RIP", vmread(GUEST_RIP), (u64)icr_other_next);
}
GUEST(access_delivery, "movl $" ACCESS_PAGE " + 0x100, %esp", "int $0x40");
CASE(access_in_delivery, "an access of event delivery to the page says so", "exit.APIC_ACCESS", "28.2.1, 30.4.3.1")
{
  use_tpr_shadow();
  use_access_page();
  START(access_delivery);
  go();
  expect("exit reason", vmread(EXIT_REASON), 44);
  expect("access type", vmread(QUALIFICATION) >> 12, 3);
  expect("IDT-vectoring information", vmread(VECTORING_EVENT), 0x80000440);
  expect("instruction length", vmread(EXIT_LENGTH), 2);
}
GUEST(read_mapped, "movl $" ACCESS_PAGE ", %ebx", "movl (%rbx), %eax");
CASE(access_guest_physical, "a page table of the guest's on the page: a guest-physical access exits", "exit.APIC_ACCESS", "30.4.6.1")
{
  use_guest_paging();
  use_ept();
  u64 *guest_pd = (u64 *)(((u64 *)(guest_pml4[0] & ~0xffful))[0] & ~0xffful);
  guest_pd[PAGING_AREA >> 21] = EPT_AREA | 5 << 12 | 7;
  ept_pt[5] = (u64)guest_pt | 6 << 3 | 7;
  on(VIRTUALIZE_APIC_ACCESSES);
  vmwrite(APIC_ACCESS, (u64)guest_pt);
  START(read_mapped);
  go();
  expect("exit reason", vmread(EXIT_REASON), 44);
  expect("access type", vmread(QUALIFICATION) >> 12, 15);
}

// --- Virtual interrupts ---

GUEST(cr8_releases, "movl $4, %ecx\n sti", "movq %rcx, %cr8\n nop\n nop");
CASE(cr8_release, "a lower CR8 releases a virtual interrupt, whatever the TPR threshold", "control.secondary.VIRTUAL_INTERRUPT_DELIVERY", "30.1.2")
{
  use_tpr_shadow();
  use_virtual_interrupts();
  vmwrite(TPR_THRESHOLD, 15);
  VIRTUAL(0x80) = 0x50;
  VIRTUAL(0x200 + 0x20) = 1 << 0x11;
  vmwrite(GUEST_INTERRUPT_STATUS, 0x51);
  START(cr8_releases);
  go();
  expect_exit(18, 0);
  expect("vector in the guest", trap.vector, 0x51);
  expect("guest interrupt status", vmread(GUEST_INTERRUPT_STATUS), 0x5100);
}
GUEST(eoi_msr, "sti\n movl $0x80b, %ecx\n xorl %eax, %eax\n xorl %edx, %edx", "wrmsr\n nop\n nop");
CASE(eoi_by_msr, "an EOI by MSR starts the next virtual interrupt", "control.secondary.VIRTUAL_INTERRUPT_DELIVERY control.secondary.VIRTUALIZE_X2APIC_MODE", "30.5")
{
  use_x2apic();
  use_virtual_interrupts();
  vmwrite(GUEST_INTERRUPT_STATUS, 0x6251);
  VIRTUAL(0x100 + 0x30) = 1 << 2;
  VIRTUAL(0x200 + 0x20) = 1 << 0x11;
  START(eoi_msr);
  go();
  expect_exit(18, 0);
  expect("vector in the guest", trap.vector, 0x51);
  expect("guest interrupt status", vmread(GUEST_INTERRUPT_STATUS), 0x5100);
}
GUEST(self_ipi_15, "movl $0x83f, %ecx\n movl $15, %eax\n xorl %edx, %edx", "wrmsr");
CASE(self_ipi_illegal, "a self-IPI with a vector below 16 is an APIC-write VM exit", "exit.APIC_WRITE", "30.5")
{
  use_x2apic();
  use_virtual_interrupts();
  START(self_ipi_15);
  go();
  expect_exit(56, 0x3f0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)self_ipi_15_next);
}
GUEST(tpr_reserved, "movl $0x808, %ecx\n movl $0x100, %eax\n xorl %edx, %edx", "wrmsr");
GUEST(eoi_reserved, "movl $0x80b, %ecx\n movl $1, %eax\n xorl %edx, %edx", "wrmsr");
GUEST(rdmsr_ppr, "movl $0x80a, %ecx", "rdmsr");
CASE(x2apic_faults, "reserved bits are #GP(0), and so are other registers outside x2APIC mode", "control.secondary.VIRTUALIZE_X2APIC_MODE", "30.5")
{
  use_x2apic();
  use_virtual_interrupts();
  TRAPS(tpr_reserved, 13, 0);
  TRAPS(eoi_reserved, 13, 0);
  TRAPS(rdmsr_ppr, 13, 0);
}

// --- The local APIC's own modes ---

#define APIC_BASE_GUEST(name, low) GUEST(name, "movl $0x1b, %ecx\n movl $0xfee00000 + " #low ", %eax\n xorl %edx, %edx", "wrmsr")
APIC_BASE_GUEST(apic_disabled, 0x100);
APIC_BASE_GUEST(apic_invalid, 0x500);
APIC_BASE_GUEST(apic_xapic, 0x900);
APIC_BASE_GUEST(apic_x2apic, 0xd00);
APIC_BASE_GUEST(apic_reserved, 0x901);
GUEST(real_id, "movl $0x802, %ecx", "rdmsr");
GUEST(real_ldr, "movl $0x80d, %ecx", "rdmsr");
GUEST(real_dfr, "movl $0x80e, %ecx", "rdmsr");
GUEST(real_eoi, "movl $0x80b, %ecx\n movl $1, %eax\n xorl %edx, %edx", "wrmsr");
GUEST(real_icr, "movl $0x830, %ecx\n movl $0x100000, %eax\n xorl %edx, %edx", "wrmsr");
GUEST(real_id_write, "movl $0x802, %ecx\n xorl %eax, %eax\n xorl %edx, %edx", "wrmsr");
// The compiler puts the last of these first. Bochs ends itself in access_fetch, and has no way back from a disabled APIC.
LAST_CASE(access_fetch, "a fetch from it exits", "exit.APIC_ACCESS", "30.4.6.2")
{
  use_access_page();
  ((u32 *)page_b)[0x40 / 4] = 0xc1010f; // VMCALL, for a machine that fetches it
  START(fetch_page);
  go();
  expect_exit(44, 0x40 | FETCH);
}
LAST_CASE(apic_disabled_mode, "a disabled APIC is enabled again as xAPIC only", "", "11.4.3, 11.12.5")
{
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
  PASSES(apic_disabled);
  TRAPS(apic_x2apic, 13, 0);
  TRAPS(apic_invalid, 13, 0);
  PASSES(apic_xapic);
  expect("spurious-interrupt vector register", APIC[0xf0 / 4], 0xff);
}
LAST_CASE(apic_x2apic_mode, "IA32_APIC_BASE goes to x2APIC mode, where directions and reserved bits count", "", "11.12.1, 11.12.5")
{
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
  TRAPS(apic_invalid, 13, 0);
  TRAPS(apic_reserved, 13, 0);
  TRAPS(real_id, 13, 0);
  PASSES(apic_x2apic);
  TRAPS(apic_xapic, 13, 0);
  TRAPS(apic_invalid, 13, 0);
  PASSES(real_id);
  expect("x2APIC ID", registers[RAX], 0);
  PASSES(real_ldr);
  expect("LDR", registers[RAX], 1);
  TRAPS(real_dfr, 13, 0);
  TRAPS(real_eoi, 13, 0);
  TRAPS(real_icr, 13, 0);
  TRAPS(real_id_write, 13, 0);
}
