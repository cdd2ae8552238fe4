/*
 * For assembly tests of several processors, behind harness.h; a file says "processors: N" in its heading, and defines
 * COUNT.
 *
 *   START_OTHERS              starts all others by INIT, SIPI, SIPI, and waits until they wait for tasks
 *   EVERYWHERE label          lets each of the others call it, and waits until all have
 *   SEND destination, command writes the ICR
 *   AWAIT counter, value      waits until a 32-bit counter has a value
 */
#define APIC 0xfee00000
#define LOCAL WINDOW + 0x1000
#define ID 0x20
#define END_OF_INTERRUPT_REGISTER 0xb0
#define LOGICAL_DESTINATION 0xd0
#define SPURIOUS 0xf0
#define COMMAND_LOW 0x300
#define COMMAND_HIGH 0x310

/* ICR */
#define FIXED 0x0000
#define NMI 0x0400
#define INIT 0x4500
#define STARTUP 0x4600
#define LOGICAL 0x0800
#define SELF 0x40000
#define ALL 0x80000
#define OTHERS 0xc0000

#define TRAMPOLINE 0x8000
#define WAKE_VECTOR 0x60

/* Index of this processor: its APIC ID */
.macro MY_INDEX register
  movl LOCAL + ID, %\register
  shrl $24, %\register
.endm

.macro SEND high, low:vararg
  movl $(\high) << 24, LOCAL + COMMAND_HIGH
  movl $(\low), LOCAL + COMMAND_LOW
.endm

.macro GATE vector, handler
  movl $\handler, %eax
  movw %ax, idt + 16 * (\vector)
  shrl $16, %eax
  movw %ax, idt + 16 * (\vector) + 6
.endm

/* Waits until a 32-bit counter has a value. */
.macro AWAIT address, value:vararg
77:
  pause
  cmpl $\value, \address
  jne 77b
.endm

/* Lets every other processor run `work`, and waits until all have. */
.macro EVERYWHERE work
  movl $0, finished
  movq $\work, task
  lock incl generation
  SEND 0, FIXED + OTHERS + WAKE_VECTOR
  AWAIT finished, COUNT - 1
.endm

/* A table of quadwords, one for each processor */
.macro TABLES names:vararg
  .irp name, \names
\name: .fill COUNT, 8, 0
  .endr
.endm

/* Maps the local APIC uncached at LOCAL and enables it; vector WAKE_VECTOR does nothing but wake. */
.macro MAP_APIC
  movq $P + W + 0x10, %rax
  movl $APIC, %ecx
  addq %rcx, %rax
  movq %rax, window_table + 8
  movl $0x1ff, LOCAL + SPURIOUS
  GATE WAKE_VECTOR, on_wake
.endm

.macro START_OTHERS
  movl $trampoline, %esi
  movl $TRAMPOLINE, %edi
  movl $trampoline_end - trampoline, %ecx
  rep movsb
  SEND 0, INIT + OTHERS
  SEND 0, STARTUP + OTHERS + (TRAMPOLINE >> 12)
  SEND 0, STARTUP + OTHERS + (TRAMPOLINE >> 12)
  AWAIT started, COUNT - 1
.endm

  .text
/* Interrupt handlers: keep all registers */
  .macro HANDLER
  pushq %rax
  pushq %rdi
  MY_INDEX edi
  .endm
  .macro RETURN
  movl $0, LOCAL + END_OF_INTERRUPT_REGISTER
  popq %rdi
  popq %rax
  iretq
  .endm

on_wake:
  HANDLER
  RETURN

/* Where the other processors begin: copied to the page that the SIPI names. */
  .code16
trampoline:
  cli
  movw %cs, %bp
  jmp start16
  .org trampoline + 0x10
start16:
  movl %cr0, %edi
  lgdtl %cs:trampoline_gdt - trampoline
  movl $0x20, %eax
  movl %eax, %cr4
  movl $pml4, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx
  movl $0x901, %eax
  xorl %edx, %edx
  wrmsr
  movl $0x80010033, %eax
  movl %eax, %cr0
  ljmpl $KERNEL_CODE, $start64
trampoline_gdt:                 /* within reach of real mode */
  .word 0x7f
  .long gdt
trampoline_end:

  .code64
start64:
  movl $KERNEL_DATA, %eax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  xorl %eax, %eax
  movw %ax, %fs
  movw %ax, %gs
  movl $1, %eax
  cpuid
  shrl $24, %ebx
  imull $4096, %ebx, %esp
  leaq stacks + 4096(%rsp), %rsp
  movzwl %bp, %eax
  movq %rax, start_cs(, %rbx, 8)
  movl %edi, %eax
  movq %rax, start_cr0(, %rbx, 8)
  pushfq
  popq %rax
  andl $0x3ff728, %eax          /* not the arithmetic flags: instructions have been executed */
  movq %rax, start_flags(, %rbx, 8)
  movl LOCAL + SPURIOUS, %eax
  movq %rax, start_spurious(, %rbx, 8)
  movl $0x1ff, LOCAL + SPURIOUS
  lidt idt_pointer
  lock incq starts(, %rbx, 8)
  /* It has not done what was asked for before it came. */
  movl generation, %ebx
  lock incl started
wait_for_task:
  cli
  cmpl %ebx, generation
  jne 1f
  sti
  hlt
  jmp wait_for_task
1:
  movl generation, %ebx
  pushq %rbx
  callq *task
  popq %rbx
  lock incl finished
  jmp wait_for_task

  .data
  .align 8
task: .quad 0
generation: .long 0
started: .long 0
finished: .long 0
  TABLES starts, start_cs, start_cr0, start_flags, start_spurious

  .bss
  .align 4096
stacks: .skip 4096 * COUNT
