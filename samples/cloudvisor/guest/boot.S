// The guest's first instructions: 64-bit mode, paging on, interrupts off, no descriptor tables yet.
.cfi_sections .debug_frame

.set CODE_SELECTOR, 0x08
.set DATA_SELECTOR, 0x10

.text
.globl guest_entry
.type guest_entry, @function
guest_entry:
        .cfi_startproc
        .cfi_undefined %rip
        leaq    stack_end(%rip), %rsp
        lgdt    gdt_register(%rip)
        movl    $DATA_SELECTOR, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        pushq   $CODE_SELECTOR
        .cfi_adjust_cfa_offset 8
        leaq    1f(%rip), %rax
        pushq   %rax
        .cfi_adjust_cfa_offset 8
        lretq
        .cfi_adjust_cfa_offset -16
1:      xorl    %ebp, %ebp                      // ends the chain of frame pointers
        call    guest_main
        ud2
        .cfi_endproc
.size guest_entry, . - guest_entry

// The timer interrupt, the only one that the guest expects.
.globl timer_entry
.type timer_entry, @function
timer_entry:
        .cfi_startproc simple
        .cfi_signal_frame
        .cfi_def_cfa %rsp, 40
        .cfi_offset %rip, -40
        .cfi_offset %rsp, -16
        incq    timer_ticks(%rip)
        iretq
        .cfi_endproc
.size timer_entry, . - timer_entry

.data
.balign 8
gdt:
        .quad   0
        .quad   0x00af9b000000ffff
        .quad   0x00cf93000000ffff
gdt_register:
        .short  gdt_register - gdt - 1
        .quad   gdt

.bss
.balign 16
        .skip   8192
stack_end:

.section .note.GNU-stack, "", @progbits
