/* node scripts/asm-test.mjs string-instructions */
#include "harness.h"

.macro SHOW_COUNTERS
  SHOW rcx
  SHOW rsi
  SHOW rdi
.endm

.macro POINTERS source, destination, count
  movl $\source, %esi
  movl $\destination, %edi
  movl $\count, %ecx
.endm

  .text
  .globl test
test:
  MAP_WINDOW 1, frame_a, P | W
  MAP_WINDOW 3, frame_b, P
  leaq frame_a, %rdi
  xorl %ecx, %ecx
1:
  movb %cl, (%rdi, %rcx)
  incl %ecx
  cmpl $4096, %ecx
  jne 1b

  CASE "REP MOVSB, count 0 and count 5"
  POINTERS frame_a, frame_b, 0
  ATTEMPT
  rep movsb
  OUTCOME
  SHOW_COUNTERS
  movl $5, %ecx
  ATTEMPT
  rep movsb
  OUTCOME
  SHOW_COUNTERS
  SHOW_MEMORY frame_b
  CASE "MOVSQ downwards"
  POINTERS frame_a+0x40, frame_b+0x40, 3
  ATTEMPT
  std
  rep movsq
  OUTCOME
  cld
  SHOW_COUNTERS
  SHOW_MEMORY frame_b+0x30
  SHOW_MEMORY frame_b+0x40
  CASE "overlapping MOVSB repeats its own output"
  POINTERS frame_b, frame_b+1, 7
  ATTEMPT
  rep movsb
  OUTCOME
  SHOW_MEMORY frame_b
  CASE "STOSW, STOSD, STOSQ"
  POINTERS 0, frame_b+0x80, 3
  movabsq $0x1122334455667788, %rax
  ATTEMPT
  rep stosw
  rep stosl
  stosq
  OUTCOME
  SHOW_COUNTERS
  SHOW_MEMORY frame_b+0x80
  SHOW_MEMORY frame_b+0x88
  CASE "LODSB and LODSW keep the rest of RAX, LODSD clears it"
  POINTERS frame_a+0x10, 0, 2
  movq $-1, %rax
  ATTEMPT
  rep lodsb
  OUTCOME
  SHOW rax
  ATTEMPT
  lodsw
  OUTCOME
  SHOW rax
  ATTEMPT
  lodsl
  OUTCOME
  SHOW rax
  CASE "REPE CMPSB stops at a difference, with its flags"
  POINTERS frame_a, frame_b, 10
  ATTEMPT
  repe cmpsb
  OUTCOME
  SHOW_FLAGS 0x8d5
  SHOW_COUNTERS
  CASE "REPNE SCASB finds, and does not find"
  POINTERS 0, frame_a, 0x200
  movl $0x33, %eax
  ATTEMPT
  repne scasb
  OUTCOME
  SHOW_FLAGS 0x8d5
  SHOW_COUNTERS
  POINTERS 0, frame_a, 0x10
  ATTEMPT
  repne scasb
  OUTCOME
  SHOW_FLAGS 0x8d5
  SHOW_COUNTERS
  CASE "REPE SCASQ with count 0 leaves the flags"
  xorl %ecx, %ecx
  ATTEMPT
  stc
  repe scasq
  OUTCOME
  SHOW_FLAGS 0x8d5
  CASE "a 32-bit address size counts in ECX and clears the upper halves"
  POINTERS frame_a, frame_b, 2
  movabsq $0xffffffff00000002, %rcx
  movabsq $0x0000000700000000 + frame_a, %rsi
  movabsq $0x0000000700000000 + frame_b, %rdi
  ATTEMPT
  .byte 0x67
  rep movsb
  OUTCOME
  SHOW_COUNTERS

  CASE "a page fault in the middle: what was copied stays, the registers say where it stopped"
  POINTERS frame_a, WINDOW+0x1ffd, 8
  ATTEMPT
  rep movsb
  OUTCOME
  SHOW_COUNTERS
  SHOW_MEMORY frame_a+0xff8
  CASE "a quadword across the edge of the mapped page writes nothing"
  POINTERS frame_a, WINDOW+0x1fe4, 8
  ATTEMPT
  rep movsq
  OUTCOME
  SHOW_COUNTERS
  SHOW_MEMORY frame_a+0xff8
  CASE "a fault on the source; the destination page is read-only"
  POINTERS WINDOW+0x1ffe, frame_b, 8
  ATTEMPT
  rep movsb
  OUTCOME
  SHOW_COUNTERS
  POINTERS frame_a, WINDOW+0x3000, 8
  ATTEMPT
  rep stosb
  OUTCOME
  SHOW_COUNTERS
  CASE "REP with a segment override uses it for the source only"
  movl $0xc0000100, %ecx
  movl $frame_a, %eax
  xorl %edx, %edx
  wrmsr
  POINTERS 0x20, frame_b, 4
  ATTEMPT
  rep movsb %fs:(%rsi), (%rdi)
  OUTCOME
  SHOW_COUNTERS
  SHOW_MEMORY frame_b
  CASE "OUTSB and INSB"
  POINTERS letters, frame_b, 3
  movl $COM1, %edx
  ATTEMPT
  rep outsb
  OUTCOME
  SHOW_COUNTERS
  POINTERS 0, frame_b+8, 2
  movl $COM1 + 3, %edx
  ATTEMPT
  rep insb
  OUTCOME
  SHOW_COUNTERS
  SHOW_MEMORY frame_b+8
  CASE "XLAT, and MOVS of single words"
  movl $frame_a, %ebx
  movl $0x1234567f, %eax
  ATTEMPT
  xlatb
  OUTCOME
  SHOW rax
  ret

  .section .rodata
letters:
  .ascii "xyz"
