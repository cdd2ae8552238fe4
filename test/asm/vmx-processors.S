/* node scripts/asm-test.mjs vmx-processors
   processors: 2
   VMX operation of two processors at once. QEMU's translator has none: vmx-processors.expected is from the manual. */
#include "harness.h"

#define COUNT 2
#include "processors.h"

#define CALLS 100
#define FEATURE_CONTROL 0x3a
#define VMX_BASIC 0x480
#define CR4_VMXE 0x2000

/* Fields of the VMCS: SDM vol. 3, appendix B */
#define PIN_CONTROLS 0x4000
#define PROCESSOR_CONTROLS 0x4002
#define EXIT_CONTROLS 0x400c
#define ENTRY_CONTROLS 0x4012
#define INSTRUCTION_ERROR 0x4400
#define EXIT_REASON 0x4402
#define EXIT_INTERRUPTION 0x4404
#define EXIT_LENGTH 0x440c
#define GUEST_ACTIVITY 0x4826
#define QUALIFICATION 0x6400
#define GUEST_RSP 0x681c
#define GUEST_RIP 0x681e
#define HOST_RSP 0x6c14
#define HOST_RIP 0x6c16

#define EXITING_INTERRUPTS_AND_NMIS 9
#define HOST_64 (1 << 9)
#define ACKNOWLEDGE (1 << 15)
#define GUEST_64 (1 << 9)

#define WAIT_FOR_SIPI 3
#define VMCALL_REASON 18
#define FAILED 0x80000000

.macro WRITE field, value:vararg
  movl $\field, %ecx
  movq \value, %rax
  vmwrite %rax, %rcx
.endm

.macro READ field
  movl $\field, %ecx
  xorl %eax, %eax
  vmread %rcx, %rax
.endm

/* `wanted` controls with what the capability MSR says must be 1 */
.macro CONTROLS field, msr, wanted
  movl $\msr, %ecx
  rdmsr
  orl $(\wanted), %eax
  movl $\field, %ecx
  vmwrite %rax, %rcx
.endm

.macro SEGMENT index, selector, access, limit
  WRITE (0x800+2*\index), $\selector
  WRITE (0x4800+2*\index), $\limit
  WRITE (0x4814+2*\index), $\access
  WRITE (0x6806+2*\index), $0
.endm

.macro SHOW_BOTH table
  SHOW_MEMORY \table
  SHOW_MEMORY \table+8
.endm

  .text
  .globl test
test:
  MAP_APIC
  START_OTHERS

  CASE "each in VMX operation with a VMCS of its own"
  call enter_vmx
  EVERYWHERE enter_vmx
  SHOW_BOTH vmx_flags

  CASE "two guests at once, which share a lock"
  movl $0, finished
  movq $run_calls, task
  lock incl generation
  SEND 0, FIXED + OTHERS + WAKE_VECTOR
  call run_calls
  AWAIT finished, 1
  SHOW_BOTH calls
  SHOW_MEMORY shared
  SHOW_BOTH last_reason

  CASE "an interrupt, an NMI and an INIT of the one leave the guest of the other"
  movl $0, finished
  movq $run_waiting, task
  lock incl generation
  SEND 0, FIXED + OTHERS + WAKE_VECTOR
  AWAIT guest_waits, 1
  SEND 1, FIXED + 0x77
  AWAIT exits_seen, 1
  SHOW_MEMORY last_reason+8
  SHOW_MEMORY last_interruption+8
  AWAIT guest_waits, 2
  SEND 1, NMI
  AWAIT exits_seen, 2
  SHOW_MEMORY last_reason+8
  SHOW_MEMORY last_interruption+8
  AWAIT guest_waits, 3
  SEND 1, INIT
  AWAIT exits_seen, 3
  SHOW_MEMORY last_reason+8
  AWAIT finished, 1

  CASE "a guest that waits for a SIPI gets it as a VM exit, with the vector"
  movl $0, finished
  movq $run_until_sipi, task
  lock incl generation
  SEND 0, FIXED + OTHERS + WAKE_VECTOR
  AWAIT guest_waits, 4
  call delay
  SEND 1, STARTUP + 0x55
  AWAIT finished, 1
  SHOW_MEMORY last_reason+8
  SHOW_MEMORY last_qualification+8

  CASE "a VMCS moves to the other processor"
  movq $vmcs_0, moving
  call leave_vmcs
  SHOW_MEMORY move_flags
  EVERYWHERE take_vmcs
  SHOW_MEMORY resume_error
  SHOW_MEMORY last_reason+8
  SHOW_MEMORY calls+8

  CASE "it is only memory: the first resumes, as its own, what the other has launched"
  call resume_there
  SHOW_MEMORY last_reason
  SHOW_MEMORY calls

  CASE "MWAIT ends after the store that is waited for"
  movl $0, finished
  movq $wait_for_store, task
  lock incl generation
  SEND 0, FIXED + OTHERS + WAKE_VECTOR
  AWAIT monitoring, 1
  call delay
  SHOW_MEMORY woken
  movl $1, awaited
  AWAIT finished, 1
  SHOW_MEMORY woken

  CASE "INIT waits until VMX operation ends"
  movl $0, finished
  movl $1, started
  movq $end_vmx, task
  lock incl generation
  SEND 0, FIXED + OTHERS + WAKE_VECTOR
  AWAIT in_root, 1
  SEND 1, INIT
  call delay
  SHOW_MEMORY survived
  SHOW_MEMORY starts+8
  movl $1, let_go
  AWAIT survived, 1
  call delay
  SHOW_MEMORY after_vmxoff
  SEND 1, STARTUP + (TRAMPOLINE >> 12)
  AWAIT started, 2
  SHOW_MEMORY starts+8
  CASE "a processor that started anew enters VMX operation again"
  EVERYWHERE enter_vmx
  SHOW_BOTH vmx_flags
  ret

delay:
  movl $30000, %ecx
1:
  loop 1b
  ret

/* Region addresses by index */
enter_vmx:
  movl $FEATURE_CONTROL, %ecx
  rdmsr
  testl $1, %eax
  jnz 1f
  movl $5, %eax
  wrmsr
1:
  movq %cr4, %rax
  orq $CR4_VMXE, %rax
  movq %rax, %cr4
  MY_INDEX edi
  movl $VMX_BASIC, %ecx
  rdmsr
  andl $0x7fffffff, %eax
  movl %edi, %ebx
  shll $12, %ebx
  movl %eax, vmxon_0(%rbx)
  movl %eax, vmcs_0(%rbx)
  leaq vmxon_0(%rbx), %rax
  pushq %rax
  vmxon (%rsp)
  call flags
  movq %rdx, vmx_flags(, %rdi, 8)
  leaq vmcs_0(%rbx), %rax
  movq %rax, (%rsp)
  vmclear (%rsp)
  call flags
  shlq $8, %rdx
  orq %rdx, vmx_flags(, %rdi, 8)
  vmptrld (%rsp)
  call flags
  shlq $16, %rdx
  orq %rdx, vmx_flags(, %rdi, 8)
  popq %rax
  ret

/* RDX = 0xa0 + CF + 2 * ZF: how a VMX instruction ended */
flags:
  setc %dl
  setz %dh
  shlb $1, %dh
  orb %dh, %dl
  movzbl %dl, %edx
  orl $0xa0, %edx
  ret

/* The current VMCS: a guest at RSI that shares everything with its host, with a stack below the host's */
set_up:
  CONTROLS PIN_CONTROLS, 0x481, EXITING_INTERRUPTS_AND_NMIS
  CONTROLS PROCESSOR_CONTROLS, 0x482, 0
  CONTROLS EXIT_CONTROLS, 0x483, HOST_64 + ACKNOWLEDGE
  CONTROLS ENTRY_CONTROLS, 0x484, GUEST_64
  WRITE 0x4004, $0                      /* exception bitmap */
  WRITE 0x400a, $0
  WRITE 0x400e, $0
  WRITE 0x4010, $0
  WRITE 0x4014, $0
  WRITE 0x4016, $0
  WRITE 0x2800, $-1                     /* VMCS link pointer */
  WRITE 0x2802, $0
  SEGMENT 0, KERNEL_DATA, 0xc093, 0xffffffff
  SEGMENT 1, KERNEL_CODE, 0xa09b, 0xffffffff
  SEGMENT 2, KERNEL_DATA, 0xc093, 0xffffffff
  SEGMENT 3, KERNEL_DATA, 0xc093, 0xffffffff
  SEGMENT 4, 0, 0x10000, 0
  SEGMENT 5, 0, 0x10000, 0
  SEGMENT 6, 0, 0x10000, 0
  SEGMENT 7, TSS_SELECTOR, 0x8b, 0x67
  WRITE 0x6814, $tss
  subq $16, %rsp
  sgdt (%rsp)
  movzwl (%rsp), %edx
  WRITE 0x4810, %rdx
  WRITE 0x6816, 2(%rsp)
  WRITE 0x6c0c, 2(%rsp)
  sidt (%rsp)
  movzwl (%rsp), %edx
  WRITE 0x4812, %rdx
  WRITE 0x6818, 2(%rsp)
  WRITE 0x6c0e, 2(%rsp)
  addq $16, %rsp
  movq %cr0, %rdx
  WRITE 0x6800, %rdx
  WRITE 0x6c00, %rdx
  movq %cr3, %rdx
  WRITE 0x6802, %rdx
  WRITE 0x6c02, %rdx
  movq %cr4, %rdx
  WRITE 0x6804, %rdx
  WRITE 0x6c04, %rdx
  WRITE 0x681a, $0x400                  /* DR7 */
  WRITE GUEST_RSP, %rsp
  movl $GUEST_RSP, %ecx
  leaq -2048(%rsp), %rax
  vmwrite %rax, %rcx
  WRITE GUEST_RIP, %rsi
  WRITE 0x6820, $2                      /* RFLAGS */
  WRITE 0x6822, $0
  WRITE 0x4824, $0
  WRITE GUEST_ACTIVITY, $0
  WRITE 0x482a, $0                      /* SYSENTER */
  WRITE 0x6824, $0
  WRITE 0x6826, $0
  WRITE 0x4c00, $0
  WRITE 0x6c10, $0
  WRITE 0x6c12, $0
  WRITE 0xc00, $KERNEL_DATA
  WRITE 0xc02, $KERNEL_CODE
  WRITE 0xc04, $KERNEL_DATA
  WRITE 0xc06, $KERNEL_DATA
  WRITE 0xc08, $0
  WRITE 0xc0a, $0
  WRITE 0xc0c, $TSS_SELECTOR
  WRITE 0x6c06, $0
  WRITE 0x6c08, $0
  WRITE 0x6c0a, $tss
  ret

/* Enters the guest: by VMLAUNCH when EDX is 0, else by VMRESUME. RAX = exit reason, or FAILED + instruction error. */
enter:
  pushq %rbx
  movl $HOST_RSP, %ecx
  vmwrite %rsp, %rcx
  leaq left(%rip), %rax
  movl $HOST_RIP, %ecx
  vmwrite %rax, %rcx
  testl %edx, %edx
  jnz 1f
  vmlaunch
  jmp 2f
1:
  vmresume
2:
  READ INSTRUCTION_ERROR
  orl $FAILED, %eax
  popq %rbx
  ret
left:
  popq %rbx
  MY_INDEX ebx
  READ EXIT_INTERRUPTION
  movq %rax, last_interruption(, %rbx, 8)
  READ QUALIFICATION
  movq %rax, last_qualification(, %rbx, 8)
  READ EXIT_REASON
  movq %rax, last_reason(, %rbx, 8)
  ret

/* Goes on behind the instruction that exited. */
skip:
  READ EXIT_LENGTH
  movq %rax, %rdx
  READ GUEST_RIP
  addq %rdx, %rax
  vmwrite %rax, %rcx
  ret

run_calls:
  leaq guest_calls, %rsi
  call set_up
  xorl %edx, %edx
1:
  call enter
  cmpl $VMCALL_REASON, %eax
  jne 2f
  MY_INDEX edi
  incq calls(, %rdi, 8)
  call skip
  movl $1, %edx
  jmp 1b
2:
  ret

guest_calls:
  MY_INDEX edi
  movq $CALLS, guest_left(, %rdi, 8)
1:
  lock btsl $0, lock_word
  jc 1b
  incq shared
  movl $0, lock_word
  vmcall
  MY_INDEX edi
  decq guest_left(, %rdi, 8)
  jnz 1b
  cpuid

run_waiting:
  leaq guest_waiting, %rsi
  call set_up
  movl $1, %edx                         /* it was launched */
1:
  call enter
  movl $0, LOCAL + END_OF_INTERRUPT_REGISTER
  lock incl exits_seen
  cmpl $3, exits_seen
  je 2f
  WRITE GUEST_RIP, $guest_waiting
  movl $1, %edx
  jmp 1b
2:
  ret
guest_waiting:
  lock incl guest_waits
1:
  pause
  jmp 1b

run_until_sipi:
  WRITE GUEST_ACTIVITY, $WAIT_FOR_SIPI
  lock incl guest_waits
  movl $1, %edx
  call enter
  ret

leave_vmcs:
  vmclear moving
  call flags
  movq %rdx, move_flags
  ret

/* The state of its guest was the first processor's: but for the stack, it is anybody's. */
take_vmcs:
  vmptrld moving
  call flags
  shlq $8, %rdx
  orq %rdx, move_flags
  leaq guest_calls, %rsi
  call set_up
  movl $1, %edx
  call enter
  movq %rax, resume_error
  xorl %edx, %edx
  call enter
  MY_INDEX edi
  incq calls(, %rdi, 8)
  ret

/* The manual leaves this undefined (SDM vol. 3, 25.11.1: VMCLEAR first). The guest goes on behind its VMCALL. */
resume_there:
  vmptrld moving
  call skip
  movl $1, %edx
  call enter
  incq calls
  vmclear moving
  ret

wait_for_store:
  movl $1, monitoring
1:
  leaq awaited, %rax
  xorl %ecx, %ecx
  xorl %edx, %edx
  monitor
  cmpl $0, awaited
  jne 2f
  xorl %eax, %eax
  mwait
  jmp 1b
2:
  incl woken
  ret

end_vmx:
  movl $1, in_root
1:
  pause
  cmpl $0, let_go
  je 1b
  movl $1, survived
  vmxoff
  movl $1, after_vmxoff                 /* never: the INIT that waited comes first */
2:
  jmp 2b

  .data
  .align 8
lock_word: .long 0
  .align 8
shared: .quad 0
moving: .quad 0
move_flags: .quad 0
resume_error: .quad 0
in_root: .quad 0
monitoring: .quad 0
awaited: .quad 0
woken: .quad 0
let_go: .quad 0
survived: .quad 0
after_vmxoff: .quad 0
guest_waits: .quad 0
exits_seen: .quad 0
  TABLES vmx_flags, calls, guest_left, last_reason, last_interruption, last_qualification

  .bss
  .align 4096
vmxon_0: .skip 4096 * COUNT
vmcs_0: .skip 4096 * COUNT
