/* A multiboot kernel that ends the machine in the way that its command line names by a letter. */
  .section .multiboot, "a"
  .align 4
  .long 0x1badb002, 3, -(0x1badb002 + 3)

  .text
  .code32
  .globl start
start:
  movl 16(%ebx), %esi
1:
  lodsb                         /* behind the file's name */
  cmpb $' ', %al
  jne 1b
  lodsb
  cmpb $'o', %al
  je off
  cmpb $'k', %al
  je keyboard
  cmpb $'c', %al
  je control
  movb $1, %al                  /* system control port A */
  outb %al, $0x92
  jmp stop
off:
  movw $0x604, %dx
  movw $0x2000, %ax
  outw %ax, %dx
  jmp stop
keyboard:
  movb $0xfe, %al
  outb %al, $0x64
  jmp stop
control:
  movw $0xcf9, %dx
  movb $2, %al
  outb %al, %dx
  movb $6, %al
  outb %al, %dx
stop:
  cli
  hlt
  jmp stop
