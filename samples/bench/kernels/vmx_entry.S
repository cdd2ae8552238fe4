// VM entry and exit of vmx.c.

#define GUEST_RSP 0x681c
#define GUEST_RIP 0x681e
#define EXIT_PORT 0xf4

.text
.code64

// int vmx_launch(void): returns 1 as the guest, with the stack and the callee-saved registers of the caller; 0 when VMLAUNCH
// fails.
.globl vmx_launch
vmx_launch:
        movl    $GUEST_RSP, %eax
        vmwrite %rsp, %rax
        movl    $GUEST_RIP, %eax
        movl    $1f, %ecx
        vmwrite %rcx, %rax
        vmlaunch
        xorl    %eax, %eax
        ret
1:      movl    $1, %eax
        ret

.globl vmx_exit_entry
vmx_exit_entry:
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rbx
        pushq   %rbp
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        call    vmx_handle_exit
        testl   %eax, %eax
        jz      failed
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rbp
        popq    %rbx
        popq    %rdx
        popq    %rcx
        popq    %rax
        vmresume
failed:
        movl    $1, %eax
        outl    %eax, $EXIT_PORT
        hlt
        jmp     failed

.section .note.GNU-stack, "", @progbits
