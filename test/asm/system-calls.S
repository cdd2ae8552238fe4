/* node scripts/asm-test.mjs system-calls */
#include "harness.h"

.macro WRITE_MSR index, high, low
  movl $\index, %ecx
  movl $\low, %eax
  movl $\high, %edx
  wrmsr
.endm

#define IA32_STAR 0xc0000081
#define IA32_LSTAR 0xc0000082
#define IA32_FMASK 0xc0000084
#define IA32_GS_BASE 0xc0000101
#define IA32_KERNEL_GS_BASE 0xc0000102

  .text
  .globl test
test:
  /* SYSCALL: CS 0x08, SS 0x10. SYSRET: CS 0x18 (32-bit) or 0x28 (64-bit), SS 0x20 */
  WRITE_MSR IA32_STAR, 0x00180008, 0
  WRITE_MSR IA32_LSTAR, 0, system_call
  WRITE_MSR IA32_FMASK, 0, 0x0801
  CASE "SYSCALL from user: RCX, R11, CS, SS, RFLAGS"
  movq %rsp, saved_rsp
  ATTEMPT
  ENTER_USER user_call
  OUTCOME
  SHOW rcx
  SHOW r11
  SHOW rbx
  SHOW rdx
  SHOW_MEMORY seen_flags
  CASE "SYSRET to 32-bit code"
  ATTEMPT
  movl $leave + USER_ALIAS, %ecx
  movl $2, %r11d
  sysretl
  OUTCOME
  CASE "SYSCALL and SYSRET without EFER.SCE"
  movl $0xc0000080, %ecx
  rdmsr
  btrl $0, %eax
  wrmsr
  ATTEMPT
  syscall
  OUTCOME
  ATTEMPT
  sysretq
  OUTCOME
  movl $0xc0000080, %ecx
  rdmsr
  btsl $0, %eax
  wrmsr
  CASE "SYSRET in user"
  ATTEMPT
  ENTER_USER user_sysret
  OUTCOME
  CASE "SWAPGS"
  WRITE_MSR IA32_GS_BASE, 1, 0x1000
  WRITE_MSR IA32_KERNEL_GS_BASE, 2, 0x2000
  ATTEMPT
  swapgs
  OUTCOME
  movl $IA32_GS_BASE, %ecx
  rdmsr
  SHOW rdx
  SHOW rax
  movl $IA32_KERNEL_GS_BASE, %ecx
  rdmsr
  SHOW rdx
  SHOW rax
  ATTEMPT
  ENTER_USER user_swapgs
  OUTCOME
  ret

system_call:
  movq %rsp, %rbp
  movq saved_rsp, %rsp
  pushfq
  popq seen_flags
  xorl %ebx, %ebx
  xorl %edx, %edx
  movw %cs, %bx
  movw %ss, %dx
  movq %rbp, %rsp
  sysretq

user_call:
  stc
  syscall
  LEAVE_USER
user_sysret:
  sysretq
user_swapgs:
  swapgs
leave:
  LEAVE_USER

  .data
saved_rsp:
  .quad 0
seen_flags:
  .quad 0
