/* node scripts/asm-test.mjs legacy-modes */
/* 32-bit protected mode without paging, with 32-bit and with PAE paging, and real mode. Leaves long mode for good: it has its
   own exception reporting and ends the machine itself. */
#include "harness.h"
#include "harness32.h"

#define REAL_DATA CALL_GATE     /* a data segment as real mode needs it: 64 KiB, 16-bit stack (SDM vol. 3, 10.9.2) */
#define LOW 0x8000              /* real-mode code is copied here */

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
  /* Gates: interrupt gates to the stubs; 0x31 a trap gate; 0x80 open to the user */
  BUILD_IDT32
  movb $0x8f, idt32 + 0x31 * 8 + 5
  movb $0xee, idt32 + 0x80 * 8 + 5
  xorl %ebx, %ebx
  xorl %ecx, %ecx
  xorl %edx, %edx
  xorl %esi, %esi
  xorl %edi, %edi
  xorl %ebp, %ebp

  CASE32 "exceptions in protected mode"
  TRY
  xorl %ecx, %ecx
  divl %ecx
  DONE
  TRY
  ud2
  DONE
  TRY
  int3
  DONE
  CASE32 "trap and interrupt gate: IF"
  TRY
  stc
  int $0x31
  DONE
  TRY
  int $0x32
  DONE
  CASE32 "instructions that 64-bit mode does not have"
  TRY
  movl $5, %eax
  boundl %eax, bounds
  DONE
  TRY
  movl $9, %eax
  boundl %eax, bounds
  DONE
  TRY
  movb $0x7f, %al
  addb $1, %al
  into
  DONE
  TRY
  xorl %eax, %eax
  .byte 0xd4, 0x00              /* AAM 0 */
  DONE
  TRY
  movl $0x39, %eax
  addb $0x48, %al
  daa
  movl %eax, %ebx
  aam
  DONE
  SHOW32 ebx
  SHOW32 eax
  TRY
  movl $1, %eax
  movl $2, %ecx
  pushal
  movl (%esp), %edx
  movl 12(%esp), %ebx
  subl %esp, %ebx
  popal
  DONE
  SHOW32 ebx
  TRY
  movl $0x10, %eax
  movl $0x13, %ecx
  arpl %cx, %ax
  DONE
  SHOW32 eax
  TRY
  pushw %ds
  pushl %es
  lesl far_pointer, %edi
  movw %es, %ax
  popl %es
  addl $2, %esp
  DONE
  SHOW32 eax
  SHOW32 edi
  TRY
  movl $0x1ff, %eax
  pushl %eax
  pushw $0x1234
  popw %dx
  popl %ecx
  DONE
  SHOW32 edx
  SHOW32 ecx

  CASE32 "segments: not present, a far call and return"
  TRY
  movl $NOT_PRESENT_DATA, %eax
  movl %eax, %fs
  DONE
  TRY
  lcall $KERNEL_CODE32, $far_callee
  DONE
  SHOW32 edx
  CASE32 "to user and back: the stack of the TSS"
  TRY
  pushl $USER_DATA
  pushl $user_stack_top
  pushl $2
  pushl $USER_CODE32
  pushl $user32
  iretl
  DONE
  CASE32 "user: a privileged instruction, a gate with DPL 0"
  TRY
  pushl $USER_DATA
  pushl $user_stack_top
  pushl $2
  pushl $USER_CODE32
  pushl $user_hlt32
  iretl
  DONE
  TRY
  pushl $USER_DATA
  pushl $user_stack_top
  pushl $2
  pushl $USER_CODE32
  pushl $user_int32
  iretl
  DONE

  CASE32 "32-bit paging with a 4 MiB page and a table"
  movl $0x10, %eax              /* CR4.PSE */
  movl %eax, %cr4
  movl $0x83, directory32       /* 0 to 4 MiB: one page */
  movl $table32 + 3, directory32 + 4
  movl $frame_a + 3, table32 + 4
  movl $frame_b + 1, table32 + 8
  movl $directory32, %eax
  movl %eax, %cr3
  movl $0x13572468, frame_a + 0x20
  movl %cr0, %eax
  orl $0x80010000, %eax
  movl %eax, %cr0
  TRY
  movl 0x401020, %ebx
  DONE
  SHOW32 ebx
  movl table32 + 4, %eax
  andl $0xfff, %eax
  SHOW32 eax
  movl directory32, %eax
  SHOW32 eax
  TRY
  movl 0x400000, %ebx
  DONE
  TRY
  movl %eax, 0x402000
  DONE
  TRY
  movl 0x800000, %ebx
  DONE
  movl %cr0, %eax
  andl $0x7fffffff, %eax
  movl %eax, %cr0

  CASE32 "PAE paging; a new page-directory pointer counts after MOV to CR3"
  movl $pae_directory + 1, pae_pointers
  movl $0x83, pae_directory
  movl $pae_table + 3, pae_directory + 8
  movl $frame_a + 3, pae_table + 8
  movl $0x20, %eax
  movl %eax, %cr4
  movl $pae_pointers, %eax
  movl %eax, %cr3
  movl %cr0, %eax
  orl $0x80000000, %eax
  movl %eax, %cr0
  TRY
  movl 0x201020, %ebx
  DONE
  SHOW32 ebx
  TRY
  movl 0x40000000, %ebx
  DONE
  movl $pae_directory + 1, pae_pointers + 8
  movl %cr3, %eax
  movl %eax, %cr3
  TRY
  movl 0x40201020, %ebx
  DONE
  SHOW32 ebx
  movl %cr0, %eax
  andl $0x7fffffff, %eax
  movl %eax, %cr0
  xorl %eax, %eax
  movl %eax, %cr4

  CASE32 "real mode: segments, the interrupt table, flags, and back"
  movl $real_start, %esi
  movl $LOW, %edi
  movl $real_end - real_start, %ecx
  rep movsb
  movl %esp, kept_esp
  movl $0x0000ffff, gdt + REAL_DATA
  movl $0x00009300, gdt + REAL_DATA + 4
  ljmp $KERNEL_CODE16, $LOW
back_from_real:
  movl $KERNEL_DATA, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl %eax, %fs
  movl %eax, %gs
  movl kept_esp, %esp
  lidt idt32_pointer
  movl LOW + 0x800, %eax
  SHOW32 eax
  movl LOW + 0x804, %eax
  SHOW32 eax
  movl LOW + 0x808, %eax
  SHOW32 eax
  movl LOW + 0x80c, %eax
  SHOW32 eax

  TEXT "\nend\n"
  xorl %eax, %eax
  movw $EXIT_PORT, %dx
  outl %eax, %dx
1:
  hlt
  jmp 1b

far_callee:
  movl 4(%esp), %edx
  lretl
user32:
  stc
  int $0x80
user_hlt32:
  hlt
user_int32:
  int $0x31

/* Copied to LOW. In 16-bit protected mode first, then real mode; results at LOW + 0x800. */
  .code16
real_start:
  movw $REAL_DATA, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %fs
  movw %ax, %gs
  movw %ax, %ss
  movl %cr0, %eax
  andb $0xfe, %al
  movl %eax, %cr0
  ljmp $0, $LOW + (1f - real_start)
1:
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %ss
  movw $LOW - 16, %sp
  movw $(LOW >> 4) + 0x80, %ax
  movw %ax, %es                 /* base LOW + 0x800 */
  lidtw LOW + (real_idt - real_start)
  movw $LOW + (real_handler - real_start), 0x21 * 4
  movw $0, 0x21 * 4 + 2
  movl $0xcafe1234, LOW + 0x820
  movl %es:0x20, %eax
  movl %eax, LOW + 0x80c
  movw $0x4321, %bx
  stc
  sti
  int $0x21
  cli
  pushfw
  popw %ax
  movw %ax, LOW + 0x800         /* IRET brought the flags back: CF, not IF (cleared since) */
  movw %sp, LOW + 0x802
  xorw %ax, %ax
  movw %ax, %es
  movl %cr0, %eax
  orb $1, %al
  movl %eax, %cr0
  ljmpl $KERNEL_CODE32, $back_from_real
real_handler:
  movw %bx, LOW + 0x804
  pushfw
  popw %ax
  movw %ax, LOW + 0x806         /* IF and CF in the handler */
  movw %sp, %bp
  movw (%bp), %ax
  subw $LOW, %ax
  movw %ax, LOW + 0x808         /* return offset */
  movw 4(%bp), %ax
  movw %ax, LOW + 0x80a         /* flags that were pushed */
  iretw
  .align 4
real_idt:
  .word 0x3ff
  .long 0
real_end:

  LEGACY_CODE

  .data
  .align 8
bounds:
  .long 2, 8
far_pointer:
  .long 0x11223344
  .word READ_ONLY_DATA
kept_esp:
  .long 0

  .bss
  .align 4096
directory32: .skip 4096
table32: .skip 4096
pae_directory: .skip 4096
pae_table: .skip 4096
pae_pointers: .skip 32
  .code64
