/*
 * Macros of the assembly tests. A test file defines `test` and returns from it; harness.S boots by PVH to 64-bit mode,
 * calls it and writes 0 to the exit port. All output goes to the serial port, and must be the same on every machine.
 *
 *   CASE "text"            a heading
 *   ATTEMPT ... OUTCOME    runs instructions; prints "completed", or the exception with all that was pushed
 *   SHOW rax               prints a register: name, 16 hexadecimal digits
 *   SHOW_FLAGS mask        prints RFLAGS & mask (leave out what the instruction leaves undefined)
 *   SHOW_MEMORY symbol     prints the quadword there
 * None of them changes a register or a flag, except that ATTEMPT starts with RFLAGS = 2, and OUTCOME after an exception
 * comes back with the data segments reloaded and the stack pointer of the ATTEMPT.
 */
#define COM1 0x3f8
#define EXIT_PORT 0xf4

/* Exceptions are reported with RIP relative to the ATTEMPT and without stack addresses: the text does not depend on where
   the assembler put things, and can be compared with a file that was written from the manual. */
.macro REPORT_RELATIVE
  movb $1, report_relative
.endm

/* Selectors */
#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER_CODE32 0x1b
#define USER_DATA 0x23
#define USER_CODE 0x2b
#define KERNEL_CODE32 0x30
#define TSS_SELECTOR 0x38
#define NOT_PRESENT_DATA 0x48
#define READ_ONLY_DATA 0x50
#define CONFORMING_CODE 0x58
#define EXECUTE_ONLY_CODE 0x60
#define SMALL_DATA 0x68
#define KERNEL_CODE16 0x70
#define CALL_GATE 0x80
#define LDT_SELECTOR 0x90

/* The limit of a TSS that includes the I/O permission bitmap behind it: only COM1's eight ports are open. */
#define IO_BITMAP_LIMIT (0x68 + COM1 / 8 + 1)

/* Linear addresses: the first GiB is mapped to itself for the supervisor with 2 MiB pages, and once more for the user
   at USER_ALIAS. WINDOW is 2 MiB of 4 KiB pages that a test maps as it likes. */
#define WINDOW 0x40000000
#define USER_ALIAS 0x80000000
#define NON_CANONICAL 0x0000800000000000

#define P 1
#define W 2
#define U 4
#define A 0x20
#define D 0x40
#define PS 0x80
#define G 0x100
#define NX (1 << 63)

#define VECTOR_LEAVE_USER 0x80

.macro CASE text
  call print_case
  .asciz "\text"
.endm

.macro ATTEMPT
  movq $772f, recover_rip
  movq %rsp, recover_rsp
  movq $771f, attempt_rip
  pushq $2
  popfq
771:
.endm

.macro OUTCOME
  call print_completed
772:
.endm

.macro SHOW register
  pushfq
  pushq %\register
  call print_named
  .asciz "\register"
  popfq
.endm

.macro SHOW_FLAGS mask
  pushfq
  pushq (%rsp)
  andl $\mask, (%rsp)
  call print_named
  .asciz "rflags"
  popfq
.endm

.macro SHOW_MEMORY address
  pushfq
  pushq \address
  call print_named
  .asciz "\address"
  popfq
.endm

/* Runs `label` at CPL 3 in 64-bit mode with RFLAGS = 2; it ends by LEAVE_USER or an exception. Inside ATTEMPT. */
.macro ENTER_USER label
  pushq $USER_DATA
  movl $user_stack_top + USER_ALIAS, %ecx
  pushq %rcx
  pushq $2
  pushq $USER_CODE
  movl $\label + USER_ALIAS, %ecx
  pushq %rcx
  iretq
.endm

.macro LEAVE_USER
  int $VECTOR_LEAVE_USER
.endm

/* Maps page `index` of the window to physical memory with these flags, and flushes it. */
.macro MAP_WINDOW index, address, flags:vararg
  pushq %rax
  movabsq $(\flags), %rax
  addq $(\address), %rax
  movq %rax, window_table + 8 * (\index)
  invlpg WINDOW + 4096 * (\index)
  popq %rax
.endm
