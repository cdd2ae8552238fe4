// int monitor_entry(const struct launch *launch): the late launch (launch.h).
//
// Runs in the launcher's address space at its physical address. It notes the launcher's state, copies the parameters,
// changes to the monitor's own page tables, descriptor tables and stack, and calls monitor_main. That returns only when
// the launch failed: then the launcher gets its state back, and the reason.
#include "captured.h"
#include "layout.h"

#define PAGE_PRESENT_WRITABLE 0x03
#define PAGE_LARGE 0x80
#define STACK_SIZE 32768
#define IN_BOOT(symbol) symbol - MONITOR_BASE

.cfi_sections .debug_frame

.section .boot, "ax"
.globl monitor_entry
.type monitor_entry, @function
monitor_entry:
        .cfi_startproc
        movq    %rbx, IN_BOOT(captured) + CAPTURED_RBX
        movq    %rbp, IN_BOOT(captured) + CAPTURED_RBP
        movq    %r12, IN_BOOT(captured) + CAPTURED_R12
        movq    %r13, IN_BOOT(captured) + CAPTURED_R13
        movq    %r14, IN_BOOT(captured) + CAPTURED_R14
        movq    %r15, IN_BOOT(captured) + CAPTURED_R15
        pushfq
        popq    IN_BOOT(captured) + CAPTURED_RFLAGS
        movq    (%rsp), %rax
        movq    %rax, IN_BOOT(captured) + CAPTURED_RIP
        leaq    8(%rsp), %rax                   // as after the return
        movq    %rax, IN_BOOT(captured) + CAPTURED_RSP
        movq    %cr3, %rax
        movq    %rax, IN_BOOT(captured) + CAPTURED_CR3
        sgdt    IN_BOOT(captured) + CAPTURED_GDTR
        sidt    IN_BOOT(captured) + CAPTURED_IDTR
        movw    %es, IN_BOOT(captured) + CAPTURED_SELECTORS + 0
        movw    %cs, IN_BOOT(captured) + CAPTURED_SELECTORS + 2
        movw    %ss, IN_BOOT(captured) + CAPTURED_SELECTORS + 4
        movw    %ds, IN_BOOT(captured) + CAPTURED_SELECTORS + 6
        movw    %fs, IN_BOOT(captured) + CAPTURED_SELECTORS + 8
        movw    %gs, IN_BOOT(captured) + CAPTURED_SELECTORS + 10
        sldt    IN_BOOT(captured) + CAPTURED_SELECTORS + 12
        str     IN_BOOT(captured) + CAPTURED_SELECTORS + 14

        // The parameters lie in the launcher's address space: copy them while it is ours.
        .irp    offset, 0, 8, 16
        movq    \offset(%rdi), %rax
        movq    %rax, IN_BOOT(launch) + \offset
        .endr

        movl    $IN_BOOT(pml4), %eax
        movq    %rax, %cr3
        .cfi_undefined 16                       // the launcher's stack is out of reach
        movabsq $stack_end, %rsp
        lgdt    IN_BOOT(gdt_register)
        movl    $DATA_SELECTOR, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        pushq   $CODE_SELECTOR
        movabsq $in_monitor, %rax
        pushq   %rax
        lretq

// The launch failed with status EAX: back to the launcher, as if nothing had been.
launch_failed:
        movl    %eax, %edx
        movq    IN_BOOT(captured) + CAPTURED_CR3, %rax
        movq    %rax, %cr3
        lgdt    IN_BOOT(captured) + CAPTURED_GDTR
        lidt    IN_BOOT(captured) + CAPTURED_IDTR
        movw    IN_BOOT(captured) + CAPTURED_SELECTORS + 0, %es
        movw    IN_BOOT(captured) + CAPTURED_SELECTORS + 4, %ss
        movw    IN_BOOT(captured) + CAPTURED_SELECTORS + 6, %ds
        movq    IN_BOOT(captured) + CAPTURED_RBX, %rbx
        movq    IN_BOOT(captured) + CAPTURED_RBP, %rbp
        movq    IN_BOOT(captured) + CAPTURED_R12, %r12
        movq    IN_BOOT(captured) + CAPTURED_R13, %r13
        movq    IN_BOOT(captured) + CAPTURED_R14, %r14
        movq    IN_BOOT(captured) + CAPTURED_R15, %r15
        movq    IN_BOOT(captured) + CAPTURED_RSP, %rsp
        movzwl  IN_BOOT(captured) + CAPTURED_SELECTORS + 2, %eax
        pushq   %rax
        pushq   IN_BOOT(captured) + CAPTURED_RIP
        movl    %edx, %eax
        lretq
        .cfi_endproc
.size monitor_entry, . - monitor_entry

.text
.type in_monitor, @function
in_monitor:
        .cfi_startproc
        .cfi_undefined 16
        xorl    %ebp, %ebp                      // ends the chain of frame pointers
        call    monitor_main
        movl    $launch_failed, %edx
        jmp     *%rdx
        .cfi_endproc
.size in_monitor, . - in_monitor

.data
.balign 16
.globl gdt
gdt:
        .quad   0
        .quad   0x00af9b000000ffff
        .quad   0x00cf93000000ffff
        .quad   0, 0
gdt_register:
        .short  gdt_register - gdt - 1
        .quad   gdt

.globl captured, launch
.balign 8
captured:
        .skip   CAPTURED_SIZE
.balign 8
launch:
        .skip   24

// Page tables, complete at link time: see layout.h for the map that they make.
.balign 4096
.globl pml4
pml4:
        .quad   IN_BOOT(pdpt_low) + PAGE_PRESENT_WRITABLE
        .fill   255, 8, 0
        .quad   IN_BOOT(pdpt_low) + PAGE_PRESENT_WRITABLE
        .fill   254, 8, 0
        .quad   IN_BOOT(pdpt_image) + PAGE_PRESENT_WRITABLE
pdpt_low:
        .set    gib, 0
        .rept   4
        .quad   IN_BOOT(page_directories) + gib * 4096 + PAGE_PRESENT_WRITABLE
        .set    gib, gib + 1
        .endr
        .fill   508, 8, 0
pdpt_image:
        .fill   510, 8, 0
        .quad   IN_BOOT(image_directory) + PAGE_PRESENT_WRITABLE
        .quad   0
image_directory:
        .fill   256, 8, 0
        .set    page, 0
        .rept   256
        .quad   page * 0x200000 + PAGE_LARGE + PAGE_PRESENT_WRITABLE
        .set    page, page + 1
        .endr
page_directories:
        .set    page, 0
        .rept   2048
        .quad   page * 0x200000 + PAGE_LARGE + PAGE_PRESENT_WRITABLE
        .set    page, page + 1
        .endr

.bss
.balign 16
        .skip   STACK_SIZE
stack_end:

.section .note.GNU-stack, "", @progbits
