/* node scripts/asm-test.mjs segment-loads */
#include "harness.h"

.macro LOAD segment, selector
  ATTEMPT
  movl $\selector, %eax
  movw %ax, %\segment
  OUTCOME
  movl $0, %eax
  movw %\segment, %ax
  SHOW rax
.endm

.macro ASK instruction, selector
  movl $\selector, %ecx
  movl $0x5a5a5a5a, %eax
  ATTEMPT
  \instruction %ecx, %eax
  OUTCOME
  pushfq
  andl $~0xf0000, %eax          /* of LAR's result, bits 19:16 are undefined */
  popfq
  SHOW rax
  SHOW_FLAGS 0x40
.endm

.macro VERIFY instruction, selector
  movl $\selector, %ecx
  ATTEMPT
  \instruction %cx
  OUTCOME
  SHOW_FLAGS 0x40
.endm

  .text
  .globl test
test:
  CASE "DS: null, data, read-only data, readable code"
  LOAD ds, 0
  LOAD ds, 3
  LOAD ds, KERNEL_DATA
  LOAD ds, READ_ONLY_DATA
  LOAD ds, KERNEL_CODE32
  LOAD ds, USER_DATA
  CASE "DS: execute-only code, not present, beyond the table, a TSS, RPL above DPL"
  LOAD ds, EXECUTE_ONLY_CODE
  LOAD ds, NOT_PRESENT_DATA
  LOAD ds, 0x1000
  LOAD ds, 0x44
  LOAD ds, TSS_SELECTOR
  LOAD ds, KERNEL_DATA + 3
  CASE "ES: conforming code of any privilege"
  LOAD es, CONFORMING_CODE
  LOAD es, CONFORMING_CODE + 3
  CASE "SS: data, null, read-only, code, not present, wrong RPL and DPL"
  LOAD ss, KERNEL_DATA
  LOAD ss, 0
  LOAD ss, READ_ONLY_DATA
  LOAD ss, KERNEL_CODE
  LOAD ss, NOT_PRESENT_DATA
  LOAD ss, KERNEL_DATA + 3
  LOAD ss, USER_DATA
  movl $KERNEL_DATA, %eax
  movw %ax, %ss
  movw %ax, %ds
  movw %ax, %es

  CASE "FS: a load replaces the base; the accessed bit is set in the descriptor"
  movl $0xc0000100, %ecx
  movl $0x12345000, %eax
  movl $0x7f, %edx
  wrmsr
  andb $~1, gdt + SMALL_DATA + 5
  LOAD fs, SMALL_DATA
  rdmsr
  SHOW rax
  SHOW rdx
  SHOW_MEMORY gdt+0x68
  CASE "FS and GS bases are used in 64-bit mode"
  movl $frame_a, %eax
  xorl %edx, %edx
  wrmsr
  movl $0x13579bdf, frame_a + 0x10
  ATTEMPT
  movl %fs:0x10, %ebx
  OUTCOME
  SHOW rbx
  CASE "LFS, LGS and LSS read a far pointer"
  movl $0x11223344, frame_a
  movw $KERNEL_DATA, frame_a + 4
  ATTEMPT
  lfs frame_a, %esi
  OUTCOME
  SHOW rsi
  movw %fs, %ax
  SHOW rax
  movw $KERNEL_DATA + 3, frame_a + 4
  ATTEMPT
  lgs frame_a, %edi
  OUTCOME
  SHOW rdi

  CASE "POP of a segment register, and PUSH"
  ATTEMPT
  pushq $KERNEL_DATA
  popq %fs
  pushq %fs
  popq %rbx
  OUTCOME
  SHOW rbx

  CASE "LAR"
  ASK larl, KERNEL_CODE
  ASK larl, USER_DATA
  ASK larl, TSS_SELECTOR
  ASK larl, NOT_PRESENT_DATA
  ASK larl, 0
  ASK larl, 0x1000
  ASK larl, KERNEL_DATA + 3
  ASK larl, CONFORMING_CODE + 3
  CASE "LSL"
  ASK lsll, KERNEL_CODE
  ASK lsll, SMALL_DATA
  ASK lsll, TSS_SELECTOR
  ASK lsll, 0
  CASE "VERR and VERW"
  VERIFY verr, KERNEL_DATA
  VERIFY verr, EXECUTE_ONLY_CODE
  VERIFY verr, KERNEL_CODE
  VERIFY verr, KERNEL_DATA + 3
  VERIFY verr, 0
  VERIFY verw, KERNEL_DATA
  VERIFY verw, READ_ONLY_DATA
  VERIFY verw, KERNEL_CODE

  CASE "LTR of a busy TSS, of data"
  ATTEMPT
  movl $TSS_SELECTOR, %eax
  ltr %ax
  OUTCOME
  ATTEMPT
  movl $KERNEL_DATA, %eax
  ltr %ax
  OUTCOME
  CASE "LLDT of data; of null; STR and SLDT"
  ATTEMPT
  movl $KERNEL_DATA, %eax
  lldt %ax
  OUTCOME
  ATTEMPT
  xorl %eax, %eax
  lldt %ax
  OUTCOME
  ATTEMPT
  movq $-1, %rbx
  movq $-1, %rcx
  str %ebx
  sldt %ecx
  OUTCOME
  SHOW rbx
  SHOW rcx
  CASE "a selector of an absent LDT"
  LOAD ds, 0x0c
  ret
