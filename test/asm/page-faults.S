/* node scripts/asm-test.mjs page-faults */
#include "harness.h"

  .text
  .globl test
test:
  MAP_WINDOW 1, frame_a, P | W
  MAP_WINDOW 2, frame_b, P
  MAP_WINDOW 4, frame_a, P | W | NX
  MAP_WINDOW 5, frame_a, P | W | U
  MAP_WINDOW 6, frame_a, P | W | (1 << 51)
  MAP_WINDOW 7, frame_b, P | U
  movabsq $0x1122334455667788, %rax
  movq %rax, frame_a
  movq %rax, frame_b + 0xff8
  movb $0xc3, frame_a + 0x100

  CASE "read of a page that is not present"
  ATTEMPT
  movq WINDOW, %rax
  OUTCOME

  CASE "write to a page that is not present"
  ATTEMPT
  movb $1, WINDOW + 0x123
  OUTCOME

  CASE "read sets the accessed flag, write the dirty flag"
  ATTEMPT
  movq WINDOW + 0x1000, %rbx
  OUTCOME
  SHOW rbx
  SHOW_MEMORY window_table+8
  ATTEMPT
  movq %rbx, WINDOW + 0x1008
  OUTCOME
  SHOW_MEMORY window_table+8

  CASE "supervisor write to a read-only page with CR0.WP"
  ATTEMPT
  movb $1, WINDOW + 0x2000
  OUTCOME
  CASE "read-modify-write of a read-only page is a write"
  ATTEMPT
  addl $1, WINDOW + 0x2004
  OUTCOME
  CASE "the same without CR0.WP"
  movq %cr0, %rdx
  btrl $16, %edx
  movq %rdx, %cr0
  ATTEMPT
  movb $1, WINDOW + 0x2000
  OUTCOME
  btsl $16, %edx
  movq %rdx, %cr0
  SHOW_MEMORY window_table+16
  CASE "and with it again"
  ATTEMPT
  movb $2, WINDOW + 0x2000
  OUTCOME

  CASE "an access across two pages: the second one's address is reported"
  ATTEMPT
  movq WINDOW + 0x2ffc, %rax
  OUTCOME
  CASE "a write across a writable and a read-only page writes nothing"
  movl $0, WINDOW + 0x1ffc
  ATTEMPT
  movq %rbx, WINDOW + 0x1ffc
  OUTCOME
  SHOW_MEMORY WINDOW+0x1ff8

  CASE "fetch from a no-execute page"
  ATTEMPT
  movl $WINDOW + 0x4100, %ecx
  call *%rcx
  OUTCOME
  CASE "fetch from an executable one"
  ATTEMPT
  movl $WINDOW + 0x1100, %ecx
  call *%rcx
  OUTCOME
  CASE "fetch from a page that is not present"
  ATTEMPT
  movl $WINDOW + 0x3ff0, %ecx
  jmp *%rcx
  OUTCOME

  CASE "user reads a supervisor page"
  ATTEMPT
  ENTER_USER read_supervisor
  OUTCOME
  CASE "user writes a supervisor page"
  ATTEMPT
  ENTER_USER write_supervisor
  OUTCOME
  CASE "user reads a page that is not present"
  ATTEMPT
  ENTER_USER read_absent
  OUTCOME
  CASE "user reads and writes a user page"
  ATTEMPT
  ENTER_USER use_own
  OUTCOME
  SHOW rax
  CASE "user writes a read-only user page"
  ATTEMPT
  ENTER_USER write_read_only
  OUTCOME
  CASE "user executes a supervisor page"
  ATTEMPT
  ENTER_USER jump_to_supervisor
  OUTCOME

  CASE "a changed entry takes effect after INVLPG"
  MAP_WINDOW 1, frame_b, P | W
  ATTEMPT
  movq WINDOW + 0x1ff8, %rax
  OUTCOME
  SHOW rax
  CASE "and after MOV to CR3"
  movq $frame_a + P + W, window_table + 8
  movq %cr3, %rax
  movq %rax, %cr3
  ATTEMPT
  movq WINDOW + 0x1000, %rax
  OUTCOME
  SHOW rax

  CASE "a read of a non-canonical address"
  ATTEMPT
  movabsq $NON_CANONICAL, %rax
  movq (%rax), %rcx
  OUTCOME
  CASE "a stack there: #SS, and a double fault"
  ATTEMPT
  movabsq $NON_CANONICAL, %rax
  movq %rax, %rsp
  popq %rcx
  OUTCOME
  ret

read_supervisor:
  movq WINDOW + 0x1000, %rax
  LEAVE_USER
write_supervisor:
  movq %rax, WINDOW + 0x1000
  LEAVE_USER
read_absent:
  movq WINDOW, %rax
  LEAVE_USER
use_own:
  movq WINDOW + 0x5000, %rax
  movq %rax, WINDOW + 0x5010
  LEAVE_USER
write_read_only:
  movb $7, WINDOW + 0x7020
  LEAVE_USER
jump_to_supervisor:
  movl $WINDOW + 0x1100, %eax
  jmp *%rax
