/* A multiboot 1 kernel that prints what its loader handed over, and what fw-cfg says. Runs on QEMU by -kernel too. */
#define COM1 0x3f8
  .section .multiboot, "a"
  .align 4
  .long 0x1badb002, 3, -(0x1badb002 + 3)

  .text
  .code32
  .globl start
start:
  movl $stack_top, %esp
  movl %ebx, %ebp
  pushl %eax
  call text
  .asciz "eax="
  popl %eax
  call hex
  pushfl
  popl %eax
  andl $0x24202, %eax           /* VM, NT, DF, IF and the bit that is always set */
  call text
  .asciz " flags="
  call hex
  movl %cr0, %eax
  andl $0x80000001, %eax
  call text
  .asciz " cr0="
  call hex
  call text
  .asciz "\ninfo="
  movl (%ebp), %eax
  call hex
  call text
  .asciz " lower="
  movl 4(%ebp), %eax
  call hex
  call text
  .asciz " device="
  movl 12(%ebp), %eax
  call hex
  call text
  .asciz "\ncommand line:"
  movl 16(%ebp), %esi           /* the first word is the file's name, and differs */
1:
  lodsb
  cmpb $' ', %al
  jne 1b
  call string
  call text
  .asciz "|\n"
  movl 20(%ebp), %ecx
  movl 24(%ebp), %edi
2:
  jecxz 3f
  call text
  .asciz "module "
  movl 8(%edi), %esi
  call string
  movl (%edi), %eax
  andl $0xfff, %eax
  call text
  .asciz " page offset "
  call hex
  movl 4(%edi), %eax
  subl (%edi), %eax
  call text
  .asciz " size "
  call hex
  call text
  .asciz " holds "
  movl (%edi), %esi
  call line
  call text
  .asciz "\n"
  addl $16, %edi
  decl %ecx
  jmp 2b
3:
  movl 48(%ebp), %esi
  call text
  .asciz "map entry size="
  movl (%esi), %eax
  call hex
  call text
  .asciz " length="
  movl 12(%esi), %eax
  call hex
  call text
  .asciz " type="
  movl 20(%esi), %eax
  call hex
  /* fw-cfg: signature, interfaces, number of processors, RAM size; then the same signature by DMA */
  call text
  .asciz "\nfw-cfg "
  xorl %eax, %eax
  call item
  call text
  .asciz " interfaces "
  movl $1, %eax
  call item
  call text
  .asciz " processors "
  movl $5, %eax
  call item
  call text
  .asciz " ram "
  movl $3, %eax
  call item
  movl $0x514, %edx
  inl %dx, %eax
  call text
  .asciz " dma "
  call hex
  addl $4, %edx
  inl %dx, %eax
  call hex
  movl $buffer, %eax
  bswapl %eax
  movl %eax, request + 12
  movl $request, %eax
  bswapl %eax
  movl $0x518, %edx
  outl %eax, %dx
  movl request, %eax
  call text
  .asciz " control "
  call hex
  movl buffer, %eax
  call text
  .asciz " read "
  call hex
  movl buffer + 4, %eax
  call hex
  call text
  .asciz " debug console "
  inb $0xe9, %al
  movzbl %al, %eax
  call hex
  call text
  .asciz "\n"
  movl $0x15, %eax
  outl %eax, $0xf4
4:
  hlt
  jmp 4b

/* EAX = number of the item; prints 4 bytes of it. */
item:
  movl $0x510, %edx
  outw %ax, %dx
  incl %edx
  xorl %eax, %eax
  movl $4, %ebx
5:
  inb %dx, %al
  rorl $8, %eax
  decl %ebx
  jnz 5b
  jmp hex

/* Prints the string behind the call. */
text:
  xchgl %esi, (%esp)
  call string
  xchgl %esi, (%esp)
  ret
string:
  pushl %eax
6:
  lodsb
  testb %al, %al
  jz 7f
  call char
  jmp 6b
7:
  popl %eax
  ret
line:
  lodsb
  cmpb $10, %al
  je 8f
  call char
  jmp line
8:
  ret
hex:
  pushl %ecx
  pushl %eax
  movl $8, %ecx
9:
  roll $4, %eax
  pushl %eax
  andl $15, %eax
  movb digits(%eax), %al
  call char
  popl %eax
  loop 9b
  popl %eax
  popl %ecx
  ret
char:
  pushl %edx
  movw $COM1, %dx
  outb %al, %dx
  popl %edx
  ret

  .data
digits: .ascii "0123456789abcdef"
  .align 4
request:                        /* big-endian: select item 0 and read, 8 bytes, to the buffer */
  .byte 0, 0, 0, 0x0a
  .byte 0, 0, 0, 8
  .quad 0
buffer: .quad -1
  .bss
  .align 16
  .skip 4096
stack_top:
