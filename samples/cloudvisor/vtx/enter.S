// vm_enter(struct registers *registers, bool launched): see enter.h.
//
// The processor saves and loads only RIP, RSP, RFLAGS, segments and control registers (SDM 3C 26.3, 27.3). The rest is
// done here: the caller's registers wait on the stack, whose pointer becomes the host RSP.
#define HOST_RSP 0x6c14
#define OFFSET_RAX 0
#define OFFSET_RCX 8
#define OFFSET_RDX 16
#define OFFSET_RBX 24
#define OFFSET_RBP 40
#define OFFSET_RSI 48
#define OFFSET_RDI 56
#define OFFSET_R8 64

.cfi_sections .debug_frame
.text

.macro push_saved register
        pushq   %\register
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %\register, 0
.endm

.macro pop_saved register
        popq    %\register
        .cfi_adjust_cfa_offset -8
        .cfi_restore %\register
.endm

.globl vm_enter, vm_exit
.type vm_enter, @function
vm_enter:
        .cfi_startproc
        push_saved rbp
        movq    %rsp, %rbp
        .irp    register, rbx, r12, r13, r14, r15
        push_saved \register
        .endr
        pushq   %rdi
        .cfi_adjust_cfa_offset 8
        movl    $HOST_RSP, %eax
        vmwrite %rsp, %rax

        testb   %sil, %sil                      // no instruction below changes ZF before the jump
        movq    OFFSET_RAX(%rdi), %rax
        movq    OFFSET_RCX(%rdi), %rcx
        movq    OFFSET_RDX(%rdi), %rdx
        movq    OFFSET_RBX(%rdi), %rbx
        movq    OFFSET_RBP(%rdi), %rbp
        movq    OFFSET_RSI(%rdi), %rsi
        .irp    number, 8, 9, 10, 11, 12, 13, 14, 15
        movq    (OFFSET_R8 + (\number - 8) * 8)(%rdi), %r\number
        .endr
        movq    OFFSET_RDI(%rdi), %rdi
        jnz     1f
        vmlaunch
        jmp     2f
1:      vmresume
2:      // Entry failed: the guest's values are in the registers, the structure still has them too.
        popq    %rdi
        .cfi_adjust_cfa_offset -8
        xorl    %eax, %eax
        jmp     3f
        .cfi_adjust_cfa_offset 8

// Every VM exit arrives here, with the host RSP and the guest's general registers.
vm_exit:
        pushq   %rdi
        .cfi_adjust_cfa_offset 8
        movq    8(%rsp), %rdi
        movq    %rax, OFFSET_RAX(%rdi)
        movq    %rcx, OFFSET_RCX(%rdi)
        movq    %rdx, OFFSET_RDX(%rdi)
        movq    %rbx, OFFSET_RBX(%rdi)
        movq    %rbp, OFFSET_RBP(%rdi)
        movq    %rsi, OFFSET_RSI(%rdi)
        .irp    number, 8, 9, 10, 11, 12, 13, 14, 15
        movq    %r\number, (OFFSET_R8 + (\number - 8) * 8)(%rdi)
        .endr
        popq    OFFSET_RDI(%rdi)
        .cfi_adjust_cfa_offset -8
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        movl    $1, %eax
3:
        .irp    register, r15, r14, r13, r12, rbx, rbp
        pop_saved \register
        .endr
        ret
        .cfi_endproc
.size vm_enter, . - vm_enter

.section .note.GNU-stack, "", @progbits
