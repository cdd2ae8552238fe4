/* node scripts/asm-test.mjs manual-checks */
/* Checks that QEMU's translator leaves out or reports differently: compared with manual-checks.expected, which is written
   from SDM vol. 2 (the instruction's "Exceptions") and vol. 3, 4.7 (page-fault error code: RSVD comes with P). */
#include "harness.h"

/* Tries a value in a control register and puts back what it held. */
.macro TRY_VALUE register, change:vararg
  movq %\register, %rbx
  movq %rbx, %rax
  \change
  ATTEMPT
  movq %rax, %\register
  OUTCOME
  movq %\register, %rcx
  subq %rbx, %rcx
  SHOW rcx
  movq %rbx, %\register
.endm

.macro WRITE_MSR index, high, low
  movl $\index, %ecx
  movl $\low, %eax
  movl $\high, %edx
  ATTEMPT
  wrmsr
  OUTCOME
.endm

/* Reports RIP relative to the label that is jumped to. */
.macro FAR_JUMP selector, offset
  movl $\offset, frame_a
  movw $\selector, frame_a + 4
  ATTEMPT
  movq $\offset, attempt_rip
  ljmpl *frame_a
  OUTCOME
.endm

  .text
  .globl test
test:
  REPORT_RELATIVE
  CASE "CR0: PG without PE; NW without CD; bit 32"
  TRY_VALUE cr0, btrl $0, %eax
  TRY_VALUE cr0, btsl $29, %eax
  TRY_VALUE cr0, btsq $32, %rax
  CASE "CR4: PAE in IA-32e mode; bit 40"
  TRY_VALUE cr4, btrl $5, %eax
  TRY_VALUE cr4, btsq $40, %rax
  CASE "CR3: bit 55"
  TRY_VALUE cr3, btsq $55, %rax
  CASE "CR8: 16"
  ATTEMPT
  movl $16, %eax
  movq %rax, %cr8
  OUTCOME
  CASE "EFER: LME with paging on; bit 9"
  movl $0xc0000080, %ecx
  rdmsr
  btrl $8, %eax
  ATTEMPT
  wrmsr
  OUTCOME
  rdmsr
  btsl $9, %eax
  ATTEMPT
  wrmsr
  OUTCOME
  CASE "an MSR that does not exist, read and written"
  ATTEMPT
  movl $0x12345678, %ecx
  rdmsr
  OUTCOME
  WRITE_MSR 0x12345678, 0, 0
  CASE "non-canonical values: FS base, LSTAR, KERNEL_GS_BASE, SYSENTER_EIP"
  WRITE_MSR 0xc0000100, 0x8000, 0
  WRITE_MSR 0xc0000082, 0x8000, 0
  WRITE_MSR 0xc0000102, 0x8000, 0
  WRITE_MSR 0x176, 0x8000, 0
  CASE "LGDT and LIDT of a non-canonical base"
  movw $0xffff, frame_a
  movabsq $NON_CANONICAL, %rax
  movq %rax, frame_a + 2
  ATTEMPT
  lgdt frame_a
  OUTCOME
  ATTEMPT
  lidt frame_a
  OUTCOME

  CASE "page-fault error code: a reserved bit, read and written"
  MAP_WINDOW 6, frame_a, P | W | (1 << 51)
  ATTEMPT
  movb WINDOW + 0x6010, %al
  OUTCOME
  ATTEMPT
  movb %al, WINDOW + 0x6010
  OUTCOME
  CASE "a reserved bit of a large page"
  orq $0x2000, identity + 8 * 500
  invlpg 500 * 0x200000
  ATTEMPT
  movb 500 * 0x200000, %al
  OUTCOME
  CASE "execute-disable without EFER.NXE"
  MAP_WINDOW 2, frame_a, P | W | NX
  movl $0xc0000080, %ecx
  rdmsr
  btrl $11, %eax
  wrmsr
  movq %cr3, %rdx
  movq %rdx, %cr3
  ATTEMPT
  movb WINDOW + 0x2000, %bl
  OUTCOME
  movl $0xc0000080, %ecx
  rdmsr
  btsl $11, %eax
  wrmsr

  CASE "a non-canonical address through RBP is #SS"
  ATTEMPT
  movabsq $NON_CANONICAL, %rbp
  movq 8(%rbp), %rcx
  OUTCOME
  CASE "JMP, CALL, RET and IRETQ to a non-canonical address fault before they change RIP"
  ATTEMPT
  movabsq $NON_CANONICAL, %rax
  jmp *%rax
  OUTCOME
  ATTEMPT
  movabsq $NON_CANONICAL, %rax
  call *%rax
  OUTCOME
  ATTEMPT
  movabsq $NON_CANONICAL, %rax
  pushq %rax
  ret
  OUTCOME
  movq %rsp, %rbx
  ATTEMPT
  movabsq $NON_CANONICAL, %rax
  pushq $KERNEL_DATA
  pushq %rbx
  pushq $2
  pushq $KERNEL_CODE
  pushq %rax
  iretq
  OUTCOME
  CASE "SYSRET to a non-canonical address faults at CPL 0"
  ATTEMPT
  movabsq $NON_CANONICAL, %rcx
  movl $2, %r11d
  sysretq
  OUTCOME
  CASE "LOCK MOV and LOCK BT"
  ATTEMPT
  .byte 0xf0, 0x89, 0x03
  OUTCOME
  ATTEMPT
  .byte 0xf0, 0x0f, 0xa3, 0x0b
  OUTCOME

  CASE "error codes of the IDT: not present, of a wrong type, beyond the limit"
  movb $0x0e, idt + 0x40 * 16 + 5
  ATTEMPT
  int $0x40
  OUTCOME
  movb $0x85, idt + 0x41 * 16 + 5
  ATTEMPT
  int $0x41
  OUTCOME
  movw $0x48 * 16 - 1, idt_pointer
  lidt idt_pointer
  ATTEMPT
  int $0x48
  OUTCOME
  movw $256 * 16 - 1, idt_pointer
  lidt idt_pointer
  CASE "error codes of the IDT: gates with DPL 0 from user"
  ATTEMPT
  movl $user_int + USER_ALIAS, %eax
  movq %rax, attempt_rip
  ENTER_USER user_int
  OUTCOME
  ATTEMPT
  movl $user_int3 + USER_ALIAS, %eax
  movq %rax, attempt_rip
  ENTER_USER user_int3
  OUTCOME
  CASE "a fault while delivering a benign exception is delivered itself"
  ATTEMPT
  movb $0x0e, idt + 3 * 16 + 5
  int3
  OUTCOME
  movb $0x8e, idt + 3 * 16 + 5
  CASE "SS: null with RPL 3 at CPL 0"
  ATTEMPT
  movl $3, %eax
  movl %eax, %ss
  OUTCOME
  CASE "LTR of null"
  ATTEMPT
  xorl %eax, %eax
  ltr %ax
  OUTCOME

  CASE "the timer in TSC-deadline mode; the deadline is disarmed when it expired"
  movl $0xfee00000 + P + W + 0x10, %eax
  movq %rax, window_table + 8
  movl $0x1ff, WINDOW + 0x10f0
  movl $0x40062, WINDOW + 0x1320
  rdtsc
  movl %eax, %esi
  movl %edx, %edi
  movl $0x6e0, %ecx
  ATTEMPT
  movl %esi, %eax
  movl %edi, %edx
  addl $2000000, %eax
  adcl $0, %edx
  wrmsr
  sti
  hlt
  cli
  OUTCOME
  cli
  movl $0, WINDOW + 0x10b0
  rdmsr
  SHOW rax
  SHOW rdx
  rdtsc
  subl %esi, %eax
  sbbl %edi, %edx
  cmpl $2000000, %eax
  setae %al
  movzbl %al, %eax
  SHOW rax
  SHOW rdx

  CASE "compatibility mode: beyond the limit, to read-only data, from execute-only code, through a null selector"
  FAR_JUMP KERNEL_CODE32, beyond_limit
  FAR_JUMP KERNEL_CODE32, at_limit
  FAR_JUMP KERNEL_CODE32, write_read_only
  FAR_JUMP EXECUTE_ONLY_CODE, read_execute_only
  FAR_JUMP KERNEL_CODE32, null_segment
  CASE "compatibility mode: beyond the limit of SS"
  FAR_JUMP KERNEL_CODE32, beyond_stack
  ret

user_int:
  int $0x31
user_int3:
  int3

  .code32
beyond_limit:
  movl $SMALL_DATA, %eax
  movl %eax, %ds
  movl 0xffd, %ebx
at_limit:
  movl $SMALL_DATA, %eax
  movl %eax, %ds
  movl 0xffc, %ebx
  ud2
write_read_only:
  movl $READ_ONLY_DATA, %eax
  movl %eax, %ds
  movl %ebx, frame_a
read_execute_only:
  movl %cs:frame_a, %ebx
null_segment:
  xorl %eax, %eax
  movl %eax, %es
  movl %es:frame_a, %ebx
beyond_stack:
  movl $SMALL_DATA, %eax
  movl %eax, %ss
  movl $0x2000, %esp
  pushl %eax
  .code64
