/* node scripts/asm-test.mjs execution-prevention */
#include "harness.h"

  .text
  .globl test
test:
  movb $0xc3, frame_a
  MAP_WINDOW 1, frame_a, P | W | U
  movq %cr4, %r12

  CASE "SMEP: the supervisor may execute a user page without it"
  movl $WINDOW + 0x1000, %ebx
  ATTEMPT
  call *%rbx
  OUTCOME
  CASE "SMEP: and not with it"
  movq %r12, %rax
  btsl $20, %eax
  movq %rax, %cr4
  ATTEMPT
  call *%rbx
  OUTCOME
  CASE "SMEP: reading is still allowed"
  ATTEMPT
  movb (%rbx), %cl
  OUTCOME
  movq %r12, %cr4

  CASE "SMAP: the supervisor may not touch user pages"
  movq %r12, %rax
  btsl $21, %eax
  movq %rax, %cr4
  ATTEMPT
  movb (%rbx), %cl
  OUTCOME
  ATTEMPT
  movb %cl, (%rbx)
  OUTCOME
  CASE "SMAP: RFLAGS.AC lifts it"
  ATTEMPT
  stac
  movb (%rbx), %cl
  OUTCOME
  CASE "SMAP: CLAC sets it again"
  ATTEMPT
  stac
  clac
  movb (%rbx), %cl
  OUTCOME
  CASE "SMAP: the user is not concerned"
  ATTEMPT
  ENTER_USER touch
  OUTCOME
  CASE "SMAP: executing is SMEP's matter"
  ATTEMPT
  stac
  call *%rbx
  OUTCOME
  movq %r12, %cr4

  CASE "NX in a directory entry covers all its pages"
  btsq $63, window_directory
  movq %cr3, %rdx
  movq %rdx, %cr3
  ATTEMPT
  movl $WINDOW + 0x1000, %ebx
  call *%rbx
  OUTCOME
  btrq $63, window_directory
  movq %cr3, %rdx
  movq %rdx, %cr3
  CASE "the flags of all levels are combined: a read-only directory"
  btrq $1, window_directory
  movq %rdx, %cr3
  ATTEMPT
  movb %cl, (%rbx)
  OUTCOME
  ret

touch:
  movl $WINDOW + 0x1000, %ebx
  movb (%rbx), %cl
  LEAVE_USER
