/* A multiboot kernel that sleeps while the timer runs, and has closed the interrupt's way at the local APIC. */
  .section .multiboot, "a"
  .align 4
  .long 0x1badb002, 3, -(0x1badb002 + 3)

  .text
  .code32
  .globl start
start:
  movl $0x10000, 0xfee00350     /* LINT0 masked */
  movb $0x34, %al
  outb %al, $0x43
  xorl %eax, %eax
  outb %al, $0x40
  outb %al, $0x40
  movb $0x11, %al
  outb %al, $0x20
  movb $0x20, %al
  outb %al, $0x21
  movb $4, %al
  outb %al, $0x21
  movb $1, %al
  outb %al, $0x21
  movb $0xfe, %al
  outb %al, $0x21
  sti
  hlt
  hlt
