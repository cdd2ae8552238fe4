/* node scripts/asm-test.mjs exceptions */
#include "harness.h"

  .text
  .globl test
test:
  CASE "#DE: division by zero"
  ATTEMPT
  xorl %ecx, %ecx
  movl $1, %eax
  divl %ecx
  OUTCOME
  SHOW rax
  CASE "#DE: quotient too large"
  ATTEMPT
  movl $2, %edx
  movl $1, %eax
  movl $2, %ecx
  stc
  divl %ecx
  OUTCOME
  SHOW rdx
  CASE "#DE: the most negative number by -1"
  ATTEMPT
  movl $0x80000000, %eax
  cltd
  movl $-1, %ecx
  idivl %ecx
  OUTCOME
  CASE "#UD: UD2"
  ATTEMPT
  ud2
  OUTCOME
  CASE "#UD: MOV to CS"
  ATTEMPT
  .byte 0x8e, 0xc8
  OUTCOME
  CASE "#UD: an opcode that 64-bit mode does not have"
  ATTEMPT
  .byte 0x06
  OUTCOME
  CASE "#UD: LEA of a register"
  ATTEMPT
  .byte 0x8d, 0xc0
  OUTCOME
  CASE "#BP: trap, RIP is behind INT3"
  ATTEMPT
  int3
  OUTCOME
  CASE "INT n through an interrupt gate"
  ATTEMPT
  stc
  int $0x31
  OUTCOME
  CASE "INT n with a vector that has an error code pushes none"
  movw $0xee00, idt + 13 * 16 + 4
  ATTEMPT
  int $0x80
  OUTCOME
  movw $0x8e00, idt + 13 * 16 + 4
  CASE "#GP: an instruction longer than 15 bytes"
  ATTEMPT
  .byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90
  OUTCOME
  CASE "#GP: a gate with a null selector"
  movw $0, idt + 0x42 * 16 + 2
  ATTEMPT
  int $0x42
  OUTCOME
  CASE "#GP: a gate to data that is not present"
  movw $NOT_PRESENT_DATA, idt + 0x43 * 16 + 2
  ATTEMPT
  int $0x43
  OUTCOME
  CASE "#GP: a gate to a data segment"
  movw $KERNEL_DATA, idt + 0x44 * 16 + 2
  ATTEMPT
  int $0x44
  OUTCOME
  CASE "#GP: a gate to 32-bit code"
  movw $KERNEL_CODE32, idt + 0x45 * 16 + 2
  ATTEMPT
  int $0x45
  OUTCOME
  CASE "#DB: single step, RIP is behind the instruction"
  ATTEMPT
  pushq $0x102
  popfq
  nop
  nop
  OUTCOME
  movq %dr6, %rax
  andl $0x4000, %eax
  SHOW rax
  movl $0xffff0ff0, %eax
  movq %rax, %dr6

  CASE "from user: #GP of a privileged instruction"
  ATTEMPT
  ENTER_USER user_hlt
  OUTCOME
  CASE "from user: INT n to a gate with DPL 3"
  ATTEMPT
  ENTER_USER user_leave
  OUTCOME
  CASE "from user: #DE does not"
  ATTEMPT
  ENTER_USER user_divide
  OUTCOME
  ret

user_hlt:
  hlt
user_leave:
  stc
  LEAVE_USER
user_divide:
  xorl %ecx, %ecx
  divl %ecx
