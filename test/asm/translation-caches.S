/* node scripts/asm-test.mjs translation-caches */
/* Every change of a table is followed by the invalidation that the manual asks for (SDM vol. 3, 4.10.4): what is read
   afterwards is determined. */
#include "harness.h"

.macro MAP index, address, flags:vararg
  movabsq $(\flags), %rax
  addq $(\address), %rax
  movq %rax, window_table + 8 * (\index)
.endm

.macro READ page
  movq WINDOW + 4096 * \page, %rbx
  SHOW rbx
.endm

  .text
  .globl test
test:
  movq $0xaaaa, frame_a
  movq $0xbbbb, frame_b

  CASE "a page-table entry changes, INVLPG"
  MAP 1, frame_a, P | W
  READ 1
  MAP 1, frame_b, P | W
  invlpg WINDOW + 0x1fff
  READ 1

  CASE "a page-table entry changes, MOV to CR3"
  MAP 1, frame_a, P | W
  movq %cr3, %rax
  movq %rax, %cr3
  READ 1

  CASE "a page becomes present: no invalidation is needed"
  MAP 2, frame_b, P | W
  READ 2

  CASE "a global page, which MOV to CR3 leaves, and a change of CR4.PGE"
  movq %cr4, %rbp
  movq %rbp, %rax
  orl $0x80, %eax
  movq %rax, %cr4
  MAP 3, frame_a, P | W | G
  READ 3
  MAP 3, frame_b, P | W | G
  movq %cr3, %rax
  movq %rax, %cr3
  movq %rbp, %cr4
  READ 3

  CASE "a directory entry leads to another table, INVLPG"
  READ 1
  movabsq $(other_table + P + W), %rax
  movq window_directory, %rbp
  movabsq $(frame_b + P + W), %rcx
  movq %rcx, other_table + 8
  movq %rax, window_directory
  invlpg WINDOW + 0x1000
  READ 1
  movq %rbp, window_directory
  invlpg WINDOW + 0x1000
  READ 1

  CASE "write permission is taken, INVLPG"
  ATTEMPT
  movb $1, WINDOW + 0x1008
  OUTCOME
  MAP 1, frame_a, P
  invlpg WINDOW + 0x1000
  ATTEMPT
  movb $2, WINDOW + 0x1008
  OUTCOME

  CASE "the dirty flag is cleared, INVLPG: it is set again"
  MAP 1, frame_a, P | W
  invlpg WINDOW + 0x1000
  movb $3, WINDOW + 0x1008
  SHOW_MEMORY window_table+8
  andb $~D, window_table + 8
  invlpg WINDOW + 0x1000
  movb $4, WINDOW + 0x1008
  SHOW_MEMORY window_table+8
  ret

  .bss
  .balign 4096
other_table: .skip 4096
