/*
 * A measured launch, all of it: what Intel would sign as SINIT is `module` here. The loader writes TXT's registers and
 * starts it by GETSEC[SENTER]; the processor measures it into PCR 17. It measures the environment into PCR 18 through
 * locality 3, with the TPM's own event sequence, and enters it by GETSEC[EXITAC].
 */
#include "harness.h"

#define TPM(locality) (0xfed40000 + 0x1000 * (locality))
#define TXT_PRIVATE 0xfed20000
#define TXT_PUBLIC 0xfed30000
#define STS 0
#define HEAP_BASE 0x300
#define SINIT_BASE 0x270
#define SINIT_SIZE 0x278
#define MLE_JOIN 0x290
#define OPEN_LOCALITY2 0x390
#define SMXE 0x4000

#define CAPABILITIES 0
#define EXITAC 3
#define SENTER 4
#define SEXIT 5
#define PARAMETERS 6
#define SMCTRL 7
#define WAKEUP 8

.macro GETSEC leaf
  movl $\leaf, %eax
  .byte 0x0f, 0x37
.endm

.macro be16 value
  .byte (\value) >> 8 & 0xff, (\value) & 0xff
.endm
.macro be32 value
  be16 (\value) >> 16
  be16 (\value)
.endm

  .text
  .code64
  .globl test
test:
  REPORT_RELATIVE
  CASE "GETSEC before CR4.SMXE"
  ATTEMPT
  GETSEC CAPABILITIES
  OUTCOME
  ATTEMPT
  movq %cr4, %rax
  orl $SMXE, %eax
  movq %rax, %cr4
  OUTCOME
  movq %cr4, %rax
  testl $SMXE, %eax
  jnz 1f
  ret                                    /* no safer mode on this machine */
1:
  CASE "CAPABILITIES, PARAMETERS"
  xorl %ebx, %ebx
  GETSEC CAPABILITIES
  SHOW rax
  xorl %ebx, %ebx
1:
  pushq %rbx
  GETSEC PARAMETERS
  SHOW rax
  popq %rbx
  incl %ebx
  testl $31, %eax
  jnz 1b

  CASE "leaves that are out of place"
  ATTEMPT
  GETSEC 2                               /* ENTERACCS is not there */
  OUTCOME
  ATTEMPT
  xorl %edx, %edx
  GETSEC EXITAC
  OUTCOME
  ATTEMPT
  GETSEC SEXIT
  OUTCOME
  ATTEMPT
  GETSEC WAKEUP
  OUTCOME
  ATTEMPT
  xorl %ebx, %ebx
  GETSEC SMCTRL
  OUTCOME
  CASE "SENTER with wrong arguments"
  ATTEMPT
  movl $module + 64, %ebx
  movl $module_end - module, %ecx
  xorl %edx, %edx
  GETSEC SENTER
  OUTCOME
  ATTEMPT
  movl $module, %ebx
  movl $1, %edx
  GETSEC SENTER
  OUTCOME

  CASE "TXT and localities before the launch"
  movl $(TXT_PUBLIC + P + W + 0x10), %eax
  movq %rax, window_table
  movl $(TXT_PRIVATE + P + W + 0x10), %eax
  movq %rax, window_table + 8
  movl $(TPM(2) + P + W + 0x10), %eax
  movq %rax, window_table + 16
  movl $(TPM(3) + P + W + 0x10), %eax
  movq %rax, window_table + 24
  movq %cr3, %rax
  movq %rax, %cr3
  movl WINDOW + STS, %eax
  SHOW rax
  movl WINDOW + 0x1000 + STS, %eax       /* the private space is closed */
  SHOW rax
  movl WINDOW + 0x2000, %eax             /* and localities 2 and 3 */
  SHOW rax
  movl WINDOW + 0x3000, %eax
  SHOW rax
  movl $module, %eax
  movq %rax, WINDOW + SINIT_BASE
  movl $heap, %eax
  movq %rax, WINDOW + HEAP_BASE
  movl $join, %eax
  movq %rax, WINDOW + MLE_JOIN

  CASE "SENTER"
  movq %rsp, saved_rsp
  movl $mle_end - mle, heap
  movl $mle, heap + 4
  movl $pml4, %esi                       /* the environment keeps what it was given: registers are not cleared */
  movq $0x1122334455667788, %rdi
  movl $module, %ebx
  movl $module_end - module, %ecx
  xorl %edx, %edx
  GETSEC SENTER
  ud2

/* The measured environment: entered in flat 32-bit mode, without paging */
  .code32
  .p2align 4
mle:
  movl %ebp, mle_frame
  movl %esi, mle_frame + 4
  movl %edi, mle_frame + 8
  movl %cs, %eax
  movl %eax, mle_frame + 12
  movl %cr0, %eax
  movl %eax, mle_frame + 16
  movl %cr4, %eax
  movl %eax, mle_frame + 20
  movl %cr4, %eax                        /* and back to the harness's 64-bit mode */
  orl $0x20, %eax
  movl %eax, %cr4
  movl $pml4, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx
  movl $0x901, %eax
  xorl %edx, %edx
  wrmsr
  movl %cr0, %eax
  orl $0x80010000, %eax
  movl %eax, %cr0
  lgdt gdt_pointer
  ljmp $KERNEL_CODE, $mle64
mle_end:

  .code64
mle64:
  movl $KERNEL_DATA, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl $mle_stack_top, %esp
  CASE "in the environment"
  movl mle_frame, %eax
  subl $module, %eax
  SHOW rax
  movl mle_frame + 4, %eax
  subl $pml4, %eax
  SHOW rax
  movl mle_frame + 8, %eax
  SHOW rax
  movl mle_frame + 12, %eax
  SHOW rax
  movl mle_frame + 16, %eax
  SHOW rax
  movl mle_frame + 20, %eax
  SHOW rax
  movl WINDOW + STS, %eax
  SHOW rax
  movl WINDOW + 0x1000 + STS, %eax
  SHOW rax
  movl WINDOW + 0x3000, %eax             /* locality 3 was the module's */
  SHOW rax
  movl $1, %eax
  cpuid
  shrl $16, %ebx
  cmpb $1, %bl
  jbe 1f
  CASE "the other processor"
  GETSEC WAKEUP
2:
  pause
  cmpl $0x600d, woken
  jne 2b
  movl woken, %eax
  SHOW rax
1:
  CASE "PCR 17 and 18, read through locality 2"
  movl $read, %esi
  movl $read_end - read, %ecx
  movl $WINDOW + 0x2000, %edx
  call fifo
  movl response + 2, %ebx
  bswap %ebx
  SHOW rbx
  movl $response + 24, %esi
  movl $9, %ecx
3:
  movq (%rsi), %rax
  bswap %rax
  SHOW rax
  addq $8, %rsi
  loop 3b
  CASE "SENTER again, SMCTRL, SEXIT"
  ATTEMPT
  movl $module, %ebx
  movl $module_end - module, %ecx
  xorl %edx, %edx
  GETSEC SENTER
  OUTCOME
  ATTEMPT
  xorl %ebx, %ebx
  GETSEC SMCTRL
  OUTCOME
  ATTEMPT
  GETSEC SEXIT
  OUTCOME
  movl WINDOW + STS, %eax
  SHOW rax
  movl WINDOW + 0x1000 + STS, %eax
  SHOW rax
  movq saved_rsp, %rsp
  ret

/* Command at rsi, rcx bytes, through the FIFO of the page at rdx */
fifo:
  movb $0x02, (%rdx)
  movb $0x40, 0x18(%rdx)
1:
  lodsb
  movb %al, 0x24(%rdx)
  loop 1b
  movb $0x20, 0x18(%rdx)
  movl $response, %edi
2:
  movb 0x24(%rdx), %al
  stosb
  testb $0x10, 0x18(%rdx)
  jnz 2b
  ret

  .data
read:
  be16 0x8001
  be32 20
  be32 0x17e
  be32 1
  be16 0x000b
  .byte 3, 0, 0, 6
read_end:

/* --- The module --- */
  .p2align 12
module:
  .short 2, 0                            /* chipset module, TXT SINIT */
  .long 161, 0                           /* header: doublewords, version */
  .short 0, 0
  .long 0x8086, 0x20240101
  .long (module_end - module) / 4
  .short 0, 0
  .long 0, 0                             /* CodeControl, ErrorEntryPoint */
  .long module_gdt_end - module_gdt - 1
  .long module_gdt - module
  .long 8
  .long module_entry - module
  .fill 64, 1, 0
  .long 64, 143
  .fill 256 + 4 + 256, 1, 0xee           /* key and signature: not checked, not measured */
  .fill 143 * 4, 1, 0
module_gdt:
  .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
module_gdt_end:

  .code32
module_entry:
  movl $module_stack_top, %esp
  movl %esi, saved
  movl %edi, saved + 4
  movl $TPM(3), %edx
  movb $0x02, (%edx)                     /* request locality 3 */
  movl $start, %esi
  movl $start_end - start, %ecx
  call module_fifo
  /* HASH sequence handle into the next commands */
  movl module_response + 10, %eax
  movl %eax, complete_handle
  /* the environment's bytes go into the buffer of the last command */
  movl TXT_PRIVATE + HEAP_BASE, %ebx
  movl (%ebx), %ecx
  movl 4(%ebx), %esi
  movl $complete_data, %edi
  movb %ch, complete_length
  movb %cl, complete_length + 1
  rep movsb
  movl $complete, %esi
  movl %edi, %ecx
  subl %esi, %ecx
  movl %ecx, %eax
  bswap %eax
  movl %eax, complete + 2
  call module_fifo
  movb $0x20, (%edx)                     /* give the TPM back */
  movb $1, TXT_PRIVATE + OPEN_LOCALITY2
  movl saved, %esi
  movl saved + 4, %edi
  movl TXT_PRIVATE + HEAP_BASE, %ebx
  movl 4(%ebx), %ebx
  xorl %edx, %edx
  GETSEC EXITAC

module_fifo:
  movb $0x40, 0x18(%edx)
1:
  lodsb
  movb %al, 0x24(%edx)
  loop 1b
  movb $0x20, 0x18(%edx)
  movl $module_response, %edi
2:
  movb 0x24(%edx), %al
  stosb
  testb $0x10, 0x18(%edx)
  jnz 2b
  ret

start:                                   /* an event sequence: a digest for each bank */
  be16 0x8001
  be32 14
  be32 0x186
  be16 0
  be16 0x0010
start_end:
  .p2align 6
module_end:

complete:                                /* EventSequenceComplete into PCR 18 */
  be16 0x8002
  be32 0
  be32 0x185
  be32 18
complete_handle: .long 0
  be32 18
  be32 0x40000009
  be16 0
  .byte 1
  be16 0
  be32 0x40000009
  be16 0
  .byte 1
  be16 0
complete_length: .short 0
complete_data: .skip 1024

/* What WAKEUP loads into the others */
join:
  .long module_gdt_end - module_gdt - 1, module_gdt, 8, responder

  .text
  .code32
responder:
  movl $0x600d, woken
1:
  hlt
  jmp 1b
  .code64

  .bss
heap: .skip 64
saved: .skip 8
mle_frame: .skip 32
saved_rsp: .skip 8
woken: .skip 4
response: .skip 4096
module_response: .skip 4096
  .skip 512
module_stack_top:
  .skip 4096
mle_stack_top:
