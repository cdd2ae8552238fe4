/* node scripts/asm-test.mjs task-switches */
/* Hardware task switches in 32-bit protected mode: JMP, CALL, IRET, task gates in the GDT and in the IDT, what they save and
   load, and their faults. (Faults of the new task's segments: test/cpu/task-switch.test.ts.) */
#include "harness.h"
#include "harness32.h"

#define TASK_B 0x80
#define TASK_GATE 0x88
#define TASK_16 0x90
#define TASK_BAD 0x98
#define GATE_VECTOR 0x40

/* Descriptor `selector`: base, limit, rights */
.macro DESCRIBE selector, base, limit, rights
  movl $\base, %eax
  movw $\limit, gdt + \selector
  movw %ax, gdt + \selector + 2
  shrl $16, %eax
  movb %al, gdt + \selector + 4
  movb $\rights, gdt + \selector + 5
  movb $0, gdt + \selector + 6
  movb %ah, gdt + \selector + 7
.endm

.macro SHOW_LONG address
  pushfl
  pushl \address
  TEXT " \address="
  call print_long32
  popfl
.endm

/* Types of the two descriptors: which is busy */
.macro SHOW_BUSY
  pushfl
  pushl %eax
  movzbl gdt + TSS32_SELECTOR + 5, %eax
  TEXT " a"
  pushl %eax
  call print_long32
  movzbl gdt + TASK_B + 5, %eax
  TEXT " b"
  pushl %eax
  call print_long32
  strw %ax
  movzwl %ax, %eax
  TEXT " tr"
  pushl %eax
  call print_long32
  popl %eax
  popfl
.endm

/* Task B as it starts: at `entry`, with numbers in its registers */
.macro PREPARE_B entry
  movl $\entry, tss_b + 0x20
  movl $0x00000a93, tss_b + 0x24
  movl $0, tss_b
  movb $0x89, gdt + TASK_B + 5
.endm

  .text
  .globl test
test:
  ljmp *to_legacy

  .data
to_legacy:
  .long legacy
  .word KERNEL_CODE32

  .text
  .code32
legacy:
  LEAVE_LONG_MODE
  BUILD_IDT32
  DESCRIBE TASK_B, tss_b, 0x67, 0x89
  DESCRIBE TASK_16, tss_16, 0x2b, 0x81
  DESCRIBE TASK_BAD, tss_b, 0x66, 0x89
  movw $TASK_B, gdt + TASK_GATE + 2
  movb $0x85, gdt + TASK_GATE + 5
  movw $TASK_B, idt32 + GATE_VECTOR * 8 + 2
  movb $0x85, idt32 + GATE_VECTOR * 8 + 5
  xorl %eax, %eax
  movl %eax, %fs
  movl %eax, %gs
  movl $0x11, %ebx
  movl $0x22, %ecx
  movl $0x33, %edx
  movl $0x44, %esi
  movl $0x55, %edi
  movl $0x66, %ebp

  CASE32 "JMP to a TSS and back"
  PREPARE_B show_and_jump_back
  clts
  movl $0x477, %eax
  movl %eax, %dr7
  ljmp $TASK_B, $0
  TEXT " back"
  SHOW32 ebx
  SHOW32 ebp
  SHOW_BUSY
  SHOW_LONG tss_b
  movl $KERNEL_DATA, %eax
  movl %eax, %fs
  movl %eax, %gs

  CASE32 "CALL and IRET: link and NT"
  PREPARE_B show_and_return
  lcall $TASK_B, $0
  TEXT " back"
  SHOW_BUSY
  SHOW_LONG tss_b
  SHOW_LONG "tss_b + 0x24"
  pushfl
  popl %eax
  SHOW32 eax

  CASE32 "CALL through a task gate; the second CALL resumes behind IRET"
  PREPARE_B return_twice
  lcall $TASK_GATE, $0
  TEXT " first"
  lcall $TASK_GATE, $0
  TEXT " second"
  SHOW_BUSY

  CASE32 "INT through a task gate"
  PREPARE_B show_and_return
  int $GATE_VECTOR
  TEXT " back"
  SHOW_BUSY

  CASE32 "a fault through a task gate: error code on the stack of the new task"
  PREPARE_B take_error
  movw $TASK_B, idt32 + 13 * 8 + 2
  movb $0x85, idt32 + 13 * 8 + 5
  movl $0xfff8, %eax
  movl $1f, expected
2:
  movl %eax, %fs
1:
  TEXT " back"
  SHOW_BUSY
  movw $KERNEL_CODE32, idt32 + 13 * 8 + 2
  movb $0x8e, idt32 + 13 * 8 + 5
  movl $stubs32 + 13 * 16, %eax
  movw %ax, idt32 + 13 * 8
  shrl $16, %eax
  movw %ax, idt32 + 13 * 8 + 6

  CASE32 "faults before the switch: busy, not present, too small, no TSS, DPL"
  TRY
  ljmp $TSS32_SELECTOR, $0
  DONE
  movb $0x09, gdt + TASK_B + 5
  TRY
  ljmp $TASK_B, $0
  DONE
  TRY
  lcall $TASK_GATE, $0
  DONE
  TRY
  ljmp $TASK_BAD, $0
  DONE
  movw $0xfff8, gdt + TASK_GATE + 2
  TRY
  lcall $TASK_GATE, $0
  DONE
  movw $KERNEL_DATA, gdt + TASK_GATE + 2
  TRY
  lcall $TASK_GATE, $0
  DONE
  movw $TASK_B, gdt + TASK_GATE + 2
  TRY
  ljmp $TASK_B + 3, $0
  DONE
  SHOW_BUSY

  CASE32 "IRET with NT: a link to a TSS that is not busy, and to no TSS"
  movb $0x89, gdt + TASK_B + 5
  movw $TASK_B, tss32
  TRY
  pushl $0x4002
  popfl
  iretl
  DONE
  movw $KERNEL_DATA, tss32
  TRY
  pushl $0x4002
  popfl
  iretl
  DONE
  pushl $2
  popfl

  CASE32 "a 16-bit TSS and back"
  /* A 16-bit TSS holds a 16-bit IP: the task's code is copied to 0x9000. */
  movl $task_16, %esi
  movl $0x9000, %edi
  movl $task_16_end - task_16, %ecx
  rep movsb
  movl $0x12345678, %ebx
  ljmp $TASK_16, $0
  TEXT " back"
  SHOW32 ebx
  movzwl 0x9100, %eax
  SHOW32 eax
  movzwl 0x9104, %eax
  SHOW32 eax
  movzwl tss_16 + 0x0e, %eax
  SHOW32 eax
  movzwl tss_16 + 0x12, %eax
  SHOW32 eax

  CASE32 "a new page directory"
  movl $0x10, %eax              /* CR4.PSE */
  movl %eax, %cr4
  movl $0x83, directory_a
  movl $0x83, directory_b
  movl $table_a + 3, directory_a + 4
  movl $table_b + 3, directory_b + 4
  movl $frame_a + 3, table_a
  movl $frame_b + 3, table_b
  movl $0xaaaa, frame_a
  movl $0xbbbb, frame_b
  movl $directory_a, %eax
  movl %eax, %cr3
  movl %eax, tss32 + 0x1c       /* never written by a switch */
  movl $directory_b, tss_b + 0x1c
  movl %cr0, %eax
  orl $0x80000000, %eax
  movl %eax, %cr0
  PREPARE_B read_and_jump_back
  movl 0x400000, %ebx
  ljmp $TASK_B, $0
  SHOW32 ebx
  movl 0x400000, %ebx
  SHOW32 ebx
  movl tss_b + 0x34, %ebx
  SHOW32 ebx
  movl %cr0, %eax
  andl $0x7fffffff, %eax
  movl %eax, %cr0

  TEXT "\nend\n"
  xorl %eax, %eax
  movw $EXIT_PORT, %dx
  outl %eax, %dx
1:
  hlt
  jmp 1b

/* What task B does */
show_b:
  pushfl
  SHOW32 eax
  SHOW32 ecx
  SHOW32 edx
  SHOW32 ebx
  SHOW32 ebp
  SHOW32 esi
  SHOW32 edi
  popl %eax
  SHOW32 eax
  movl %cs, %eax
  SHOW32 eax
  movl %ds, %eax
  SHOW32 eax
  movl %fs, %eax
  SHOW32 eax
  movl %cr0, %eax
  SHOW32 eax
  movl %dr7, %eax
  SHOW32 eax
  SHOW_LONG tss_b
  SHOW_LONG "tss32 + 0x28"
  SHOW_LONG "tss32 + 0x34"
  SHOW_LONG "tss32 + 0x58"
  SHOW_BUSY
  ret
show_and_jump_back:
  call show_b
  ljmp $TSS32_SELECTOR, $0
show_and_return:
  call show_b
  iretl
nothing:
  ljmp $TSS32_SELECTOR, $0
return_twice:
  TEXT " in b"
  iretl
  TEXT " in b again"
  iretl
take_error:
  popl %eax
  SHOW32 eax
  movl tss32 + 0x20, %eax
  movl expected, %ebx
  subl %eax, %ebx
  SHOW32 ebx
  movl expected, %eax
  movl %eax, tss32 + 0x20
  iretl
read_and_jump_back:
  movl 0x400000, %ebx
  ljmp $TSS32_SELECTOR, $0

/* Copied: stores what it found, counts AX up and goes back. */
task_16:
  movw %ax, 0x9100
  movw %bp, 0x9104
  incw %ax
  ljmp $TSS32_SELECTOR, $0
task_16_end:

  LEGACY_CODE

  .data
  .align 4
expected:
  .long 0
tss_b:
  .long 0, 0, 0, 0, 0, 0, 0
  .long 0                       /* CR3 */
  .long 0, 0                    /* EIP, EFLAGS */
  .long 0xa0, 0xa1, 0xa2, 0xa3, user_stack_top, 0xa5, 0xa6, 0xa7
  .long KERNEL_DATA, KERNEL_CODE32, KERNEL_DATA, KERNEL_DATA, 0, KERNEL_DATA
  .long 0
  .word 0, 0x68
tss_16:
  .word 0, 0, 0, 0, 0, 0, 0
  .word 0x9000, 0x0202          /* IP, FLAGS */
  .word 0x1a0, 0x1a1, 0x1a2, 0x1a3, 0x7000, 0x1a5, 0x1a6, 0x1a7
  .word KERNEL_DATA, KERNEL_CODE32, KERNEL_DATA, KERNEL_DATA
  .word 0

  .bss
  .align 4096
directory_a: .skip 4096
directory_b: .skip 4096
table_a: .skip 4096
table_b: .skip 4096
  .code64
