/* node scripts/asm-test.mjs self-modifying-code */
#include "harness.h"

  .text
  .globl test
test:
  CASE "a store to code that ran before"
  movl $2, %ebx
1:
  call patched
  SHOW rax
  movl $0x2222, patched + 1
  decl %ebx
  jnz 1b
  CASE "a store to the very next instruction"
  ATTEMPT
  movb $0x05, 2f + 2
  xorl %eax, %eax
2:
  addl $0x7f, %eax
  movb $0x01, 3f + 2
3:
  addl $0x7f, %eax
  OUTCOME
  SHOW rax
  CASE "code that is seen through two linear addresses"
  MAP_WINDOW 1, frame_a, P | W
  movl $0x000001b8, frame_a
  movw $0xc300, frame_a + 4
  movl $WINDOW + 0x1000, %ebx
  call *%rbx
  SHOW rax
  movb $7, frame_a + 1
  call *%rbx
  SHOW rax
  CASE "code that lies across two pages, of which the second is changed"
  MAP_WINDOW 2, frame_b, P | W
  movl $0x000001b8, %eax
  movw %ax, frame_a + 0xffe
  movl $0xc3000000, frame_b
  movl $WINDOW + 0x1ffe, %ebx
  call *%rbx
  SHOW rax
  movb $0x12, frame_b
  call *%rbx
  SHOW rax
  CASE "string stores over code"
  movl $frame_a + 1, %edi
  movl $4, %ecx
  movl $0x11, %eax
  rep stosb
  movl $WINDOW + 0x1000, %ebx
  call *%rbx
  SHOW rax
  CASE "another page mapped where code ran"
  movl $0x000005b8, frame_b + 0x100
  movw $0xc300, frame_b + 0x104
  movl $0x000006b8, frame_a + 0x100
  movw $0xc300, frame_a + 0x104
  movl $WINDOW + 0x1100, %ebx
  call *%rbx
  SHOW rax
  MAP_WINDOW 1, frame_b, P | W
  call *%rbx
  SHOW rax
  ret

  .align 16
patched:
  movl $0x1111, %eax
  ret
