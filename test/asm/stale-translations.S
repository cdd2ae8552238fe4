/* node scripts/asm-test.mjs stale-translations */
/* Software that forgets to invalidate (stale uses: 5). A processor may use what is cached or what the tables say (SDM
   vol. 3, 4.10.2.2 and 4.10.3.1); this one uses what is cached, as most do, each time: stale-translations.expected. */
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
  REPORT_RELATIVE
  movq $0xaaaa, frame_a
  movq $0xbbbb, frame_b

  CASE "a page-table entry changes: the old page is read, the new one after INVLPG"
  MAP 1, frame_a, P | W
  READ 1
  MAP 1, frame_b, P | W
  READ 1
  invlpg WINDOW + 0x1000
  READ 1

  CASE "a page goes: it is read still"
  MAP 1, 0, 0
  READ 1
  invlpg WINDOW + 0x1000

  CASE "a global page outlives MOV to CR3"
  movq %cr4, %rbp
  movq %rbp, %rax
  orl $0x80, %eax
  movq %rax, %cr4
  MAP 3, frame_a, P | W | G
  READ 3
  MAP 3, frame_b, P | W | G
  movq %cr3, %rax
  movq %rax, %cr3
  READ 3
  movq %rbp, %cr4
  READ 3

  CASE "a directory entry leads to another table: a page never used before is found by the old one"
  MAP 1, frame_a, P | W
  MAP 2, frame_a, P | W
  READ 1
  movabsq $(frame_b + P + W), %rcx
  movq %rcx, other_table + 16
  movq window_directory, %rbp
  movabsq $(other_table + P + W), %rax
  movq %rax, window_directory
  READ 2
  invlpg WINDOW + 0x2000
  READ 2
  movq %rbp, window_directory
  movq %cr3, %rax
  movq %rax, %cr3

  CASE "write permission is taken: the page is written still"
  MAP 1, frame_a, P | W
  invlpg WINDOW + 0x1000
  movb $1, WINDOW + 0x1008
  MAP 1, frame_a, P | A | D
  ATTEMPT
  movb $2, WINDOW + 0x1008
  OUTCOME
  invlpg WINDOW + 0x1000
  ATTEMPT
  movb $3, WINDOW + 0x1008
  OUTCOME
  ret

  .bss
  .balign 4096
other_table: .skip 4096
