/*
 * Macros and code of the assembly tests that leave long mode for 32-bit protected mode: exceptions are printed and the
 * test goes on behind TRY ... DONE. LEGACY_CODE belongs at the end of the test.
 */
#define TSS32_SELECTOR 0x78

.macro TEXT text
  call print_text32
  .asciz "\text"
.endm

.macro CASE32 text
  TEXT "\ncase \text\n"
.endm

.macro TRY
  movl $772f, recover_eip
  movl %esp, recover_esp
  pushl $2
  popfl
.endm

.macro DONE
  TEXT "  completed"
772:
.endm

.macro SHOW32 register
  pushfl
  pushl %\register
  TEXT " \register="
  call print_long32
  popfl
.endm

/* From 32-bit code in compatibility mode: paging off, flat segments, a stack, and a TSS. */
.macro LEAVE_LONG_MODE
  movl %cr0, %eax
  andl $0x7fffffff, %eax        /* paging off: IA-32e mode ends */
  movl %eax, %cr0
  movl $0xc0000080, %ecx
  xorl %eax, %eax
  xorl %edx, %edx
  wrmsr
  movl %eax, %cr4
  movl $KERNEL_DATA, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl $stack_top, %esp
  movl $tss32, %eax
  movw $0x67, gdt + TSS32_SELECTOR
  movw %ax, gdt + TSS32_SELECTOR + 2
  shrl $16, %eax
  movb %al, gdt + TSS32_SELECTOR + 4
  movb $0x89, gdt + TSS32_SELECTOR + 5
  movw $TSS32_SELECTOR, %ax
  ltr %ax
.endm

/* Interrupt gates to the stubs, for vectors to 0x80. Uses EAX and ECX. */
.macro BUILD_IDT32
  xorl %ecx, %ecx
1:
  imull $16, %ecx, %eax
  addl $stubs32, %eax
  movw %ax, idt32(, %ecx, 8)
  movw $KERNEL_CODE32, idt32 + 2(, %ecx, 8)
  movw $0x8e00, idt32 + 4(, %ecx, 8)
  shrl $16, %eax
  movw %ax, idt32 + 6(, %ecx, 8)
  incl %ecx
  cmpl $0x81, %ecx
  jne 1b
  lidt idt32_pointer
.endm

.macro LEGACY_CODE
  .code32
  .align 16
stubs32:
  .set vector, 0
  .rept 0x81
  .align 16
  .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17
  .else
  pushl $-1
  .endif
  pushl $vector
  jmp exception32
  .set vector, vector + 1
  .endr

/* Stack: vector, error code, EIP, CS, EFLAGS, and ESP, SS when it came from user */
exception32:
  pushl %eax
  pushl %ebx
  leal 8(%esp), %ebx
  movl $KERNEL_DATA, %eax
  movl %eax, %ds
  movl %eax, %es
  TEXT "  vector"
  pushl (%ebx)
  call print_long32
  cmpl $-1, 4(%ebx)
  je 1f
  TEXT " error="
  pushl 4(%ebx)
  call print_long32
1:
  cmpl $14, (%ebx)
  jne 2f
  TEXT " cr2="
  movl %cr2, %eax
  pushl %eax
  call print_long32
2:
  TEXT " eip="
  pushl 8(%ebx)
  call print_long32
  TEXT " cs="
  pushl 12(%ebx)
  call print_long32
  TEXT " eflags="
  pushl 16(%ebx)
  andl $~0x10000, (%esp)
  call print_long32
  pushfl
  TEXT " now="
  call print_long32
  testl $3, 12(%ebx)
  jz 3f
  TEXT " esp="
  pushl 20(%ebx)
  call print_long32
  TEXT " ss="
  pushl 24(%ebx)
  call print_long32
  leal 28(%ebx), %eax
  TEXT " frame="
  pushl %eax
  call print_long32
3:
  popl %ebx
  popl %eax
  movl recover_esp, %esp
  jmpl *recover_eip

/* Prints the string behind the call; keeps everything. */
print_text32:
  xchgl %esi, (%esp)
  pushfl
  pushl %eax
  pushl %edx
  cld
1:
  lodsb
  testb %al, %al
  jz 2f
  movw $COM1, %dx
  outb %al, %dx
  jmp 1b
2:
  popl %edx
  popl %eax
  popfl
  xchgl %esi, (%esp)
  ret

/* Prints the pushed value as 8 digits and removes it; keeps everything else. */
print_long32:
  pushfl
  pushal
  movl 40(%esp), %ebx
  movl $8, %ecx
1:
  roll $4, %ebx
  movl %ebx, %eax
  andl $15, %eax
  movb digits(%eax), %al
  movw $COM1, %dx
  outb %al, %dx
  loop 1b
  popal
  popfl
  ret $4

  .data
  .align 8
digits:
  .ascii "0123456789abcdef"
recover_eip:
  .long 0
recover_esp:
  .long 0
idt32_pointer:
  .word 0x81 * 8 - 1
  .long idt32
tss32:
  .long 0, ring0_stack_top, KERNEL_DATA
  .skip 92

  .bss
  .align 16
idt32: .skip 0x81 * 8
.endm
