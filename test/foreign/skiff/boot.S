// Skiff's way from the loader (PVH or Multiboot2) to C, and from C to its guest. The guest's own memory lies at 16 MiB.
.section .head, "a"
.balign 8
1:      .long 0xe85250d6, 0, 2f - 1b, -(0xe85250d6 + (2f - 1b))
        .short 0, 0
        .long 8
2:
.section .note.Xen, "a", @note
.balign 4
        .long 4, 8, 18
        .asciz "Xen"
        .quad enter32

.section .text.boot, "ax"
.code32
enter32:
        movl    $0xa0, %eax
        movl    %eax, %cr4
        movl    $tables, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        xorl    %edx, %edx
        movl    $0x100, %eax
        wrmsr
        movl    $0x80010033, %eax
        movl    %eax, %cr0
        lgdt    pointer
        ljmp    $8, $enter64
.code64
enter64:
        movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %eax, %fs
        movl    %eax, %gs
        movl    $stack_top, %esp
        movl    $24, %eax
        ltr     %ax
        call    skiff_main
1:      hlt
        jmp     1b

// int sail(u64 *registers, int resume): 0 after an exit, else 1
.globl sail, landed, enter32
sail:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushq   %rdi
        movl    $0x6c14, %edx
        vmwrite %rsp, %rdx
        cmpl    $0, %esi
        movq    (%rdi), %rax
        movq    8(%rdi), %rcx
        movq    16(%rdi), %rdx
        movq    24(%rdi), %rbx
        movq    40(%rdi), %rbp
        movq    48(%rdi), %rsi
        movq    64(%rdi), %r8
        movq    72(%rdi), %r9
        movq    80(%rdi), %r10
        movq    88(%rdi), %r11
        movq    96(%rdi), %r12
        movq    104(%rdi), %r13
        movq    112(%rdi), %r14
        movq    120(%rdi), %r15
        movq    56(%rdi), %rdi
        jne     1f
        vmlaunch
        jmp     2f
1:      vmresume
2:      popq    %rdi
        movl    $1, %eax
        jmp     3f
landed:
        pushq   %rdi
        movq    8(%rsp), %rdi
        movq    %rax, (%rdi)
        movq    %rcx, 8(%rdi)
        movq    %rdx, 16(%rdi)
        movq    %rbx, 24(%rdi)
        movq    %rbp, 40(%rdi)
        movq    %rsi, 48(%rdi)
        movq    %r8, 64(%rdi)
        movq    %r9, 72(%rdi)
        movq    %r10, 80(%rdi)
        movq    %r11, 88(%rdi)
        movq    %r12, 96(%rdi)
        movq    %r13, 104(%rdi)
        movq    %r14, 112(%rdi)
        movq    %r15, 120(%rdi)
        popq    56(%rdi)
        popq    %rdi
        xorl    %eax, %eax
3:      popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

// The guest, position-independent: it counts, asks its processor's name, and works on the VMCS that the hypervisor lends
// it, when RDI says so: VMREAD of guest RSP, VMWRITE of what it read plus 1, VMREAD again.
.globl passenger, passenger_end
passenger:
        movl    $10, %ecx
        xorl    %ebx, %ebx
1:      addq    %rcx, %rbx
        loop    1b
        movl    $1, %eax                        // 1: a number in RBX
        vmcall
        xorl    %eax, %eax
        xorl    %ecx, %ecx
        cpuid
        movl    $1, %eax
        vmcall
        testq   %rdi, %rdi
        jz      3f
        movl    $0x681c, %edx
        vmread  %rdx, %rbx
        movl    $1, %eax
        vmcall
        incq    %rbx
        movl    $0x681c, %edx
        vmwrite %rbx, %rdx
        xorl    %ebx, %ebx
        vmread  %rdx, %rbx
        movl    $1, %eax
        vmcall
        movl    $0x7ffe, %edx                   // no such field
        vmread  %rdx, %rbx
        pushfq
        popq    %rbx
        andl    $0x8d5, %ebx
        movl    $1, %eax
        vmcall
3:      movl    $2, %eax                        // 2: the end
        vmcall
passenger_end:

.data
.balign 8
table:  .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x0000890000000067, 0
pointer:
        .short  pointer - table - 1
        .long   table
.globl table
.balign 4096
tables: .quad   gibibyte + 3
        .fill   511, 8, 0
gibibyte:
        .quad   0x83, 0x40000083, 0x80000083, 0xc0000083
        .fill   508, 8, 0
.bss
.balign 16
        .skip   16384
stack_top:
.section .note.GNU-stack, "", @progbits
