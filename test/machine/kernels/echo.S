/* A multiboot kernel that sleeps until COM1 interrupts it, and sends back what it has received, each byte one higher. */
  .section .multiboot, "a"
  .align 4
  .long 0x1badb002, 3, -(0x1badb002 + 3)

  .text
  .code32
  .globl start
start:
  lgdt gdt_pointer
  ljmp $8, $1f
1:
  movl $16, %eax
  movl %eax, %ds
  movl %eax, %ss
  movl $stack_end, %esp
  movl $received, %eax
  movw %ax, idt + 8 * 0x24
  movw $8, idt + 8 * 0x24 + 2
  movw $0x8e00, idt + 8 * 0x24 + 4
  shrl $16, %eax
  movw %ax, idt + 8 * 0x24 + 6
  lidt idt_pointer
  movb $0x11, %al
  outb %al, $0x20
  movb $0x20, %al
  outb %al, $0x21
  movb $4, %al
  outb %al, $0x21
  movb $1, %al
  outb %al, $0x21
  movb $0xef, %al               /* IRQ 4 only */
  outb %al, $0x21
  movl $0x3f9, %edx
  movb $1, %al                  /* received data interrupts */
  outb %al, %dx
  movl $0x3fc, %edx
  movb $8, %al                  /* OUT2: to the interrupt controller */
  outb %al, %dx
  sti
2:
  hlt
  incl awake
  jmp 2b

received:
  pushl %eax
  pushl %edx
3:
  movl $0x3fd, %edx
  inb %dx, %al
  testb $1, %al
  jz 4f
  movl $0x3f8, %edx
  inb %dx, %al
  addb poke, %al
  outb %al, %dx
  jmp 3b
4:
  movb $0x20, %al
  outb %al, $0x20
  popl %edx
  popl %eax
  iret

  .data
  .align 8
gdt:
  .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
  .word 23
  .long gdt
idt_pointer:
  .word 8 * 0x30 - 1
  .long idt
  .globl poke
poke: .long 1
awake: .long 0
  .bss
  .align 16
idt: .skip 8 * 0x30
stack: .skip 4096
stack_end:
