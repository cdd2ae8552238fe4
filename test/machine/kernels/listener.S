/* A multiboot kernel whose run depends on all that can come into a machine: it mixes random numbers, the real-time clock,
   sectors of the first IDE disk where there is one ('d' on the command line), and what arrives at COM1, and answers each
   byte with one that follows from all of it. A 'w' that a debugger puts at `order` makes it write to the disk, 'q' from COM1 ends it. */
  .section .multiboot, "a"
  .align 4
  .long 0x1badb002, 3, -(0x1badb002 + 3)
order:                          /* at 0x10000c, where tests find it */
  .byte 0
has_disk:
  .byte 0

  .text
  .code32
  .globl start
start:
  movl $stack_top, %esp
  movl 16(%ebx), %esi           /* command line */
1:
  lodsb                         /* behind the file's name */
  testb %al, %al
  jz 2f
  cmpb $' ', %al
  jne 1b
  lodsb
  movb %al, has_disk
2:
  xorl %ebp, %ebp               /* the sum of everything */
  xorl %ebx, %ebx               /* rounds */
round:
  incl %ebx
  imull $33, %ebp, %ebp
  addl %ebx, %ebp
  movl %ebp, %eax
  shrl $20, %eax
  xorl %ebp, table(,%eax,4)     /* memory that changes */
  movw $0x3fd, %dx
  inb %dx, %al
  testb $1, %al
  jnz arrived
  testl $0xff, %ebx
  jnz round
  rdrand %eax
  xorl %eax, %ebp
  movb $0, %al
  outb %al, $0x70
  inb $0x71, %al
  movzbl %al, %eax
  addl %eax, %ebp
  testl $0xfff, %ebx
  jnz round
  cmpb $'d', has_disk
  jne round
  call sector
  jmp round

arrived:
  movw $0x3f8, %dx
  inb %dx, %al
  cmpb $'q', %al
  je over
  movzbl %al, %eax
  addl %eax, %ebp
  movl %ebp, %eax
  andb $0x0f, %al
  addb $'a', %al
  outb %al, %dx
  jmp round

over:
  xorl %eax, %eax
  movw $0xf4, %dx
  outl %eax, %dx
  hlt

/* Reads the sector that the sum names, of 64, and adds it to the sum; or writes there */
sector:
  movl %ebp, %ecx
  shrl $9, %ecx
  andl $63, %ecx
  movw $0x1f6, %dx
  movb $0xe0, %al
  outb %al, %dx
  movw $0x1f2, %dx
  movb $1, %al
  outb %al, %dx
  incl %edx
  movb %cl, %al
  outb %al, %dx
  xorl %eax, %eax
  incl %edx
  outb %al, %dx
  incl %edx
  outb %al, %dx
  movw $0x1f7, %dx
  movb $0x20, %al
  cmpb $'w', order
  jne 1f
  movb $0x30, %al
1:
  outb %al, %dx
2:
  inb %dx, %al
  testb $0x80, %al
  jnz 2b
  testb $1, %al
  jnz failed
  testb $8, %al
  jz 2b
  movw $0x1f0, %dx
  movl $256, %ecx
  cmpb $'w', order
  je write
  movl $buffer, %edi
  rep insw
  movl $128, %ecx
3:
  imull $5, %ebp, %ebp
  addl buffer-4(,%ecx,4), %ebp
  loop 3b
  ret
write:
  movl %ebp, buffer
  movl $buffer, %esi
  rep outsw
  movw $0x1f7, %dx
4:
  inb %dx, %al
  testb $0x80, %al
  jnz 4b
  testb $1, %al
  jnz failed
  ret
failed:
  xorl $0x5a5a5a5a, %ebp
  ret

  .bss
  .align 4096
table:
  .space 4096 * 4
buffer:
  .space 512
  .align 16
  .space 4096
stack_top:
