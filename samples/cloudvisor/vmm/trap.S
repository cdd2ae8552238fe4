// Entry points of the 32 exceptions and of the interrupts 0x20 to 0x2f, and the way back (SDM 3A 6.12, 6.14).
// Each pushes what the processor did not (an error code of 0) and its vector, so that every frame has one shape:
// struct trap_frame in traps.h.
.cfi_sections .debug_frame
.text

.macro push_all
        .irp register, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
        pushq   %\register
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %\register, 0
        .endr
.endm

.macro pop_all
        .irp register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
        popq    %\register
        .cfi_adjust_cfa_offset -8
        .cfi_restore %\register
        .endr
.endm

.type trap_common, @function
trap_common:
        .cfi_startproc simple
        .cfi_signal_frame
        .cfi_def_cfa %rsp, 56                   // vector, error code, RIP, CS, RFLAGS, RSP, SS
        .cfi_offset %rip, -40
        .cfi_offset %rsp, -16
        push_all
        cld
        movq    %rsp, %rdi
        call    trap
        pop_all
        addq    $16, %rsp
        .cfi_adjust_cfa_offset -16
        iretq
        .cfi_endproc
.size trap_common, . - trap_common

// Exceptions with an error code: 8, 10 to 14, 17, 21, 29 and 30.
.set ERROR_CODE_VECTORS, 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21 | 1 << 29 | 1 << 30

.balign 16
.type trap_code, @function
trap_code:
        .cfi_startproc simple
        .cfi_signal_frame
        .set    vector, 0
        .rept   48
        .balign 16
        .cfi_def_cfa %rsp, 40
        .cfi_offset %rip, -40
        .cfi_offset %rsp, -16
        .if (vector < 32) && ((ERROR_CODE_VECTORS >> vector) & 1)
        .cfi_def_cfa_offset 48
        .else
        pushq   $0
        .cfi_adjust_cfa_offset 8
        .endif
        pushq   $vector
        .cfi_adjust_cfa_offset 8
        jmp     trap_common
        .set    vector, vector + 1
        .endr
        .cfi_endproc
.size trap_code, . - trap_code

.section .rodata
.balign 8
.globl trap_entries
trap_entries:
        .set    vector, 0
        .rept   48
        .quad   trap_code + vector * 16
        .set    vector, vector + 1
        .endr

.section .note.GNU-stack, "", @progbits
