/* node scripts/asm-test.mjs far-transfers */
#include "harness.h"

.macro FAR_JUMP selector, offset
  movl $\offset, frame_a
  movw $\selector, frame_a + 4
  ATTEMPT
  ljmpl *frame_a
  OUTCOME
.endm

  .text
  .globl test
test:
  CASE "a jump to 64-bit code"
  FAR_JUMP KERNEL_CODE, come_back
  CASE "a jump to 32-bit code: compatibility mode"
  FAR_JUMP KERNEL_CODE32, compatibility
  SHOW rax
  SHOW rcx
  CASE "a jump to conforming code"
  FAR_JUMP CONFORMING_CODE, show_cs
  SHOW rax
  CASE "bad selectors: null, data, not present, RPL above CPL, beyond the table"
  FAR_JUMP 0, come_back
  FAR_JUMP KERNEL_DATA, come_back
  FAR_JUMP NOT_PRESENT_DATA, come_back
  FAR_JUMP USER_CODE, come_back
  FAR_JUMP 0x1000, come_back
  FAR_JUMP TSS_SELECTOR, come_back

  CASE "a call and a far return"
  movl $far_callee, frame_a
  movw $KERNEL_CODE, frame_a + 4
  ATTEMPT
  movq %rsp, %rbx
  lcall *frame_a
  OUTCOME
  SHOW rcx
  SHOW rdx
  CASE "a 64-bit call gate"
  movl $gate_target, %eax
  movw %ax, gdt + CALL_GATE
  shrl $16, %eax
  movw %ax, gdt + CALL_GATE + 6
  movw $KERNEL_CODE, gdt + CALL_GATE + 2
  movw $0xec00, gdt + CALL_GATE + 4
  movq $0, gdt + CALL_GATE + 8
  movl $0xdddddddd, frame_a
  movw $CALL_GATE, frame_a + 4
  ATTEMPT
  movq %rsp, %rbx
  lcall *frame_a
  OUTCOME
  SHOW rcx
  SHOW rdx
  CASE "the gate from user: to the stack of RSP0"
  ATTEMPT
  ENTER_USER user_gate
  OUTCOME
  SHOW rcx
  SHOW rdx
  CASE "a gate whose upper type is not zero"
  movl $0x100, gdt + CALL_GATE + 12
  ATTEMPT
  lcall *frame_a
  OUTCOME
  movl $0, gdt + CALL_GATE + 12
  CASE "a far return with a bad selector"
  ATTEMPT
  pushq $KERNEL_DATA
  pushq $come_back
  lretq
  OUTCOME
  CASE "a far return to user"
  ATTEMPT
  pushq $USER_DATA
  movl $user_stack_top + USER_ALIAS, %eax
  pushq %rax
  pushq $USER_CODE
  movl $leave + USER_ALIAS, %eax
  pushq %rax
  lretq
  OUTCOME
  CASE "in compatibility mode: INTO"
  FAR_JUMP KERNEL_CODE32, into_overflow
  ret

come_back:
  call print_completed
  jmp *recover_rip
show_cs:
  xorl %eax, %eax
  movw %cs, %ax
  ljmp *back_pointer
far_callee:
  movq %rbx, %rcx
  subq %rsp, %rcx
  movl 4(%rsp), %edx
  lretl
gate_target:
  movq %rbx, %rcx
  subq %rsp, %rcx
  movq 8(%rsp), %rdx
  lretq
user_gate:
  movl $0xdddddddd, frame_a_user_copy(%rip)
  movw $CALL_GATE + 3, frame_a_user_copy + 4(%rip)
  movq %rsp, %rbx
  lcall *frame_a_user_copy(%rip)
leave:
  LEAVE_USER

  .code32
compatibility:
  /* 40 is INC EAX here and a REX prefix in 64-bit mode; addresses have 32 bits. */
  movl $0x7fffffff, %eax
  .byte 0x40
  movl $frame_a + 0x10, %ebx
  movl $-0x10, %ecx
  movl (%ebx, %ecx), %ecx
  ljmp $KERNEL_CODE, $come_back
into_overflow:
  movl $0x7fffffff, %eax
  addl $1, %eax
  into

  .code64
  .data
back_pointer:
  .long come_back
  .word KERNEL_CODE
frame_a_user_copy:
  .long 0
  .word 0
