/* node scripts/asm-test.mjs ports-and-flags */
#include "harness.h"

  .text
  .globl test
test:
  CASE "user: IN and OUT fault without permission in the TSS"
  ATTEMPT
  ENTER_USER user_out
  OUTCOME
  CASE "user with IOPL 3: allowed"
  ATTEMPT
  pushq $USER_DATA
  pushq $0x60000
  pushq $0x3002
  pushq $USER_CODE
  movl $user_out + USER_ALIAS, %ecx
  pushq %rcx
  iretq
  OUTCOME
  CASE "user: the I/O permission bitmap decides"
  movw $IO_BITMAP_LIMIT, gdt + TSS_SELECTOR
  andb $~2, gdt + TSS_SELECTOR + 5
  movl $TSS_SELECTOR, %eax
  ltr %ax
  ATTEMPT
  ENTER_USER user_out
  OUTCOME
  ATTEMPT
  ENTER_USER user_in_word
  OUTCOME
  ATTEMPT
  ENTER_USER user_in_next
  OUTCOME
  CASE "PUSHF and POPF at CPL 0 change what may change"
  ATTEMPT
  pushq $0x244fd7 & ~0x100
  popfq
  pushfq
  popq %rax
  OUTCOME
  SHOW rax
  ATTEMPT
  pushq $0x7000
  popfq
  pushfq
  popq %rax
  OUTCOME
  SHOW rax
  CASE "the ID flag can be changed; LAHF and SAHF"
  ATTEMPT
  pushq $0x200002
  popfq
  pushfq
  popq %rbx
  movw $0xd5ff, %ax
  sahf
  lahf
  OUTCOME
  SHOW_FLAGS 0xd5
  SHOW rbx
  SHOW rax
  CASE "CMC, STC, CLC, STD, CLD"
  ATTEMPT
  stc
  cmc
  std
  pushfq
  popq %rax
  cld
  OUTCOME
  SHOW rax
  CASE "RDTSC in user with CR4.TSD"
  movq %cr4, %rax
  btsl $2, %eax
  movq %rax, %cr4
  ATTEMPT
  ENTER_USER user_rdtsc
  OUTCOME
  CASE "user: SGDT with CR4.UMIP"
  movq %cr4, %rax
  btsl $11, %eax
  movq %rax, %cr4
  ATTEMPT
  ENTER_USER user_sgdt
  OUTCOME
  ret

user_out:
  movl $COM1 + 7, %edx
  movb $0x5a, %al
  outb %al, %dx
  LEAVE_USER
user_in_word:
  movl $COM1 + 6, %edx
  inw %dx, %ax
  LEAVE_USER
user_in_next:
  movl $COM1 + 7, %edx
  inw %dx, %ax
  LEAVE_USER
user_rdtsc:
  rdtsc
  LEAVE_USER
user_sgdt:
  sgdt -16(%rsp)
  LEAVE_USER
