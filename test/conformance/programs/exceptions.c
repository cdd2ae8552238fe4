// Exceptions in the guest and events that VM entry injects (SDM vol. 3, 26.2, 26.5.2, 27.6, 28.2.2 to 28.2.4).
#include "vt.h"

#define VALID_EVENT 0x80000000u
#define HARDWARE (3u << 8)
#define SOFTWARE_INTERRUPT (4u << 8)
#define PRIVILEGED_SOFTWARE (5u << 8)
#define SOFTWARE_EXCEPTION (6u << 8)
#define NMI (2u << 8)
#define WITH_ERROR (1u << 11)

static void
expect_event(u32 event)
{
  expect_exit(0, 0);
  expect("interruption information", vmread(EXIT_EVENT), event);
}

GUEST(ud2, "", "ud2");
GUEST(int3, "", "int3");
GUEST(int1, "", ".byte 0xf1");
GUEST(int_n, "", "int $0x70");
GUEST(divide, "xorl %edx, %edx\n xorl %ecx, %ecx", "divl %ecx");
GUEST(protection, "btsq $60, %rbx", "movq (%rbx), %rax");
GUEST(null_selector, "movl $0x78, %eax", "movl %eax, %ds");
GUEST(stack_fault, "movq %rsp, %r15\n btsq $60, %rsp", "popq %rax");

CASE(exception_bit, "an exception exits by its bit in the exception bitmap", "exit.EXCEPTION_OR_NMI", "26.2")
{
  START(ud2);
  vmwrite(EXCEPTION_BITMAP, 1 << 6);
  go();
  expect_event(VALID_EVENT | HARDWARE | 6);
  expect("guest RIP", vmread(GUEST_RIP), (u64)ud2_at);
  vmwrite(EXCEPTION_BITMAP, ~(1u << 6));
  TRAPS(ud2, 6, 0);
}
CASE(exception_error, "an exception with an error code", "exit.EXCEPTION_OR_NMI", "28.2.2")
{
  START(null_selector);
  vmwrite(EXCEPTION_BITMAP, 1 << 13);
  go();
  expect_event(VALID_EVENT | HARDWARE | WITH_ERROR | 13);
  expect("error code", vmread(EXIT_EVENT_ERROR), 0x78);
}
CASE(exception_divide, "#DE", "exit.EXCEPTION_OR_NMI", "26.2")
{
  START(divide);
  vmwrite(EXCEPTION_BITMAP, 1);
  go();
  expect_event(VALID_EVENT | HARDWARE | 0);
}
CASE(exception_stack, "#SS", "exit.EXCEPTION_OR_NMI", "26.2")
{
  START(stack_fault);
  vmwrite(EXCEPTION_BITMAP, 1 << 12);
  go();
  expect_event(VALID_EVENT | HARDWARE | WITH_ERROR | 12);
  expect("error code", vmread(EXIT_EVENT_ERROR), 0);
}
CASE(exception_int3, "INT3 is a software exception and has a length", "exit.EXCEPTION_OR_NMI", "28.2.2")
{
  START(int3);
  vmwrite(EXCEPTION_BITMAP, 1 << 3);
  go();
  expect_event(VALID_EVENT | SOFTWARE_EXCEPTION | 3);
  expect("instruction length", vmread(EXIT_LENGTH), 1);
  expect("guest RIP", vmread(GUEST_RIP), (u64)int3_at);
}
CASE(exception_int1, "INT1 is a privileged software exception", "exit.EXCEPTION_OR_NMI", "28.2.2")
{
  START(int1);
  vmwrite(EXCEPTION_BITMAP, 1 << 1);
  go();
  expect_event(VALID_EVENT | PRIVILEGED_SOFTWARE | 1);
  expect("instruction length", vmread(EXIT_LENGTH), 1);
}
CASE(software_interrupt, "INT n does not exit by the exception bitmap", "", "26.2")
{
  GUEST(int_3_long, "", "int $6");
  vmwrite(EXCEPTION_BITMAP, -1u);
  START(int_3_long);
  go();
  expect_exit(18, 0);
  expect("vector", trap.vector, 6);
  expect("pushed RIP", trap.rip, (u64)int_3_long_next);
}
GUEST(page_fault, "movl $0x601000, %ebx", "movl %eax, 8(%rbx)");
CASE(page_fault_exits, "#PF: the linear address is the qualification, CR2 stays", "exit.EXCEPTION_OR_NMI", "28.2.1")
{
  use_guest_paging();
  guest_pt[1] = 0;
  __asm__ volatile("movq %0, %%cr2" : : "r"(0x77ul));
  vmwrite(EXCEPTION_BITMAP, 1 << 14);
  START(page_fault);
  go();
  expect_exit(0, 0x601008);
  expect("interruption information", vmread(EXIT_EVENT), VALID_EVENT | HARDWARE | WITH_ERROR | 14);
  expect("error code", vmread(EXIT_EVENT_ERROR), 2);
  u64 cr2;
  __asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
  expect("CR2", cr2, 0x77);
}
CASE(page_fault_mask, "page-fault mask and match decide which #PF exit", "exit.EXCEPTION_OR_NMI", "26.2")
{
  use_guest_paging();
  guest_pt[1] = 0;
  vmwrite(EXCEPTION_BITMAP, 1 << 14);
  vmwrite(PF_MASK, 3), vmwrite(PF_MATCH, 1);
  TRAPS(page_fault, 14, 2);
  expect("CR2 in the guest", trap.cr2, 0x601008);
  vmwrite(PF_MATCH, 2);
  START(page_fault);
  go();
  expect("exit reason", vmread(EXIT_REASON), 0);
  vmwrite(EXCEPTION_BITMAP, 0);
  TRAPS(page_fault, 14, 2);
  vmwrite(PF_MATCH, 1);
  START(page_fault);
  go();
  expect("exit reason with a clear bit and no match", vmread(EXIT_REASON), 0);
}
CASE(single_step, "a single-step trap: qualification and pending debug exceptions", "exit.EXCEPTION_OR_NMI", "28.2.1")
{
  GUEST(step, "", "nop\n nop");
  vmwrite(EXCEPTION_BITMAP, 1 << 1);
  vmwrite(GUEST_RFLAGS, 0x102);
  START(step);
  go();
  expect_exit(0, 0x4000);
  expect("interruption information", vmread(EXIT_EVENT), VALID_EVENT | HARDWARE | 1);
  expect("guest RIP", vmread(GUEST_RIP), (u64)step_at + 1);
}
CASE(breakpoint, "an instruction breakpoint: qualification", "exit.EXCEPTION_OR_NMI control.entry.LOAD_DEBUG_CONTROLS", "28.2.1")
{
  GUEST(broken, "", "nop");
  vmwrite(EXCEPTION_BITMAP, 1 << 1);
  on(LOAD_DEBUG_CONTROLS);
  vmwrite(GUEST_DR7, 0x402);
  __asm__ volatile("movq %0, %%dr0" : : "r"(broken_at));
  START(broken);
  go();
  expect_exit(0, 1);
  expect("guest RIP", vmread(GUEST_RIP), (u64)broken_at);
}
CASE(triple, "a triple fault exits", "exit.TRIPLE_FAULT", "26.2")
{
  vmwrite(GUEST_IDTR_LIMIT, 0);
  START(ud2);
  go();
  expect_exit(2, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)ud2_at);
}
CASE(double_fault, "an exit by #DF while another exception is delivered: IDT-vectoring information", "exit.EXCEPTION_OR_NMI", "28.2.4")
{
  vmwrite(GUEST_IDTR_LIMIT, 8 * 16 + 15);
  vmwrite(EXCEPTION_BITMAP, 1 << 8);
  START(null_selector);
  go();
  expect_event(VALID_EVENT | HARDWARE | WITH_ERROR | 8);
  expect("error code", vmread(EXIT_EVENT_ERROR), 0);
}
CASE(vectoring, "an exception during the delivery of another: IDT-vectoring information", "exit.EXCEPTION_OR_NMI", "28.2.4")
{
  vmwrite(GUEST_IDTR_LIMIT, 5 * 16 + 15);
  vmwrite(EXCEPTION_BITMAP, 1 << 13);
  START(ud2);
  go();
  expect_event(VALID_EVENT | HARDWARE | WITH_ERROR | 13);
  expect("error code", vmread(EXIT_EVENT_ERROR), 6 << 3 | 2 | 1);
  expect("IDT-vectoring information", vmread(VECTORING_EVENT), VALID_EVENT | HARDWARE | 6);
}
CASE(vectoring_software, "an exception during INT n: IDT-vectoring information and length", "exit.EXCEPTION_OR_NMI", "28.2.4")
{
  vmwrite(GUEST_IDTR_LIMIT, 31 * 16 + 15);
  vmwrite(EXCEPTION_BITMAP, 1 << 13);
  START(int_n);
  go();
  expect_event(VALID_EVENT | HARDWARE | WITH_ERROR | 13);
  expect("error code", vmread(EXIT_EVENT_ERROR), 0x70 << 3 | 2);
  expect("IDT-vectoring information", vmread(VECTORING_EVENT), VALID_EVENT | SOFTWARE_INTERRUPT | 0x70);
  expect("instruction length", vmread(EXIT_LENGTH), 2);
}

GUEST(after_event, "", "nop");
static void
inject(u32 event, u32 error, u32 length)
{
  vmwrite(ENTRY_EVENT, event);
  vmwrite(ENTRY_ERROR_CODE, error);
  vmwrite(ENTRY_LENGTH, length);
}
static void
expect_delivered(u64 vector, u64 error, u64 rip)
{
  go();
  expect_exit(18, 0);
  expect("vector", trap.vector, vector);
  expect("error code", trap.error, error);
  expect("pushed RIP", trap.rip, rip);
  expect("valid bit of the VM-entry event", vmread(ENTRY_EVENT) >> 31, 0);
}
CASE(inject_exception, "injecting an exception with an error code", "", "27.6")
{
  START(after_event);
  inject(VALID_EVENT | HARDWARE | WITH_ERROR | 13, 0x1230, 0);
  expect_delivered(13, 0x1230, (u64)after_event);
}
CASE(inject_undefined, "injecting an exception without", "", "27.6")
{
  START(after_event);
  inject(VALID_EVENT | HARDWARE | 6, 0x1230, 0);
  expect_delivered(6, 0, (u64)after_event);
}
CASE(inject_interrupt, "injecting an external interrupt", "", "27.6")
{
  START(after_event);
  vmwrite(GUEST_RFLAGS, 0x202);
  inject(VALID_EVENT | 0x51, 0, 0);
  expect_delivered(0x51, 0, (u64)after_event);
  expect("IF in the pushed RFLAGS", trap.rflags & 0x200, 0x200);
}
CASE(inject_software, "injecting INT n: the instruction length is added to the pushed RIP", "", "27.6")
{
  START(after_event);
  inject(VALID_EVENT | SOFTWARE_INTERRUPT | 0x61, 0, 2);
  expect_delivered(0x61, 0, (u64)after_event + 2);
}
CASE(inject_breakpoint, "injecting INT3", "", "27.6")
{
  START(after_event);
  inject(VALID_EVENT | SOFTWARE_EXCEPTION | 3, 0, 1);
  expect_delivered(3, 0, (u64)after_event + 1);
}
CASE(inject_nmi, "injecting an NMI", "", "27.6")
{
  START(after_event);
  inject(VALID_EVENT | NMI | 2, 0, 0);
  expect_delivered(2, 0, (u64)after_event);
  expect("blocking by NMI", vmread(INTERRUPTIBILITY), 8);
}
CASE(inject_vectoring, "an exception while an injected event is delivered: IDT-vectoring information", "exit.EXCEPTION_OR_NMI", "28.2.4")
{
  START(after_event);
  vmwrite(GUEST_IDTR_LIMIT, 20 * 16 - 1);
  vmwrite(EXCEPTION_BITMAP, 1 << 13);
  vmwrite(GUEST_RFLAGS, 0x202);
  inject(VALID_EVENT | 0x51, 0, 0);
  go();
  expect_event(VALID_EVENT | HARDWARE | WITH_ERROR | 13);
  expect("error code", vmread(EXIT_EVENT_ERROR), 0x51 << 3 | 2 | 1);
  expect("IDT-vectoring information", vmread(VECTORING_EVENT), VALID_EVENT | 0x51);
}
CASE(inject_halted, "an injected event wakes a guest that is entered in the HLT state", "", "27.7.2")
{
  START(after_event);
  vmwrite(ACTIVITY, 1);
  vmwrite(GUEST_RFLAGS, 0x202);
  inject(VALID_EVENT | 0x51, 0, 0);
  expect_delivered(0x51, 0, (u64)after_event);
}
CASE(inject_trap, "monitor trap flag as an event: an exit before the first instruction", "exit.MONITOR_TRAP_FLAG", "27.6.2")
{
  need(MONITOR_TRAP_FLAG);
  START(after_event);
  inject(VALID_EVENT | 7u << 8, 0, 0);
  go();
  expect_exit(37, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)after_event);
}
CASE(trap_flag, "\"monitor trap flag\" exits after one instruction", "exit.MONITOR_TRAP_FLAG control.primary.MONITOR_TRAP_FLAG", "26.5.2")
{
  on(MONITOR_TRAP_FLAG);
  START(after_event);
  go();
  expect_exit(37, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)after_event_next);
}
CASE(trap_flag_injected, "with it and an injected event the exit comes before the handler's first instruction",
     "exit.MONITOR_TRAP_FLAG control.primary.MONITOR_TRAP_FLAG", "26.5.2")
{
  on(MONITOR_TRAP_FLAG);
  START(after_event);
  set_guest_trap(0x51, after_event_next);
  vmwrite(GUEST_RFLAGS, 0x202);
  inject(VALID_EVENT | 0x51, 0, 0);
  go();
  expect_exit(37, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)after_event_next);
}
CASE(trap_flag_exception, "with it and a fault the exit comes before the fault handler's first instruction",
     "exit.MONITOR_TRAP_FLAG control.primary.MONITOR_TRAP_FLAG", "26.5.2")
{
  on(MONITOR_TRAP_FLAG);
  set_guest_trap(6, after_event_next);
  START(ud2);
  go();
  expect_exit(37, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)after_event_next);
}
CASE(pending_debug, "a pending debug exception is delivered after the VM entry", "exit.EXCEPTION_OR_NMI", "27.7.3")
{
  START(after_event);
  vmwrite(EXCEPTION_BITMAP, 2);
  vmwrite(GUEST_RFLAGS, 0x102);
  vmwrite(PENDING_DEBUG, 0x4000);
  go();
  expect_exit(0, 0x4000);
  expect("guest RIP", vmread(GUEST_RIP), (u64)after_event);
}

// Alignment checks: at CPL 3, with CR0.AM and RFLAGS.AC
#define AM (1ul << 18)
#define AC (1ul << 18)
static void
use_alignment_checks(u64 flags)
{
  vmwrite(GUEST_CS, 0x4b), vmwrite(GUEST_CS_RIGHTS, 0xa0fb);
  vmwrite(GUEST_SS, 0x43), vmwrite(GUEST_SS_RIGHTS, 0xc0f3);
  vmwrite(GUEST_CR0, vmread(GUEST_CR0) | AM);
  vmwrite(GUEST_RFLAGS, 2 | flags);
  vmwrite(EXCEPTION_BITMAP, 1 << 17);
}
GUEST(unaligned_load, "movl $page_a + 8, %ebx\n movq (%rbx), %rax\n movw 2(%rbx), %cx\n movb 1(%rbx), %cl", "movl 2(%rbx), %eax");
GUEST(unaligned_store, "movl $page_a + 8, %ebx\n movq %rax, (%rbx)", "movw %ax, 0xffd(%rbx)");
GUEST(unaligned_crossing, "movl $page_a + 4094, %ebx", "movl (%rbx), %eax");
#define EXPECT_ALIGNMENT_CHECK(name)                                                                                   \
  do {                                                                                                                 \
    START(name);                                                                                                       \
    go();                                                                                                              \
    expect_event(VALID_EVENT | HARDWARE | WITH_ERROR | 17);                                                            \
    expect("error code", vmread(EXIT_EVENT_ERROR), 0);                                                                 \
    expect("guest RIP", vmread(GUEST_RIP), (u64)name##_at);                                                            \
  } while (0)
CASE(alignment_load, "#AC by a load", "exit.EXCEPTION_OR_NMI", "26.2")
{
  use_alignment_checks(AC);
  EXPECT_ALIGNMENT_CHECK(unaligned_load);
}
CASE(alignment_store, "#AC by a store", "exit.EXCEPTION_OR_NMI", "26.2")
{
  use_alignment_checks(AC);
  EXPECT_ALIGNMENT_CHECK(unaligned_store);
}
CASE(alignment_crossing, "#AC by an access that crosses a page", "exit.EXCEPTION_OR_NMI", "26.2")
{
  use_alignment_checks(AC);
  EXPECT_ALIGNMENT_CHECK(unaligned_crossing);
}
CASE(alignment_off, "no #AC without RFLAGS.AC", "", "26.2")
{
  use_alignment_checks(0);
  PASSES(unaligned_load);
  PASSES(unaligned_store);
}
CASE(alignment_supervisor, "no #AC at CPL 0", "", "26.2")
{
  vmwrite(GUEST_CR0, vmread(GUEST_CR0) | AM);
  vmwrite(GUEST_RFLAGS, 2 | AC);
  vmwrite(EXCEPTION_BITMAP, 1 << 17);
  PASSES(unaligned_load);
}
