/* node scripts/asm-test.mjs interrupt-return */
#include "harness.h"

/* IRETQ with this frame; the stack is inside ATTEMPT, so that a fault comes back. */
.macro RETURN_TO ss, rsp, rflags, cs, rip
  ATTEMPT
  pushq $\ss
  movabsq $\rsp, %rcx
  pushq %rcx
  pushq $\rflags
  pushq $\cs
  movabsq $\rip, %rcx
  pushq %rcx
  iretq
  OUTCOME
.endm

  .text
  .globl test
test:
  CASE "to the same privilege level: the stack is switched all the same"
  movq %rsp, %rbx
  ATTEMPT
  pushq $KERNEL_DATA
  pushq $frame_a + 0x800
  pushq $0x8d7
  pushq $KERNEL_CODE
  pushq $1f
  iretq
1:
  movq %rsp, %rdx
  movq %rbx, %rsp
  OUTCOME
  SHOW_FLAGS 0x8d5
  SHOW rdx
  CASE "to the same level with a null SS"
  ATTEMPT
  pushq $0
  pushq %rbx
  pushq $2
  pushq $KERNEL_CODE
  pushq $1f
  iretq
1:
  OUTCOME
  movl $KERNEL_DATA, %eax
  movw %ax, %ss
  CASE "to user, 64-bit: RFLAGS loads all its bits"
  RETURN_TO USER_DATA, user_stack_top+USER_ALIAS, 0x0dd7, USER_CODE, leave+USER_ALIAS
  CASE "to user, compatibility mode"
  RETURN_TO USER_DATA, user_stack_top+USER_ALIAS, 2, USER_CODE32, leave+USER_ALIAS
  CASE "to user with IOPL 3 and interrupts off"
  RETURN_TO USER_DATA, user_stack_top+USER_ALIAS, 0x3002, USER_CODE, leave+USER_ALIAS
  CASE "bad CS: null, data, beyond the table, not code of that privilege"
  RETURN_TO USER_DATA, user_stack_top, 2, 0, leave
  RETURN_TO USER_DATA, user_stack_top, 2, KERNEL_DATA, leave
  RETURN_TO USER_DATA, user_stack_top, 2, 0x1000, leave
  RETURN_TO USER_DATA, user_stack_top, 2, KERNEL_CODE+3, leave
  CASE "bad SS: null for user compatibility mode, wrong RPL, code, not present"
  RETURN_TO 0, user_stack_top, 2, USER_CODE32, leave
  RETURN_TO KERNEL_DATA, user_stack_top, 2, USER_CODE, leave
  RETURN_TO USER_CODE, user_stack_top, 2, USER_CODE, leave
  CASE "NT in 64-bit mode"
  ATTEMPT
  pushq $KERNEL_DATA
  pushq %rbx
  pushq $2
  pushq $KERNEL_CODE
  pushq $1f
  pushq $0x4002
  popfq
  iretq
1:
  OUTCOME
  pushq $2
  popfq
  CASE "user data segments of a higher privilege are nulled"
  movl $KERNEL_DATA, %eax
  movw %ax, %fs
  movl $USER_DATA, %eax
  movw %ax, %gs
  RETURN_TO USER_DATA, user_stack_top+USER_ALIAS, 2, USER_CODE, leave+USER_ALIAS
  xorl %eax, %eax
  xorl %edx, %edx
  movw %fs, %ax
  movw %gs, %dx
  SHOW rax
  SHOW rdx
  CASE "user: IRET to user again; to the kernel is refused"
  ATTEMPT
  ENTER_USER user_iret
  OUTCOME
  ATTEMPT
  ENTER_USER user_iret_up
  OUTCOME
  CASE "user: POPF changes neither IOPL nor IF, CLI and STI fault"
  ATTEMPT
  ENTER_USER user_popf
  OUTCOME
  SHOW rax
  ATTEMPT
  ENTER_USER user_cli
  OUTCOME
  CASE "user with IOPL 3: POPF changes IF, not IOPL"
  RETURN_TO USER_DATA, user_stack_top+USER_ALIAS, 0x3202, USER_CODE, user_popf+USER_ALIAS
  SHOW rax
  cli
  ret

leave:
  LEAVE_USER
user_iret:
  pushq $USER_DATA
  pushq %rsp
  pushq $2
  pushq $USER_CODE
  leaq 1f(%rip), %rax
  pushq %rax
  iretq
1:
  LEAVE_USER
user_iret_up:
  pushq $KERNEL_DATA
  pushq %rsp
  pushq $2
  pushq $KERNEL_CODE
  leaq 1f(%rip), %rax
  pushq %rax
  iretq
1:
  LEAVE_USER
user_popf:
  pushq $0x1002
  popfq
  pushfq
  popq %rax
  LEAVE_USER
user_cli:
  cli
  LEAVE_USER
