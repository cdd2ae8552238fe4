/* node scripts/asm-test.mjs stacks */
#include "harness.h"

  .text
  .globl test
test:
  CASE "an exception at CPL 0 stays on the stack, aligned to 16"
  ATTEMPT
  pushq $1
  ud2
  OUTCOME
  ATTEMPT
  pushq $1
  pushq $2
  subq $3, %rsp
  ud2
  OUTCOME
  CASE "a gate with IST switches stacks even at CPL 0"
  movb $2, idt + 6 * 16 + 4
  ATTEMPT
  ud2
  OUTCOME
  CASE "from user: IST before RSP0"
  ATTEMPT
  ENTER_USER user_ud
  OUTCOME
  movb $0, idt + 6 * 16 + 4
  CASE "from user: RSP0, SS becomes null"
  ATTEMPT
  ENTER_USER user_ud
  OUTCOME
  CASE "a fault while pushing the frame is a double fault, on its IST"
  ATTEMPT
  movl $WINDOW + 0x10, %eax
  movq %rax, %rsp
  ud2
  OUTCOME
  CASE "a page fault while delivering a page fault: double fault"
  ATTEMPT
  movl $WINDOW + 0x10, %eax
  movq %rax, %rsp
  movq WINDOW, %rbx
  OUTCOME
  CASE "#GP while delivering #DE: double fault"
  movw $KERNEL_DATA, idt + 0 * 16 + 2
  ATTEMPT
  xorl %ecx, %ecx
  divl %ecx
  OUTCOME
  movw $KERNEL_CODE, idt + 0 * 16 + 2
  CASE "a non-canonical RSP0: #SS, then a double fault"
  movabsq $NON_CANONICAL, %rax
  movq tss + 4, %rbx
  movq %rax, tss + 4
  ATTEMPT
  ENTER_USER user_ud
  OUTCOME
  movq %rbx, tss + 4
  CASE "PUSH and CALL that fault leave RSP alone"
  MAP_WINDOW 1, frame_a, P | W
  ATTEMPT
  movl $WINDOW + 0x1000, %eax
  movq %rsp, %rdi
  movq %rax, %rsp
  movl $2, %ecx
  movb $1, idt + 14 * 16 + 4
  pushq %rcx
  OUTCOME
  ATTEMPT
  movl $WINDOW + 0x1000, %eax
  movq %rax, %rsp
  call user_ud
  OUTCOME
  movb $0, idt + 14 * 16 + 4
  CASE "ENTER, LEAVE, PUSH of RSP, POP to RSP"
  movq %rsp, %rbx
  ATTEMPT
  movq %rsp, %rbp
  enter $0x20, $2
  movq %rsp, %rcx
  movq %rbp, %rdx
  leave
  OUTCOME
  subq %rbx, %rcx
  subq %rbx, %rdx
  SHOW rcx
  SHOW rdx
  ATTEMPT
  pushq %rsp
  popq %rcx
  subq %rsp, %rcx
  movq %rsp, %rdx
  pushq %rdx
  popq %rsp
  subq %rsp, %rdx
  OUTCOME
  SHOW rcx
  SHOW rdx
  CASE "POP to memory addressed by RSP uses the incremented RSP"
  ATTEMPT
  pushq $0x77
  pushq $0x55
  popq (%rsp)
  popq %rcx
  OUTCOME
  SHOW rcx
  CASE "16-bit PUSH and POP"
  movq %rsp, %rbx
  ATTEMPT
  movl $0x12345678, %eax
  pushw %ax
  movq %rsp, %rdx
  popw %cx
  OUTCOME
  subq %rbx, %rdx
  SHOW rdx
  ret

user_ud:
  ud2
