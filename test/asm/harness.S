/* Boot, exception reporting and serial output of the assembly tests. See harness.h. */
#include "harness.h"

  .section .note.xen, "a"
  .align 4
  .long 4, 4, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
  .asciz "Xen"
  .long pvh_entry

  .text
  .code32
  .globl pvh_entry
pvh_entry:
  cld
  movl $stack_top, %esp
  /* PML4 -> PDPT: 0 identity, 1 the window, 2 the user's alias of the first GiB */
  movl $(pdpt + P + W + U), pml4
  movl $(identity + P + W), pdpt
  movl $(window_directory + P + W + U), pdpt + 8
  movl $(user_alias + P + W + U), pdpt + 16
  movl $(window_table + P + W + U), window_directory
  movl $(P + W + PS), %eax
  xorl %ecx, %ecx
1:
  movl %eax, identity(, %ecx, 8)
  leal U(%eax), %edx
  movl %edx, user_alias(, %ecx, 8)
  addl $0x200000, %eax
  incl %ecx
  cmpl $512, %ecx
  jne 1b
  movl $0x20, %eax              /* PAE */
  movl %eax, %cr4
  movl $pml4, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx        /* IA32_EFER: SCE, LME, NXE */
  movl $0x901, %eax
  xorl %edx, %edx
  wrmsr
  movl $0x80010033, %eax        /* PG, WP, NE, ET, MP, PE */
  movl %eax, %cr0
  lgdt gdt_pointer
  ljmp $KERNEL_CODE, $long_mode

  .code64
long_mode:
  /* Firmware leaves the timer running on the 8259: its interrupts are no part of what is tested. */
  movb $0xff, %al
  outb %al, $0x21
  outb %al, $0xa1
  call load_data_segments
  xorl %eax, %eax
  movw %ax, %fs
  movw %ax, %gs
  lldt %ax
  call build_idt
  lidt idt_pointer
  movl $tss, %eax
  movw %ax, gdt + TSS_SELECTOR + 2
  shrl $16, %eax
  movb %al, gdt + TSS_SELECTOR + 4
  movb %ah, gdt + TSS_SELECTOR + 7
  movw $TSS_SELECTOR, %ax
  ltr %ax
  movb $3, %al                  /* 8 bits, no parity, one stop bit */
  movw $COM1 + 3, %dx
  outb %al, %dx
  xorl %eax, %eax
  xorl %ebx, %ebx
  xorl %ecx, %ecx
  xorl %edx, %edx
  xorl %esi, %esi
  xorl %edi, %edi
  xorl %ebp, %ebp
  call test
  call print_text
  .asciz "\nend\n"
  xorl %eax, %eax
  movw $EXIT_PORT, %dx
  outl %eax, %dx
1:
  hlt
  jmp 1b

load_data_segments:
  pushq %rax
  movl $KERNEL_DATA, %eax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  popq %rax
  ret

/* 256 interrupt gates to the stubs; #DF on IST 1; vector 0x80 open to the user. */
build_idt:
  xorl %ecx, %ecx
1:
  imulq $STUB_SIZE, %rcx, %rax
  leaq stubs(%rax), %rax
  movq %rcx, %rdx
  shlq $4, %rdx
  movw %ax, idt(%rdx)
  movw $KERNEL_CODE, idt + 2(%rdx)
  movw $0x8e00, idt + 4(%rdx)
  shrq $16, %rax
  movq %rax, idt + 6(%rdx)
  incl %ecx
  cmpl $256, %ecx
  jne 1b
  movb $1, idt + 8 * 16 + 4
  movb $0xee, idt + VECTOR_LEAVE_USER * 16 + 5
  ret

/* Each stub pushes "no error code" where the processor pushes none, and its vector. */
  .set STUB_SIZE, 16
  .align 16
stubs:
  .set vector, 0
  .rept 256
  .align 16
  .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
  .else
  pushq $-1
  .endif
  pushq $vector
  jmp exception
  .set vector, vector + 1
  .endr

/* Stack: vector, error code, RIP, CS, RFLAGS, RSP, SS. General registers stay as they were. */
exception:
  pushq %rax
  pushq %rbx
  cld
  leaq 16(%rsp), %rbx
  movl $KERNEL_DATA, %eax
  movw %ax, %ds
  movw %ax, %es
  call print_text
  .asciz "  vector "
  movq (%rbx), %rax
  call print_byte
  cmpq $-1, 8(%rbx)
  je 1f
  pushq 8(%rbx)
  call print_named
  .asciz "error"
1:
  cmpq $14, (%rbx)
  jne 2f
  movq %cr2, %rax
  pushq %rax
  call print_named
  .asciz "cr2"
2:
  pushq 16(%rbx)
  cmpb $0, report_relative
  je 3f
  movq attempt_rip, %rax
  subq %rax, (%rsp)
3:
  call print_named
  .asciz "rip"
  cmpb $0, report_relative
  jne 4f
  pushq 24(%rbx)
  call print_named
  .asciz "cs"
  /* RF in the image differs between implementations for faults in REP string instructions; the tests of RF show it. */
  pushq 32(%rbx)
  andq $~0x10000, (%rsp)
  call print_named
  .asciz "rflags"
  pushq 40(%rbx)
  call print_named
  .asciz "rsp"
  pushq 48(%rbx)
  call print_named
  .asciz "ss"
  leaq 56(%rbx), %rax           /* where the frame began: which stack, and its alignment */
  pushq %rax
  call print_named
  .asciz "frame"
4:
  popq %rbx
  popq %rax
  movq recover_rsp, %rsp
  call load_data_segments
  jmpq *recover_rip

  .globl print_completed
print_completed:
  call print_text
  .asciz "  completed"
  ret

/* The heading is the string behind the call. */
  .globl print_case
print_case:
  call print_text
  .asciz "\ncase "
  xchgq %rsi, (%rsp)
  call print_string
  xchgq %rsi, (%rsp)
  call print_text
  .asciz "\n"
  ret

/* Prints the name behind the call, "=", and the quadword that was pushed before the call; removes it. */
  .globl print_named
print_named:
  call print_text
  .asciz " "
  xchgq %rsi, (%rsp)
  call print_string
  xchgq %rsi, (%rsp)
  call print_text
  .asciz "="
  pushfq
  pushq %rax
  movq 24(%rsp), %rax
  call print_quad
  popq %rax
  popfq
  ret $8

/* Prints the string behind the call; keeps registers and flags. */
  .globl print_text
print_text:
  xchgq %rsi, (%rsp)
  call print_string
  xchgq %rsi, (%rsp)
  ret

/* Prints the string at RSI and leaves RSI behind its NUL; keeps the other registers and the flags. */
print_string:
  pushfq
  pushq %rax
  cld
1:
  lodsb
  testb %al, %al
  jz 2f
  call print_char
  jmp 1b
2:
  popq %rax
  popfq
  ret

/* RAX as 16 digits, AL as 2 digits: */
print_quad:
  pushq %rcx
  movl $16, %ecx
  jmp print_digits
print_byte:
  pushq %rcx
  shlq $56, %rax
  movl $2, %ecx
print_digits:
  pushq %rax
1:
  rolq $4, %rax
  pushq %rax
  andl $15, %eax
  addl $'0', %eax
  cmpl $'9', %eax
  jbe 2f
  addl $('a' - '0' - 10), %eax
2:
  call print_char
  popq %rax
  loop 1b
  popq %rax
  popq %rcx
  ret

print_char:
  pushq %rdx
  movw $COM1, %dx
  outb %al, %dx
  popq %rdx
  ret

  .data
  .align 16
  .globl gdt, tss, idt, idt_pointer, gdt_pointer
gdt:
  .quad 0
  .quad 0x00af9b000000ffff      /* 08 kernel code, 64-bit */
  .quad 0x00cf93000000ffff      /* 10 kernel data */
  .quad 0x00cffb000000ffff      /* 18 user code, 32-bit */
  .quad 0x00cff3000000ffff      /* 20 user data */
  .quad 0x00affb000000ffff      /* 28 user code, 64-bit */
  .quad 0x00cf9b000000ffff      /* 30 kernel code, 32-bit */
  .quad 0x0000890000000067, 0   /* 38 TSS */
  .quad 0x00cf13000000ffff      /* 48 data, not present */
  .quad 0x00cf91000000ffff      /* 50 data, read-only */
  .quad 0x00af9f000000ffff      /* 58 code, conforming, 64-bit */
  .quad 0x00cf99000000ffff      /* 60 code, execute-only, 32-bit */
  .quad 0x0040930000000fff      /* 68 data, limit 0xfff, byte granularity */
  .quad 0x000f9b000000ffff      /* 70 kernel code, 16-bit */
  .quad 0                       /* 78 */
  .quad 0, 0                    /* 80 for call gates of tests */
  .quad 0, 0                    /* 90 for an LDT of tests */
gdt_end:
gdt_pointer:
  .word gdt_end - gdt - 1
  .quad gdt
idt_pointer:
  .word 256 * 16 - 1
  .quad idt

  .align 16
tss:
  .long 0
  .quad ring0_stack_top, 0, 0, 0
  .quad ist1_stack_top, ist2_stack_top, 0, 0, 0, 0, 0
  .quad 0
  .word 0, 0x68
  .fill COM1 / 8, 1, 0xff
  .byte 0, 0xff

  .globl recover_rip, recover_rsp, attempt_rip, report_relative
attempt_rip:
  .quad 0
report_relative:
  .quad 0
recover_rip:
  .quad 0
recover_rsp:
  .quad 0

  .bss
  .align 4096
  .globl pml4, pdpt, identity, window_directory, window_table, user_alias, frame_a, frame_b
pml4: .skip 4096
pdpt: .skip 4096
identity: .skip 4096
window_directory: .skip 4096
window_table: .skip 4096
user_alias: .skip 4096
frame_a: .skip 4096
frame_b: .skip 4096
idt: .skip 4096
  .globl stack_top, ring0_stack_top, ist1_stack_top, ist2_stack_top, user_stack_top
  .skip 4096
stack_top:
  .skip 4096
ring0_stack_top:
  .skip 4096
ist1_stack_top:
  .skip 4096
ist2_stack_top:
  .skip 4096
user_stack_top:
