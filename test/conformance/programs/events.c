// Interrupts, NMIs, windows and timers (SDM vol. 3, 25.5.1, 26.2, 26.5.1, 27.7.5, 27.7.6). The guest raises interrupts for
// itself by the local APIC.
#include "vt.h"

#define VALID_EVENT 0x80000000u
#define SELF 0x40000
#define NMI_MESSAGE 0x400

// An interrupt may take a few instructions to arrive. NMIs cannot be sent by the shorthand "self" (12.6.1).
#define TIME_TO_ARRIVE "\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop"
#define NMI_TO_SELF                                                                                                    \
  "movl $0xfee00020, %ebx\n movl (%rbx), %ecx\n movl $0xfee00310, %ebx\n movl %ecx, (%rbx)\n movl $0xfee00300, %ebx"
GUEST(self_interrupt, "movl $0xfee00300, %ebx", "movl $0x40055, (%rbx)" TIME_TO_ARRIVE);
GUEST(self_nmi, NMI_TO_SELF, "movl $0x4400, (%rbx)" TIME_TO_ARRIVE);
// Long, but not for ever: a machine that misses the event fails the case and goes on.
GUEST(loop, "movl $3000000, %ecx\n 1: loop 1b", "nop");
#define LOOP_BODY ((u64)loop + 5)

CASE(external_exits, "an external interrupt exits by \"external-interrupt exiting\"",
     "exit.EXTERNAL_INTERRUPT control.pin.EXTERNAL_INTERRUPT_EXITING", "26.2")
{
  on(EXTERNAL_INTERRUPT_EXITING);
  vmwrite(GUEST_RFLAGS, 0x202);
  off(ACKNOWLEDGE_INTERRUPT);
  START(self_interrupt);
  go();
  expect_exit(1, 0);
  expect("valid bit of the interruption information", vmread(EXIT_EVENT) >> 31, 0);
  __asm__ volatile("sti\n nop\n nop\n cli");
  expect("interrupts that the host takes", host_interrupts, 1);
  expect("its vector", host_interrupt_vector, 0x55);
}
CASE(external_disabled, "also when RFLAGS.IF is 0", "exit.EXTERNAL_INTERRUPT", "26.2")
{
  on(EXTERNAL_INTERRUPT_EXITING);
  off(ACKNOWLEDGE_INTERRUPT);
  START(self_interrupt);
  go();
  expect_exit(1, 0);
}
CASE(external_acknowledged, "\"acknowledge interrupt on exit\" tells the vector",
     "exit.EXTERNAL_INTERRUPT control.exit.ACKNOWLEDGE_INTERRUPT", "28.2.2")
{
  on(EXTERNAL_INTERRUPT_EXITING);
  on(ACKNOWLEDGE_INTERRUPT);
  vmwrite(GUEST_RFLAGS, 0x202);
  START(self_interrupt);
  go();
  expect_exit(1, 0);
  expect("interruption information", vmread(EXIT_EVENT), VALID_EVENT | 0x55);
  APIC[0xb0 / 4] = 0;
  __asm__ volatile("sti\n nop\n nop\n cli");
  expect("interrupts that the host takes", host_interrupts, 0);
}
CASE(external_passes, "without it the guest takes the interrupt", "control.pin.EXTERNAL_INTERRUPT_EXITING", "26.2")
{
  GUEST(enabled, "sti\n movl $0xfee00300, %ebx", "movl $0x40055, (%rbx)" TIME_TO_ARRIVE);
  START(enabled);
  go();
  expect_exit(18, 0);
  expect("vector in the guest", trap.vector, 0x55);
  APIC[0xb0 / 4] = 0;
}
CASE(nmi_exits, "an NMI exits by \"NMI exiting\"", "exit.EXCEPTION_OR_NMI control.pin.NMI_EXITING", "26.2")
{
  on(NMI_EXITING);
  START(self_nmi);
  go();
  expect_exit(0, 0);
  expect("interruption information", vmread(EXIT_EVENT), VALID_EVENT | 2 << 8 | 2);
}
CASE(nmi_passes, "without it the guest takes the NMI", "control.pin.NMI_EXITING", "26.2")
{
  START(self_nmi);
  go();
  expect_exit(18, 0);
  expect("vector in the guest", trap.vector, 2);
  expect("blocking by NMI", vmread(INTERRUPTIBILITY), 8);
}
CASE(interrupt_window, "\"interrupt-window exiting\" exits as soon as interrupts could be taken",
     "exit.INTERRUPT_WINDOW control.primary.INTERRUPT_WINDOW_EXITING", "26.2")
{
  GUEST(opens, "nop\n sti", "nop");
  on(INTERRUPT_WINDOW_EXITING);
  START(opens);
  go();
  expect_exit(7, 0);
  expect("guest RIP behind the shadow of STI", vmread(GUEST_RIP), (u64)opens_next);
}
CASE(interrupt_window_entry, "with RFLAGS.IF 1 at the VM entry it exits at once", "exit.INTERRUPT_WINDOW", "27.7.5")
{
  on(INTERRUPT_WINDOW_EXITING);
  vmwrite(GUEST_RFLAGS, 0x202);
  START(loop);
  go();
  expect_exit(7, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)loop);
}
CASE(interrupt_window_halted, "it wakes a guest in the HLT state", "exit.INTERRUPT_WINDOW", "27.7.5")
{
  on(INTERRUPT_WINDOW_EXITING);
  vmwrite(GUEST_RFLAGS, 0x202);
  vmwrite(ACTIVITY, 1);
  // (the timer ends a guest that is not woken)
  on(ACTIVATE_PREEMPTION_TIMER);
  vmwrite(PREEMPTION_TIMER, 100000);
  START(loop);
  go();
  expect_exit(7, 0);
  expect("activity state", vmread(ACTIVITY), 1);
}
CASE(nmi_window, "\"NMI-window exiting\" exits when there is no virtual-NMI blocking",
     "exit.NMI_WINDOW control.primary.NMI_WINDOW_EXITING control.pin.VIRTUAL_NMIS", "26.2")
{
  GUEST(returns,
        "leaq 2f(%rip), %rcx\n movq %rsp, %rax\n pushq $16\n pushq %rax\n pushq $2\n pushq $8\n pushq %rcx\n iretq\n2: nop",
        "nop");
  on(NMI_EXITING);
  on(VIRTUAL_NMIS);
  on(NMI_WINDOW_EXITING);
  START(loop);
  go();
  expect_exit(8, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)loop);
  vmwrite(INTERRUPTIBILITY, 8);
  START(returns);
  go();
  expect_exit(8, 0);
  expect("guest RIP behind IRET", vmread(GUEST_RIP), (u64)returns_at - 1);
  expect("blocking", vmread(INTERRUPTIBILITY), 0);
}
CASE(virtual_nmi_injected, "an injected NMI begins virtual-NMI blocking", "control.pin.VIRTUAL_NMIS", "27.6.1")
{
  on(NMI_EXITING);
  on(VIRTUAL_NMIS);
  START(loop);
  vmwrite(ENTRY_EVENT, VALID_EVENT | 2 << 8 | 2);
  go();
  expect_exit(18, 0);
  expect("vector", trap.vector, 2);
  expect("virtual-NMI blocking", vmread(INTERRUPTIBILITY), 8);
}
CASE(timer_expires, "the VMX-preemption timer ends an endless loop",
     "exit.PREEMPTION_TIMER control.pin.ACTIVATE_PREEMPTION_TIMER", "26.5.1")
{
  on(ACTIVATE_PREEMPTION_TIMER);
  vmwrite(PREEMPTION_TIMER, 1000);
  START(loop);
  go();
  expect_exit(52, 0);
  expect("guest RIP", vmread(GUEST_RIP), LOOP_BODY);
  expect("the timer field without \"save\"", vmread(PREEMPTION_TIMER), 1000);
}
CASE(timer_zero, "with value 0 it expires before the first instruction", "exit.PREEMPTION_TIMER", "27.7.4")
{
  GUEST(one, "", "nop");
  on(ACTIVATE_PREEMPTION_TIMER);
  vmwrite(PREEMPTION_TIMER, 0);
  START(one);
  go();
  expect_exit(52, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)one);
}
CASE(timer_saved, "\"save VMX-preemption timer value\" saves what is left", "control.exit.SAVE_PREEMPTION_TIMER", "28.3.4")
{
  GUEST(short_run, "", "nop");
  on(ACTIVATE_PREEMPTION_TIMER);
  on(SAVE_PREEMPTION_TIMER);
  vmwrite(PREEMPTION_TIMER, 0xf0000000);
  PASSES(short_run);
  u64 left = vmread(PREEMPTION_TIMER);
  expect("0 < left <= value", left > 0 && left <= 0xf0000000, 1);
  vmwrite(PREEMPTION_TIMER, 10);
  START(loop);
  go();
  expect_exit(52, 0);
  expect("the timer field after it expired", vmread(PREEMPTION_TIMER), 0);
}
CASE(tsc_offset, "\"use TSC offsetting\" adds the offset to RDTSC, RDTSCP and RDMSR",
     "control.primary.USE_TSC_OFFSETTING", "26.3")
{
  GUEST(read_time,
        "rdtsc\n shlq $32, %rdx\n orq %rdx, %rax\n movq %rax, %rbx\n movl $0x10, %ecx\n rdmsr\n shlq $32, %rdx\n orq %rdx, %rax",
        "nop");
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
  on(USE_TSC_OFFSETTING);
  vmwrite(TSC_OFFSET, 1ul << 48);
  PASSES(read_time);
  expect("bits 63:48 of RDTSC", registers[RBX] >> 48, 1);
  expect("bits 63:48 of RDMSR", registers[RAX] >> 48, 1);
  off(USE_TSC_OFFSETTING);
  PASSES(read_time);
  expect("bits 63:48 of RDTSC without it", registers[RBX] >> 48, 0);
}
CASE(tsc_scaled, "\"use TSC scaling\" multiplies, then the offset is added", "control.secondary.USE_TSC_SCALING", "26.3")
{
  on(USE_TSC_SCALING);
  on(USE_TSC_OFFSETTING);
  vmwrite(TSC_OFFSET, 1ul << 60);
  vmwrite(TSC_MULTIPLIER, 1ul << 40);
  GUEST(read_scaled, "rdtsc\n shlq $32, %rdx\n orq %rdx, %rax", "nop");
  PASSES(read_scaled);
  expect("bits 63:60 of RDTSC", registers[RAX] >> 60, 1);
  // The multiplier has 48 fraction bits: 2^40 divides by 256.
  u32 low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  u64 before = (u64)high << 32 | low;
  PASSES(read_scaled);
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  u64 after = (u64)high << 32 | low, guest = registers[RAX] & ((1ul << 60) - 1);
  expect("between the scaled readings of the host", guest >= before >> 8 && guest <= after >> 8, 1);
}

// IRET to a null CS: #GP(0)
GUEST(iret_fault, "pushq $0\n pushq $0\n pushq $2\n pushq $0\n pushq $0", "iretq");
#define GP_EVENT (VALID_EVENT | 3 << 8 | 1 << 11 | 13)
#define UNBLOCKING (1u << 12)
CASE(iret_unblocks_nmi, "a fault of IRET tells that it ended blocking by NMI", "exit.EXCEPTION_OR_NMI", "26.3, 28.2.2")
{
  vmwrite(EXCEPTION_BITMAP, 1 << 13);
  vmwrite(INTERRUPTIBILITY, 8);
  START(iret_fault);
  go();
  expect_exit(0, 0);
  expect("interruption information", vmread(EXIT_EVENT), GP_EVENT | UNBLOCKING);
  expect("blocking", vmread(INTERRUPTIBILITY), 0);
}
CASE(iret_unblocks_virtual_nmi, "a fault of IRET tells that it ended virtual-NMI blocking",
     "exit.EXCEPTION_OR_NMI control.pin.VIRTUAL_NMIS", "26.3, 28.2.2")
{
  on(NMI_EXITING);
  on(VIRTUAL_NMIS);
  vmwrite(EXCEPTION_BITMAP, 1 << 13);
  vmwrite(INTERRUPTIBILITY, 8);
  START(iret_fault);
  go();
  expect_exit(0, 0);
  expect("interruption information", vmread(EXIT_EVENT), GP_EVENT | UNBLOCKING);
  expect("blocking", vmread(INTERRUPTIBILITY), 0);
}
CASE(iret_unblocks_nothing, "a fault of IRET without blocking by NMI tells nothing", "exit.EXCEPTION_OR_NMI", "28.2.2")
{
  vmwrite(EXCEPTION_BITMAP, 1 << 13);
  START(iret_fault);
  go();
  expect_exit(0, 0);
  expect("interruption information", vmread(EXIT_EVENT), GP_EVENT);
}
