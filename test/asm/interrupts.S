/* node scripts/asm-test.mjs interrupts */
#include "harness.h"

#define APIC 0xfee00000
#define SELF 0x40000

/* The APIC's page in the window, uncached as an operating system maps it */
#define LOCAL WINDOW + 0x1000

.macro SEND_SELF vector
  movl $SELF + \vector, LOCAL + 0x300
.endm

.macro END_OF_INTERRUPT
  movl $0, LOCAL + 0xb0
.endm

.macro OUT8 port, value
  movw $\port, %dx
  movb $\value, %al
  outb %al, %dx
.endm

  .text
  .globl test
test:
  movq $P + W + 0x10, %rax
  movl $APIC, %ecx
  addq %rcx, %rax
  movq %rax, window_table + 8
  movl $0x1ff, LOCAL + 0xf0

  CASE "STI holds interrupts back for one instruction"
  ATTEMPT
  SEND_SELF 0x51
  xorl %eax, %eax
  sti
  incl %eax
  incl %eax
  incl %eax
  cli
  OUTCOME
  SHOW rax
  END_OF_INTERRUPT
  CASE "the highest vector first, and the other when IRET lets it"
  ATTEMPT
  SEND_SELF 0x53
  SEND_SELF 0x93
  sti
  nop
  cli
  OUTCOME
  cli
  movl LOCAL + 0x140, %eax
  SHOW rax
  movl LOCAL + 0x220, %eax
  SHOW rax
  ATTEMPT
  END_OF_INTERRUPT
  sti
  nop
  cli
  OUTCOME
  cli
  END_OF_INTERRUPT
  CASE "CR8 holds back what is not above it"
  movl $9, %eax
  movq %rax, %cr8
  ATTEMPT
  SEND_SELF 0x94
  sti
  nop
  nop
  cli
  OUTCOME
  movl LOCAL + 0x80, %eax
  SHOW rax
  xorl %eax, %eax
  ATTEMPT
  sti
  nop
  movq %rax, %cr8
  nop
  cli
  OUTCOME
  cli
  END_OF_INTERRUPT
  CASE "HLT ends with an interrupt; RIP is behind it"
  ATTEMPT
  movl $0x0b, LOCAL + 0x3e0
  movl $0x61, LOCAL + 0x320
  movl $100000, LOCAL + 0x380
  sti
  hlt
  cli
  OUTCOME
  cli
  END_OF_INTERRUPT
  CASE "an interrupt of the serial port, by the 8259 and LINT0 as ExtINT"
  OUT8 0x20, 0x11
  OUT8 0x21, 0x20
  OUT8 0x21, 0x04
  OUT8 0x21, 0x01
  OUT8 0x21, 0xef
  movl $0x700, LOCAL + 0x350
  OUT8 COM1 + 4, 0x08
  ATTEMPT
  OUT8 COM1 + 1, 0x02
  sti
  nop
  cli
  OUTCOME
  cli
  OUT8 COM1 + 1, 0
  OUT8 COM1 + 4, 0
  OUT8 0x20, 0x0b
  inb $0x20, %al
  movzbl %al, %eax
  SHOW rax
  OUT8 0x20, 0x20
  inb $0x20, %al
  movzbl %al, %eax
  SHOW rax
  OUT8 0x21, 0xff
  movl $0x10000, LOCAL + 0x350
  CASE "an interrupt in user goes to RSP0"
  ATTEMPT
  SEND_SELF 0x55
  pushq $USER_DATA
  movl $user_stack_top + USER_ALIAS, %ecx
  pushq %rcx
  pushq $0x202
  pushq $USER_CODE
  movl $user_wait + USER_ALIAS, %ecx
  pushq %rcx
  iretq
  OUTCOME
  END_OF_INTERRUPT
  CASE "APIC registers after all that"
  movl LOCAL + 0x20, %eax
  SHOW rax
  movl LOCAL + 0xa0, %eax
  SHOW rax
  movl LOCAL + 0xf0, %eax
  SHOW rax
  movl LOCAL + 0x320, %eax
  SHOW rax
  movl LOCAL + 0x3e0, %eax
  SHOW rax
  movl LOCAL + 0x390, %eax
  SHOW rax
  ret

user_wait:
  nop
  LEAVE_USER
