/* node scripts/asm-test.mjs control-registers */
#include "harness.h"

/* Tries a value in a control register, shows what it then holds, and puts back what it held. */
.macro TRY_VALUE register, change:vararg
  movq %\register, %rbx
  movq %rbx, %rax
  \change
  ATTEMPT
  movq %rax, %\register
  OUTCOME
  movq %\register, %rcx
  SHOW rcx
  movq %rbx, %\register
.endm

  .text
  .globl test
test:
  CASE "CR0: reserved bits read as they were, ET stays 1"
  TRY_VALUE cr0, btrl $4, %eax
  CASE "CR0: TS by MOV, CLTS"
  movq %cr0, %rax
  btsl $3, %eax
  movq %rax, %cr0
  smsw %rbx
  SHOW rbx
  ATTEMPT
  clts
  OUTCOME
  movq %cr0, %rbx
  SHOW rbx
  CASE "LMSW sets bits but does not clear PE"
  ATTEMPT
  movl $0x0c, %eax
  lmsw %ax
  OUTCOME
  movq %cr0, %rbx
  SHOW rbx
  movl $0x03, %eax
  lmsw %ax
  movq %cr0, %rbx
  SHOW rbx
  CASE "CR4: global pages on and off"
  TRY_VALUE cr4, btsl $7, %eax
  CASE "CR1 and CR5 do not exist"
  ATTEMPT
  .byte 0x0f, 0x20, 0xc8
  OUTCOME
  ATTEMPT
  .byte 0x0f, 0x22, 0xe8
  OUTCOME
  CASE "LGDT, SGDT, LIDT, SIDT"
  ATTEMPT
  sgdt frame_a
  sidt frame_a + 16
  OUTCOME
  SHOW_MEMORY frame_a
  SHOW_MEMORY frame_a+16
  CASE "user: MOV from CR0, SMSW, WRMSR, LGDT, CLTS, INVLPG"
  ATTEMPT
  ENTER_USER user_cr0
  OUTCOME
  ATTEMPT
  ENTER_USER user_smsw
  OUTCOME
  SHOW rax
  ATTEMPT
  ENTER_USER user_wrmsr
  OUTCOME
  ATTEMPT
  ENTER_USER user_lgdt
  OUTCOME
  ATTEMPT
  ENTER_USER user_clts
  OUTCOME
  ATTEMPT
  ENTER_USER user_invlpg
  OUTCOME
  ret

user_cr0:
  movq %cr0, %rax
user_smsw:
  smsw %eax
  LEAVE_USER
user_wrmsr:
  wrmsr
user_lgdt:
  lgdt (%rax)
user_clts:
  clts
user_invlpg:
  invlpg (%rax)
