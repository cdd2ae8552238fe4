/* A multiboot 2 kernel that prints the tags whose contents do not depend on the machine. Runs by GRUB too. */
#define COM1 0x3f8
  .section .multiboot, "a"
  .align 8
header:
  .long 0xe85250d6, 0, header_end - header, -(0xe85250d6 + (header_end - header))
  .word 1, 0                    /* information request: command line, modules, memory map, sections */
  .long 24
  .long 1, 3, 6, 9
  .word 6, 0                    /* modules on pages */
  .long 8
  .word 0, 0
  .long 8
header_end:

.macro SAY text
  call say
  .asciz "\text"
.endm

  .text
  .code32
  .globl start
start:
  movl $stack_top, %esp
  movl %ebx, %ebp
  pushl %eax
  SAY "eax="
  popl %eax
  call hex
  pushfl
  popl %eax
  andl $0x24202, %eax
  SAY " flags="
  call hex
  movl %ebp, %eax
  andl $7, %eax
  SAY " alignment="
  call hex
  SAY "\n"
  movl $1, %edx                 /* by type, then in their order: loaders order types as they like */
next_type:
  leal 8(%ebp), %edi
next_tag:
  movl (%edi), %eax
  testl %eax, %eax
  jz types_end
  cmpl %edx, %eax
  jne skip
  cmpl $1, %eax
  je command_line
  cmpl $3, %eax
  je module
  cmpl $4, %eax
  je memory
  cmpl $6, %eax
  je map
  cmpl $9, %eax
  je sections
  cmpl $14, %eax
  je rsdp
skip:
  addl 4(%edi), %edi
  addl $7, %edi
  andl $~7, %edi
  jmp next_tag
types_end:
  incl %edx
  cmpl $22, %edx
  jb next_type
  movl $0, %eax
  outl %eax, $0xf4
1:
  hlt
  jmp 1b

command_line:
  SAY "command line "
  leal 8(%edi), %esi
  call string
  SAY "|\n"
  jmp skip
module:
  SAY "module "
  leal 16(%edi), %esi
  call string
  SAY "| size "
  movl 12(%edi), %eax
  subl 8(%edi), %eax
  call hex
  SAY " page offset "
  movl 8(%edi), %eax
  andl $0xfff, %eax
  call hex
  SAY " first "
  movl 8(%edi), %esi
  movl (%esi), %eax
  call hex
  SAY "\n"
  jmp skip
memory:
  SAY "lower "
  movl 8(%edi), %eax
  call hex
  SAY "\n"
  jmp skip
map:
  SAY "map entry "
  movl 8(%edi), %eax
  call hex
  SAY " version "
  movl 12(%edi), %eax
  call hex
  SAY " first "
  movl 24(%edi), %eax
  call hex
  SAY " type "
  movl 32(%edi), %eax
  call hex
  SAY "\n"
  jmp skip
sections:
  SAY "sections "
  movl 8(%edi), %eax
  call hex
  SAY " of "
  movl 12(%edi), %eax
  call hex
  SAY " names in "
  movl 16(%edi), %eax
  call hex
  imull 12(%edi), %eax
  leal 20(%edi, %eax), %esi     /* header of the table of names */
  movl 12(%esi), %ebx           /* its address */
  movl 8(%edi), %ecx
  leal 20(%edi), %esi
1:
  SAY " "
  pushl %esi
  movl (%esi), %esi
  addl %ebx, %esi
  call string
  popl %esi
  addl 12(%edi), %esi
  loop 1b
  SAY "\n"
  jmp skip
rsdp:
  SAY "root pointer "
  movl 8(%edi), %eax
  call hex
  SAY "\n"
  jmp skip

say:
  xchgl %esi, (%esp)
  call string
  xchgl %esi, (%esp)
  ret
string:
  pushl %eax
1:
  lodsb
  testb %al, %al
  jz 2f
  call char
  jmp 1b
2:
  popl %eax
  ret
hex:
  pushl %ecx
  pushl %eax
  movl $8, %ecx
1:
  roll $4, %eax
  pushl %eax
  andl $15, %eax
  movb digits(%eax), %al
  call char
  popl %eax
  loop 1b
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
  .bss
  .align 16
  .skip 4096
stack_top:
