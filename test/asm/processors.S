/* node scripts/asm-test.mjs processors
   processors: 4 */
#include "harness.h"

#define COUNT 4
#include "processors.h"

#define SECOND_TRAMPOLINE 0x9000
#define ROUNDS 500
#define CIRCLES 40

#define COUNT_VECTOR 0x61
#define FLUSH_VECTOR 0x62
#define TOKEN_VECTOR 0x63

#define IO WINDOW + 0x4000
#define LOWEST 0x0100

/* The four values of a table of quadwords, one for each processor */
.macro SHOW_TABLE table
  SHOW_MEMORY \table
  SHOW_MEMORY \table+8
  SHOW_MEMORY \table+16
  SHOW_MEMORY \table+24
.endm

.macro IO_APIC register, value:vararg
  movl $\register, IO
  movl $\value, IO + 0x10
.endm

  .text
  .globl test
test:
  MAP_APIC
  GATE COUNT_VECTOR, on_count
  GATE FLUSH_VECTOR, on_flush
  GATE TOKEN_VECTOR, on_token
  GATE 2, on_nmi
  movl $second_trampoline, %esi
  movl $SECOND_TRAMPOLINE, %edi
  movl $second_trampoline_end - second_trampoline, %ecx
  rep movsb

  CASE "INIT, SIPI, SIPI: every other processor starts once"
  START_OTHERS
  call identify
  EVERYWHERE identify
  SHOW_TABLE starts

  CASE "what a processor starts with: CS, RFLAGS, CR0, SVR of its APIC"
  movq start_cs + 8, %rax
  SHOW rax
  movq start_flags + 8, %rax
  SHOW rax
  movq start_cr0 + 8, %rax
  SHOW rax
  movq start_spurious + 8, %rax
  SHOW rax

  CASE "IA32_APIC_BASE: one is the bootstrap processor"
  SHOW_TABLE apic_base
  CASE "APIC ID, and the initial one of CPUID"
  SHOW_TABLE apic_id
  SHOW_TABLE initial_id
  CASE "CPUID: room for logical processors, HTT; leaf 0BH"
  SHOW_TABLE logical_count
  SHOW_TABLE multithreaded
  SHOW_TABLE thread_level
  SHOW_TABLE core_level
  SHOW_TABLE x2apic_id

  CASE "counting under a spin lock, and with locked instructions"
  movl $0, finished
  movq $count_together, task
  lock incl generation
  SEND 0, FIXED + OTHERS + WAKE_VECTOR
  call count_together
  AWAIT finished, COUNT - 1
  SHOW_MEMORY locked_count
  SHOW_MEMORY atomic_count
  SHOW_MEMORY exchanged_count
  SHOW_MEMORY compared_count

  CASE "interrupts: to each physically"
  sti
  SEND 0, FIXED + COUNT_VECTOR
  SEND 1, FIXED + COUNT_VECTOR
  SEND 2, FIXED + COUNT_VECTOR
  SEND 3, FIXED + COUNT_VECTOR
  AWAIT interrupts, 4
  SHOW_TABLE interrupt_counts
  CASE "interrupts: to nobody, to itself, to all, to the others"
  SEND 9, FIXED + COUNT_VECTOR
  SEND 0, FIXED + SELF + COUNT_VECTOR
  AWAIT interrupts, 5
  SHOW_TABLE interrupt_counts
  SEND 0, FIXED + ALL + COUNT_VECTOR
  AWAIT interrupts, 9
  SHOW_TABLE interrupt_counts
  SEND 0, FIXED + OTHERS + COUNT_VECTOR
  AWAIT interrupts, 12
  SHOW_TABLE interrupt_counts
  CASE "interrupts: to processors 1 and 3 logically, and physically to all"
  EVERYWHERE set_logical
  movl $0x01000000, LOCAL + LOGICAL_DESTINATION
  SEND 0x0a, FIXED + LOGICAL + COUNT_VECTOR
  AWAIT interrupts, 14
  SHOW_TABLE interrupt_counts
  SEND 0xff, FIXED + COUNT_VECTOR
  AWAIT interrupts, 18
  SHOW_TABLE interrupt_counts
  CASE "interrupts: NMI to processor 2, and to the others"
  SEND 2, NMI
  AWAIT nmis, 1
  SHOW_TABLE nmi_counts
  SEND 0, NMI + OTHERS
  AWAIT nmis, 4
  SHOW_TABLE nmi_counts
  CASE "a token goes round"
  SEND 1, FIXED + TOKEN_VECTOR
  AWAIT circles, CIRCLES
  SHOW_TABLE token_counts
  cli

  CASE "a processor that holds interrupts back gets them when it lets them in"
  movl $0, interrupts
  movl $0, let_in
  movl $0, finished
  movq $hold_back, task
  lock incl generation
  SEND 0, FIXED + OTHERS + WAKE_VECTOR
  AWAIT holding, COUNT - 1
  SEND 0, FIXED + OTHERS + COUNT_VECTOR
  SEND 0, FIXED + OTHERS + COUNT_VECTOR
  SHOW_MEMORY interrupts
  movl $1, let_in
  AWAIT finished, COUNT - 1
  SHOW_MEMORY interrupts

  CASE "the I/O APIC sends the timer's interrupt to processor 2, which sleeps, then to 1 and 2 by lowest priority"
  movl $0xfec00000 + P + W + 0x10, %eax
  movq %rax, window_table + 8 * 4
  IO_APIC 0x15, 2 << 24
  IO_APIC 0x14, COUNT_VECTOR
  movq interrupt_counts + 16, %rbx
  movl $0, interrupts
  call start_timer
  AWAIT interrupts, 1
  subq interrupt_counts + 16, %rbx
  SHOW rbx
  IO_APIC 0x15, 0x06 << 24
  IO_APIC 0x14, LOGICAL + LOWEST + COUNT_VECTOR
  movl $0, interrupts
  call start_timer
  AWAIT interrupts, 1
  IO_APIC 0x14, 0x10000

  CASE "TLB shootdown: a page moves, and every processor reads the new place"
  movl $0x0a0a0a0a, frame_a
  movl $0x0b0b0b0b, frame_b
  MAP_WINDOW 2, frame_a, P + W
  EVERYWHERE read_window
  SHOW_TABLE window_values
  MAP_WINDOW 2, frame_b, P + W
  movl $0, flushes
  SEND 0, FIXED + OTHERS + FLUSH_VECTOR
  AWAIT flushes, COUNT - 1
  EVERYWHERE read_window
  SHOW_TABLE window_values
  CASE "a store of one is seen by all, at the same place and by another name"
  MAP_WINDOW 3, frame_b, P + W
  movl $0x0c0c0c0c, WINDOW + 0x3000
  EVERYWHERE read_window
  SHOW_TABLE window_values

  CASE "code that one processor changes is new code for all"
  EVERYWHERE run_patched
  SHOW_TABLE patched_values
  movl $0x22222222, patched + 1
  EVERYWHERE run_patched
  SHOW_TABLE patched_values
  movl $0x33333333, patched + 1
  EVERYWHERE run_patched
  SHOW_TABLE patched_values

  CASE "INIT takes one processor back; it starts elsewhere, with its APIC reset"
  movl $0, started
  SEND 3, INIT
  SEND 3, FIXED + COUNT_VECTOR
  SEND 3, STARTUP + (SECOND_TRAMPOLINE >> 12)
  AWAIT started, 1
  SHOW_TABLE starts
  movq start_cs + 24, %rax
  SHOW rax
  movq start_spurious + 24, %rax
  SHOW rax
  CASE "a SIPI to one that runs is lost"
  SEND 1, STARTUP + (TRAMPOLINE >> 12)
  EVERYWHERE identify
  SHOW_TABLE starts
  ret

/* What the processors do. All keep nothing but RSP and the stack. */
identify:
  MY_INDEX ebx
  movl %ebx, %edi
  movq %rdi, apic_id(, %rdi, 8)
  movl $0x1b, %ecx
  rdmsr
  movl %eax, apic_base(, %rdi, 8)
  movl $1, %eax
  cpuid
  movl %ebx, %eax
  shrl $24, %eax
  movq %rax, initial_id(, %rdi, 8)
  shrl $16, %ebx
  andl $0xff, %ebx
  movq %rbx, logical_count(, %rdi, 8)
  shrl $28, %edx
  andl $1, %edx
  movq %rdx, multithreaded(, %rdi, 8)
  movl $0xb, %eax
  xorl %ecx, %ecx
  cpuid
  movl %eax, thread_level(, %rdi, 8)
  movw %bx, thread_level + 4(, %rdi, 8)
  movw %cx, thread_level + 6(, %rdi, 8)
  movq %rdx, x2apic_id(, %rdi, 8)
  movl $0xb, %eax
  movl $1, %ecx
  cpuid
  movl %eax, core_level(, %rdi, 8)
  movw %bx, core_level + 4(, %rdi, 8)
  movw %cx, core_level + 6(, %rdi, 8)
  ret

count_together:
  movl $ROUNDS, %ecx
1:
  lock btsl $0, lock_word
  jnc 3f
2:
  pause
  testl $1, lock_word
  jnz 2b
  jmp 1b
3:
  incq locked_count             /* not a locked instruction: the lock protects it */
  movl $0, lock_word
  lock incq atomic_count
  movl $2, %eax
  lock xaddq %rax, exchanged_count
4:
  movq compared_count, %rax
  leaq 3(%rax), %rdx
  lock cmpxchgq %rdx, compared_count
  jne 4b
  loop 1b
  ret

set_logical:
  MY_INDEX ecx
  movl $0x01000000, %eax
  shll %cl, %eax
  movl %eax, LOCAL + LOGICAL_DESTINATION
  ret

/* Channel 0 of the 8254 interrupts once, in mode 0. */
start_timer:
  movb $0x30, %al
  outb %al, $0x43
  movb $0, %al
  outb %al, $0x40
  movb $1, %al
  outb %al, $0x40
  ret

hold_back:
  cli
  lock incl holding
1:
  pause
  cmpl $0, let_in
  je 1b
  sti
  nop
  nop
  cli
  ret

read_window:
  MY_INDEX edi
  movl WINDOW + 0x2000, %eax
  movq %rax, window_values(, %rdi, 8)
  ret

run_patched:
  xorl %eax, %eax
  cpuid
  MY_INDEX edi
  call patched
  movq %rax, patched_values(, %rdi, 8)
  ret
patched:
  movl $0x11111111, %eax
  ret

/* Interrupt handlers: keep all registers */
on_count:
  HANDLER
  lock incq interrupt_counts(, %rdi, 8)
  lock incl interrupts
  RETURN
on_flush:
  HANDLER
  invlpg WINDOW + 0x2000
  lock incl flushes
  RETURN
on_nmi:
  HANDLER
  lock incq nmi_counts(, %rdi, 8)
  lock incl nmis
  popq %rdi
  popq %rax
  iretq
on_token:
  HANDLER
  incq token_counts(, %rdi, 8)
  cmpl $0, %edi
  jne 1f
  incl circles
  cmpl $CIRCLES, circles
  je 2f
1:
  leal 1(%rdi), %eax
  andl $COUNT - 1, %eax
  shll $24, %eax
  movl %eax, LOCAL + COMMAND_HIGH
  movl $FIXED + TOKEN_VECTOR, LOCAL + COMMAND_LOW
2:
  RETURN

/* Where a processor begins the second time */
  .code16
second_trampoline:
  cli
  movw %cs, %bp
  ljmp $TRAMPOLINE >> 4, $0x10
second_trampoline_end:
  .code64

  .data
  .align 8
lock_word: .long 0
let_in: .long 0
holding: .long 0
interrupts: .quad 0
nmis: .quad 0
flushes: .quad 0
circles: .quad 0
locked_count: .quad 0
atomic_count: .quad 0
exchanged_count: .quad 0
compared_count: .quad 0
  TABLES apic_base, apic_id, initial_id, logical_count
  TABLES multithreaded, thread_level, core_level, x2apic_id, interrupt_counts, nmi_counts, token_counts
  TABLES window_values, patched_values

