// The monitor runs with interrupts off and expects no exception: each of the 32 ends in monitor_exception.
.cfi_sections .debug_frame
.text

.balign 16
.globl exception_code
.type exception_code, @function
exception_code:
        .cfi_startproc simple
        .cfi_signal_frame
        .cfi_def_cfa %rsp, 40
        .cfi_offset %rip, -40
        .cfi_offset %rsp, -16
        .set    vector, 0
        .rept   32
        .balign 16
        movl    $vector, %edi
        movq    %rsp, %rsi
        andq    $-16, %rsp
        jmp     exception_common
        .set    vector, vector + 1
        .endr
exception_common:
        .cfi_undefined 16
        call    monitor_exception
        ud2
        .cfi_endproc
.size exception_code, . - exception_code

.section .note.GNU-stack, "", @progbits
