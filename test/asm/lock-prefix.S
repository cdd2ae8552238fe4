/* node scripts/asm-test.mjs lock-prefix */
#include "harness.h"

  .text
  .globl test
test:
  movl $10, frame_a
  CASE "LOCK with a memory destination"
  ATTEMPT
  movl $3, %eax
  lock addl %eax, frame_a
  lock xaddl %eax, frame_a
  lock incl frame_a
  lock negl frame_a
  OUTCOME
  SHOW rax
  SHOW_MEMORY frame_a
  CASE "LOCK with a register destination: #UD"
  ATTEMPT
  .byte 0xf0, 0x01, 0xc8
  OUTCOME
  CASE "LOCK of instructions that do not allow it: CMP, NOP, ADD to a register from memory"
  ATTEMPT
  .byte 0xf0, 0x39, 0x03
  OUTCOME
  ATTEMPT
  .byte 0xf0, 0x90
  OUTCOME
  ATTEMPT
  .byte 0xf0, 0x03, 0x03
  OUTCOME
  CASE "LOCK BTS"
  ATTEMPT
  movl $frame_a, %ebx
  movl $100, %ecx
  lock btsl %ecx, (%rbx)
  OUTCOME
  SHOW_FLAGS 1
  SHOW_MEMORY frame_a+8
  CASE "CMPXCHG, equal and not"
  ATTEMPT
  movl frame_a, %eax
  movl $0x1234, %ecx
  lock cmpxchgl %ecx, frame_a
  OUTCOME
  SHOW_FLAGS 0x8d5
  SHOW rax
  SHOW_MEMORY frame_a
  ATTEMPT
  movl $5, %eax
  lock cmpxchgl %ecx, frame_a
  OUTCOME
  SHOW_FLAGS 0x8d5
  SHOW rax
  CASE "CMPXCHG that is not equal still writes: a read-only page faults"
  MAP_WINDOW 1, frame_a, P
  ATTEMPT
  movl $5, %eax
  cmpxchgl %ecx, WINDOW + 0x1000
  OUTCOME
  CASE "CMPXCHG8B and CMPXCHG16B"
  ATTEMPT
  movl frame_a, %eax
  movl frame_a + 4, %edx
  movl $0x11111111, %ebx
  movl $0x22222222, %ecx
  lock cmpxchg8b frame_a
  OUTCOME
  SHOW_FLAGS 0x40
  SHOW_MEMORY frame_a
  ATTEMPT
  movl $1, %eax
  lock cmpxchg16b frame_a
  OUTCOME
  SHOW_FLAGS 0x40
  SHOW rax
  SHOW rdx
  ATTEMPT
  lock cmpxchg16b frame_a + 8
  OUTCOME
  CASE "XCHG with memory"
  ATTEMPT
  movq $-1, %rax
  xchgl %eax, frame_a
  OUTCOME
  SHOW rax
  ret
