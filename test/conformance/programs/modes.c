// Guests in the modes before 64-bit mode: 32-bit with and without PAE, virtual-8086, compatibility; task switches (SDM
// vol. 3, 26.4.2, 27.3.1, 28.2.1).
#include "vt.h"

#define PAE 0x20ul
#define PSE 0x10ul
#define VALID_EVENT 0x80000000u

// Guest code of another code size than 64 bits: what stands before, the instruction in question, and VMCALL behind it
#define GUEST_CODE(name, size, before, instruction)                                                                    \
  extern char name[], name##_at[] __attribute__((unused)), name##_next[] __attribute__((unused));                      \
  __asm__(".pushsection .text.guest\n.code" #size "\n" #name ":\n" before "\n" #name "_at:\n" instruction "\n" #name   \
          "_next:\nvmcall\nhlt\n.code64\n.popsection")

// 32-bit protected mode; page_a is a directory of 4 MiB pages, each mapped to itself.
static void
use_protected_mode(void)
{
  off(IA32E_MODE_GUEST);
  u32 *directory = (u32 *)page_a;
  for (u32 i = 0; i < 1024; i++)
    directory[i] = i << 22 | 0x87;
  vmwrite(GUEST_CR3, (u64)page_a);
  vmwrite(GUEST_CR4, 0x2000 | PSE);
  vmwrite(GUEST_CS, 0x18);
  vmwrite(GUEST_CS_RIGHTS, 0xc09b);
}

GUEST_CODE(protected_cpuid, 32, "movl $0x12345678, %ebx\n leal (%ebx,%ebx), %edi", "cpuid");
CASE(protected_mode, "a guest in 32-bit protected mode with 32-bit paging", "exit.CPUID control.entry.IA32E_MODE_GUEST", "27.3.1.1")
{
  use_protected_mode();
  EXITS(protected_cpuid, 10);
  expect("EBX", registers[RBX], 0x12345678);
  expect("EDI", registers[RDI], 0x2468acf0);
}
static void
use_pae(void)
{
  use_protected_mode();
  vmwrite(GUEST_CR4, 0x2000 | PAE);
  u64 *pointers = (u64 *)page_b, *directory = (u64 *)page_c;
  for (u64 i = 0; i < 512; i++)
    directory[i] = i << 21 | 0x87;
  pointers[0] = (u64)directory | 1;
  pointers[1] = pointers[2] = pointers[3] = 0;
  vmwrite(GUEST_CR3, (u64)pointers);
}
CASE(pae_mode, "a guest with PAE paging: the PDPTEs come from memory without EPT", "control.entry.IA32E_MODE_GUEST", "27.3.2.4")
{
  use_pae();
  EXITS(protected_cpuid, 10);
}
CASE(pae_invalid, "PDPTEs with reserved bits fail the VM entry", "exit.ENTRY_FAILURE_GUEST_STATE", "27.3.1.6")
{
  use_pae();
  ((u64 *)page_b)[1] = 0x1e7;
  START(protected_cpuid);
  expect_failed_entry(33, 2);
}
CASE(pae_ept, "with EPT they come from the VMCS", "control.secondary.ENABLE_EPT", "27.3.2.4")
{
  use_ept();
  use_pae();
  for (u32 i = 0; i < 4; i++)
    vmwrite(GUEST_PDPTE0 + 2 * i, ((u64 *)page_b)[i]);
  ((u64 *)page_b)[0] = 0; // what is in memory does not count
  EXITS(protected_cpuid, 10);
  expect("PDPTE0 after the VM exit", vmread(GUEST_PDPTE0), (u64)page_c | 1);
}
CASE(pae_ept_invalid, "and their reserved bits fail the VM entry", "exit.ENTRY_FAILURE_GUEST_STATE", "27.3.1.6")
{
  use_ept();
  use_pae();
  for (u32 i = 0; i < 4; i++)
    vmwrite(GUEST_PDPTE0 + 2 * i, i == 2 ? 0x1e7 : ((u64 *)page_b)[i]);
  START(protected_cpuid);
  expect_failed_entry(33, 2);
}
GUEST_CODE(compatibility_cpuid, 32, "movl $0x55, %ebx\n .byte 0x40", "cpuid");
CASE(compatibility_mode, "a guest in compatibility mode", "control.entry.IA32E_MODE_GUEST", "27.3.1.2")
{
  vmwrite(GUEST_CS, 0x18);
  vmwrite(GUEST_CS_RIGHTS, 0xc09b);
  EXITS(compatibility_cpuid, 10);
  expect("EBX", registers[RBX], 0x55);
  // INC EAX there, a prefix in 64-bit mode
  expect("EAX", registers[RAX], 1);
}

static void
use_virtual_8086(const char *code, const char *end)
{
  use_protected_mode();
  for (int i = 0; i < end - code; i++)
    ((volatile u8 *)0x7000)[i] = (u8)code[i];
  for (u32 i = 0; i < 6; i++) {
    vmwrite(GUEST_ES + 2 * i, 0x700);
    vmwrite(GUEST_ES_BASE + 2 * i, 0x7000);
    vmwrite(GUEST_ES_LIMIT + 2 * i, 0xffff);
    vmwrite(GUEST_ES_RIGHTS + 2 * i, 0xf3);
  }
  vmwrite(GUEST_RFLAGS, 0x20002);
  vmwrite(GUEST_RIP, 0);
  vmwrite(GUEST_RSP, 0x800);
}
GUEST_CODE(v8086_cpuid, 16, "movw $0x1234, %bx", "cpuid");
CASE(v8086_mode, "a guest in virtual-8086 mode", "exit.CPUID", "27.3.1.2")
{
  use_virtual_8086(v8086_cpuid, v8086_cpuid_next);
  go();
  expect_exit(10, 0);
  expect("BX", registers[RBX], 0x1234);
  expect("RFLAGS", vmread(GUEST_RFLAGS), 0x20002);
  expect("guest RIP", vmread(GUEST_RIP), (u64)(v8086_cpuid_at - v8086_cpuid));
}
CASE(v8086_segments, "segments that virtual-8086 mode does not allow fail the VM entry", "exit.ENTRY_FAILURE_GUEST_STATE", "27.3.1.2")
{
  use_virtual_8086(v8086_cpuid, v8086_cpuid_next);
  vmwrite(GUEST_ES_BASE, 0x7010);
  expect_failed_entry(33, 0);
}
GUEST_CODE(v8086_call, 16, "", "vmcall");
CASE(v8086_vmcall, "VMCALL in virtual-8086 mode exits", "exit.VMCALL", "31.3")
{

  use_virtual_8086(v8086_call, v8086_call_next);
  go();
  expect_exit(18, 0);
}
GUEST_CODE(v8086_out, 16, "", "outb %al, $0x80");
CASE(v8086_io, "I/O in virtual-8086 mode: the fault by the I/O permission bitmap comes before the VM exit", "exit.IO_INSTRUCTION", "26.1.1")
{
  use_virtual_8086(v8086_out, v8086_out_next);
  on(UNCONDITIONAL_IO_EXITING);
  vmwrite(EXCEPTION_BITMAP, 1 << 13);
  // A TSS without an I/O permission bitmap: its offset lies beyond the limit.
  *(u16 *)(page_d + 0x66) = 0x68;
  vmwrite(GUEST_TR_BASE, (u64)page_d);
  go();
  expect_exit(0, 0);
  expect("interruption information", vmread(EXIT_EVENT), VALID_EVENT | 1u << 11 | 3u << 8 | 13);
}

// Task switches: the TSS at selector 0x50 of the table.
static void
use_second_task(void)
{
  use_protected_mode();
  extern char gdt[];
  u64 base = (u64)page_c;
  ((volatile u64 *)gdt)[0x50 / 8] = 0x67 | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24) << 56;
}
GUEST_CODE(task_jump, 32, "", "ljmp $0x50, $0");
CASE(task_switch_jump, "JMP to a TSS exits", "exit.TASK_SWITCH", "26.4.2")
{
  use_second_task();
  EXITS_Q(task_jump, 9, 0x50 | 2ul << 30);
}
GUEST_CODE(task_call, 32, "", "lcall $0x50, $0");
CASE(task_switch_call, "CALL to a TSS exits", "exit.TASK_SWITCH", "26.4.2")
{
  use_second_task();
  EXITS_Q(task_call, 9, 0x50);
}
GUEST_CODE(task_return, 32, "pushfl\n orl $0x4000, (%esp)\n popfl", "iretl");
CASE(task_switch_return, "IRET with NT exits", "exit.TASK_SWITCH", "26.4.2")
{
  use_second_task();
  // The running task's link leads to a busy TSS.
  extern char gdt[];
  ((volatile u8 *)gdt)[0x55] = 0x8b;
  vmwrite(GUEST_TR_BASE, (u64)page_d);
  *(volatile u16 *)page_d = 0x50;
  EXITS_Q(task_return, 9, 0x50 | 1ul << 30);
}
GUEST_CODE(task_interrupt, 32, "", "int $0x40");
static void
use_task_gate(u32 vector)
{
  use_second_task();
  static u64 gates[256] __attribute__((aligned(16)));
  for (int i = 0; i < 256; i++)
    gates[i] = 0;
  gates[vector] = 0x50ul << 16 | 0x85ul << 40;
  vmwrite(GUEST_IDTR_BASE, (u64)gates);
  vmwrite(GUEST_IDTR_LIMIT, sizeof gates - 1);
}
CASE(task_switch_gate, "INT n through a task gate exits, with IDT-vectoring information and length", "exit.TASK_SWITCH", "26.4.2, 28.2.4")
{
  use_task_gate(0x40);
  START(task_interrupt);
  go();
  expect_exit(9, 0x50 | 3ul << 30);
  expect("guest RIP", vmread(GUEST_RIP), (u64)task_interrupt_at);
  expect("IDT-vectoring information", vmread(VECTORING_EVENT), VALID_EVENT | 4u << 8 | 0x40);
  expect("instruction length", vmread(EXIT_LENGTH), 2);
}
GUEST_CODE(task_exception, 32, "", "ud2");
CASE(task_switch_exception, "an exception through a task gate exits", "exit.TASK_SWITCH", "26.4.2, 28.2.4")
{
  use_task_gate(6);
  START(task_exception);
  go();
  expect_exit(9, 0x50 | 3ul << 30);
  expect("IDT-vectoring information", vmread(VECTORING_EVENT), VALID_EVENT | 3u << 8 | 6);
}
CASE(task_switch_event, "an injected event through a task gate exits", "exit.TASK_SWITCH", "26.4.2, 28.2.4")
{
  use_task_gate(0x41);
  vmwrite(ENTRY_EVENT, VALID_EVENT | 0x41);
  vmwrite(GUEST_RFLAGS, 0x202);
  START(task_exception);
  go();
  expect_exit(9, 0x50 | 3ul << 30);
  expect("IDT-vectoring information", vmread(VECTORING_EVENT), VALID_EVENT | 0x41);
}
CASE(task_switch_busy, "JMP to a busy TSS is #GP, not a VM exit", "exit.EXCEPTION_OR_NMI", "26.4.2")
{
  use_second_task();
  extern char gdt[];
  ((volatile u8 *)gdt)[0x55] = 0x8b;
  vmwrite(EXCEPTION_BITMAP, 1 << 13);
  START(task_jump);
  go();
  expect_exit(0, 0);
  expect("interruption information", vmread(EXIT_EVENT), VALID_EVENT | 1u << 11 | 3u << 8 | 13);
  expect("error code", vmread(EXIT_EVENT_ERROR), 0x50);
}
