/*
 * A driver for both interfaces of a TPM, as bare as it can be: what it prints must be the same on QEMU with swtpm, whose
 * BIOS has started the TPM already. It finds out by TPM_INTERFACE_ID which interface there is.
 */
#include "harness.h"

#define TPM_BASE 0xfed40000
#define LOCALITY(n) (WINDOW + 0x1000 * (n))

#define ACCESS 0x00
#define STATUS 0x18
#define FIFO 0x24
#define INTERFACE_ID 0x30
#define LOC_STATE 0x00
#define LOC_CTRL 0x08
#define LOC_STS 0x0c
#define CTRL_REQ 0x40
#define CTRL_STS 0x44
#define CTRL_START 0x4c
#define BUFFER 0x80

/* Big-endian numbers */
.macro be16 value
  .byte (\value) >> 8 & 0xff, (\value) & 0xff
.endm
.macro be32 value
  be16 (\value) >> 16
  be16 (\value)
.endm

/* Sends a command and prints the first bytes of its response */
.macro SEND text, command
  CASE "\text"
  movl $\command, %esi
  movl $\command\()_end - \command, %ecx
  call *send
  call print_response
.endm

  .text
  .globl test
test:
  movl $(TPM_BASE + P + W + 0x10), %eax
  xorl %ecx, %ecx
1:
  movq %rax, window_table(, %rcx, 8)
  addl $0x1000, %eax
  incl %ecx
  cmpl $5, %ecx
  jne 1b
  movq %cr3, %rax
  movq %rax, %cr3

  movl $fifo_send, %eax
  movl $crb_send, %edx
  testb $15, LOCALITY(0) + INTERFACE_ID
  cmovnzl %edx, %eax
  movl %eax, send
  jnz crb

  CASE "FIFO: locality and status"
  movb $0x20, LOCALITY(0) + ACCESS       /* whatever the BIOS left */
  call show_access
  movb $0x02, LOCALITY(0) + ACCESS
  call show_access
  movb $0x40, LOCALITY(0) + STATUS
  call show_status
  movb $0x80, LOCALITY(0) + FIFO
  movb $0x01, LOCALITY(0) + FIFO
  call show_status
  movb $0x40, LOCALITY(0) + STATUS
  movb $0x40, LOCALITY(0) + STATUS
  call show_status
  movb $0x08, LOCALITY(1) + ACCESS       /* locality 1 seizes, and gives back */
  call show_access
  movzbl LOCALITY(1) + ACCESS, %eax
  SHOW rax
  movb $0x02, LOCALITY(0) + ACCESS
  call show_access
  movb $0x20, LOCALITY(1) + ACCESS
  movb $0x10, LOCALITY(0) + ACCESS
  call show_access
  jmp commands

crb:
  CASE "CRB: locality and status"
  movl $0x02, LOCALITY(0) + LOC_CTRL
  call show_locality
  movl $0x01, LOCALITY(0) + LOC_CTRL
  call show_locality
  movl $0x02, LOCALITY(0) + CTRL_REQ
  movl LOCALITY(0) + CTRL_STS, %eax
  SHOW rax
  movl $0x01, LOCALITY(0) + CTRL_REQ
  movl LOCALITY(0) + CTRL_STS, %eax
  SHOW rax
  movl LOCALITY(0) + CTRL_REQ, %eax
  SHOW rax
  movl LOCALITY(0) + CTRL_START, %eax
  SHOW rax

commands:
  SEND "PCR_Reset of PCR 16", reset16
  SEND "PCR_Extend of PCR 16", extend16
  SEND "PCR_Read of PCR 16", read16
  SEND "PCR_Extend of PCR 17 from locality 0", extend17
  SEND "Hash", hash
  SEND "a second Startup", startup
  SEND "no such command", unknown
  SEND "GetCapability of the family", family
  ret

show_access:
  pushq %rax
  movzbl LOCALITY(0) + ACCESS, %eax
  SHOW rax
  popq %rax
  ret

/* Without the burst count, which is the TPM's own affair; without stsValid, which QEMU leaves clear while the TPM is ready
   and nothing is to be valid; without selfTestDone, which QEMU does not keep */
show_status:
  pushq %rax
  movl LOCALITY(0) + STATUS, %eax
  andl $0x0c00007a, %eax
  SHOW rax
  popq %rax
  ret

show_locality:
  pushq %rax
  movl LOCALITY(0) + LOC_STATE, %eax
  SHOW rax
  movl LOCALITY(0) + LOC_STS, %eax
  SHOW rax
  popq %rax
  ret

/* Command at rsi, rcx bytes; the response goes to `response` */
fifo_send:
  movb $0x40, LOCALITY(0) + STATUS
1:
  testb $0x40, LOCALITY(0) + STATUS
  jz 1b
2:
  lodsb
  movb %al, LOCALITY(0) + FIFO
  loop 2b
  movb $0x20, LOCALITY(0) + STATUS
3:
  testb $0x10, LOCALITY(0) + STATUS
  jz 3b
  movl $response, %edi
4:
  movb LOCALITY(0) + FIFO, %al
  stosb
  testb $0x10, LOCALITY(0) + STATUS
  jnz 4b
  movb $0x40, LOCALITY(0) + STATUS
  ret

crb_send:
  movl $1, LOCALITY(0) + CTRL_REQ
1:
  testl $1, LOCALITY(0) + CTRL_REQ
  jnz 1b
  movl $(LOCALITY(0) + BUFFER), %edi
  rep movsb
  movl $1, LOCALITY(0) + CTRL_START
2:
  testl $1, LOCALITY(0) + CTRL_START
  jnz 2b
  movl $(LOCALITY(0) + BUFFER), %esi
  movl $response, %edi
  movl $128, %ecx
  rep movsb
  movl $2, LOCALITY(0) + CTRL_REQ
  ret

/* Header (without its tag: quadwords as they lie), then what follows it, eight bytes at a time */
print_response:
  movl response + 2, %ebx
  bswap %ebx
  SHOW rbx
  movl $response, %esi
1:
  movq (%rsi), %rax
  bswap %rax
  cmpl $8, %ebx
  jae 2f
  movl $8, %ecx                          /* the last bytes alone */
  subl %ebx, %ecx
  shll $3, %ecx
  shrq %cl, %rax
2:
  SHOW rax
  addl $8, %esi
  subl $8, %ebx
  ja 1b
  ret

  .data
reset16:
  be16 0x8002
  be32 27
  be32 0x13d
  be32 16
  be32 9
  be32 0x40000009
  be16 0
  .byte 1
  be16 0
reset16_end:
.macro EXTEND name, pcr
\name:
  be16 0x8002
  be32 65
  be32 0x182
  be32 \pcr
  be32 9
  be32 0x40000009
  be16 0
  .byte 1
  be16 0
  be32 1
  be16 0x000b
  .fill 32, 1, 0x5a
\name\()_end:
.endm
  EXTEND extend16, 16
  EXTEND extend17, 17
read16:
  be16 0x8001
  be32 20
  be32 0x17e
  be32 1
  be16 0x000b
  .byte 3, 0, 0, 1
read16_end:
hash:
  be16 0x8001
  be32 21
  be32 0x17d
  be16 3
  .ascii "abc"
  be16 0x000b
  be32 0x40000007
hash_end:
startup:
  be16 0x8001
  be32 12
  be32 0x144
  be16 0
startup_end:
unknown:
  be16 0x8001
  be32 10
  be32 0x1ff
unknown_end:
family:
  be16 0x8001
  be32 22
  be32 0x17a
  be32 6
  be32 0x100
  be32 1
family_end:

  .bss
send: .skip 8
response: .skip 4096
