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
LAST_CASE(access_fetch, "a fetch from it exits", "exit.APIC_ACCESS", "30.4.6.2")
{
  use_access_page();
  ((u32 *)page_b)[0x40 / 4] = 0xc1010f; // VMCALL, for a machine that fetches it
  START(fetch_page);
  go();
  expect_exit(44, 0x40 | FETCH);
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
