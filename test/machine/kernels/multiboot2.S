/* The smallest multiboot 2 kernel with symbols. */
  .section .multiboot, "a"
  .align 8
header:
  .long 0xe85250d6, 0, header_end - header, -(0xe85250d6 + (header_end - header))
  .word 0, 0
  .long 8
header_end:
  .text
  .code32
  .globl start
start:
  hlt
  jmp start
