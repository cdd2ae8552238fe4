// Keel's way from the loader to C. LINK_BASE is what virtual addresses are above physical ones (0 for a low image).
// PLAIN: no PVH note, the ELF entry point is 64-bit code; the Multiboot2 header still leads to the 32-bit way in.
#define PHYS(symbol) (symbol - LINK_BASE)

.section .head, "a"
.balign 8
mb2:    .long 0xe85250d6, 0, mb2_end - mb2, -(0xe85250d6 + (mb2_end - mb2))
        .short 3, 0                             // entry address
        .long 12, PHYS(enter32)
        .balign 8
        .short 0, 0
        .long 8
mb2_end:

#ifndef PLAIN
.section .note.Xen, "a", @note
.balign 4
        .long 4, 8, 18
        .asciz "Xen"
        .quad PHYS(enter32)
#endif

.section .text.boot, "ax"
.code32
.globl enter32
enter32:
        cli
        movl    $PHYS(boot_pml4), %eax
        movl    %eax, %cr3
        movl    %cr4, %eax
        orl     $0xa0, %eax                     // PAE, PGE
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx
        rdmsr
        btsl    $8, %eax
        wrmsr
        movl    $0x80010031, %eax               // PG, WP, NE, ET, PE
        movl    %eax, %cr0
        lgdt    PHYS(boot_gdt_pointer)
        ljmpl   $0x38, $PHYS(enter64)

// Also the entry point of a plain ELF64 image: 64-bit mode, low addresses.
.code64
.globl enter64
enter64:
        cli
        movl    $PHYS(boot_pml4), %eax
        movq    %rax, %cr3
        movq    %cr0, %rax
        orl     $0x10020, %eax                  // WP, NE
        movq    %rax, %cr0
        movq    %cr4, %rax
        orb     $0x80, %al
        movq    %rax, %cr4
        movabsq $1f, %rax
        jmpq    *%rax
1:      leaq    boot_stack_top(%rip), %rsp
        lgdt    gdt_pointer(%rip)
        movl    $0x40, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        pushq   $0x38
        leaq    2f(%rip), %rax
        pushq   %rax
        lretq
2:      leaq    tss(%rip), %rax                 // its descriptor: the base does not fit a relocation
        leaq    gdt+0x48(%rip), %rdx
        movw    $103, (%rdx)
        movw    %ax, 2(%rdx)
        shrq    $16, %rax
        movb    %al, 4(%rdx)
        movb    $0x89, 5(%rdx)
        movb    %ah, 7(%rdx)
        shrq    $16, %rax
        movl    %eax, 8(%rdx)
        movl    $0x48, %eax
        ltr     %ax
        xorl    %ebp, %ebp
        call    keel_main
3:      hlt
        jmp     3b

.text
// int vt_go(struct gprs *regs /* rdi */, int resume /* esi */): 0 after an exit, 1 VMfailInvalid, 2 VMfailValid.
// No call-frame information on purpose: much assembly in the field has none.
.globl vt_go
.type vt_go, @function
vt_go:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushq   %rdi
        movl    $0x6c14, %eax                   // HOST_RSP
        vmwrite %rsp, %rax
        movl    $0x6c16, %eax                   // HOST_RIP
        leaq    vt_back(%rip), %rdx
        vmwrite %rdx, %rax
        testl   %esi, %esi
        movq    0x00(%rdi), %rax
        movq    0x08(%rdi), %rcx
        movq    0x10(%rdi), %rdx
        movq    0x18(%rdi), %rbx
        movq    0x28(%rdi), %rbp
        movq    0x30(%rdi), %rsi
        movq    0x40(%rdi), %r8
        movq    0x48(%rdi), %r9
        movq    0x50(%rdi), %r10
        movq    0x58(%rdi), %r11
        movq    0x60(%rdi), %r12
        movq    0x68(%rdi), %r13
        movq    0x70(%rdi), %r14
        movq    0x78(%rdi), %r15
        movq    0x38(%rdi), %rdi
        jnz     1f
        vmlaunch
        jmp     2f
1:      vmresume
2:      movl    $1, %eax
        jc      3f
        incl    %eax
3:      popq    %rdi
        jmp     4f
.globl vt_back
vt_back:
        xchgq   %rdi, (%rsp)
        movq    %rax, 0x00(%rdi)
        movq    %rcx, 0x08(%rdi)
        movq    %rdx, 0x10(%rdi)
        movq    %rbx, 0x18(%rdi)
        movq    %rbp, 0x28(%rdi)
        movq    %rsi, 0x30(%rdi)
        movq    %r8, 0x40(%rdi)
        movq    %r9, 0x48(%rdi)
        movq    %r10, 0x50(%rdi)
        movq    %r11, 0x58(%rdi)
        movq    %r12, 0x60(%rdi)
        movq    %r13, 0x68(%rdi)
        movq    %r14, 0x70(%rdi)
        movq    %r15, 0x78(%rdi)
        popq    0x38(%rdi)
        xorl    %eax, %eax
4:      popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret
.size vt_go, . - vt_go

// One stub a vector: error code (or 0), vector, trap_common.
.globl trap_stubs
.balign 16
trap_stubs:
.set vector, 0
.rept 256
        .balign 16
        .if !((vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17))
        pushq   $0
        .endif
        pushq   $vector
        jmp     trap_common
        .set vector, vector + 1
.endr
trap_common:
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        leaq    72(%rsp), %rdi
        cld
        call    trap
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rcx
        popq    %rax
        addq    $16, %rsp
        iretq

.data
.balign 16
.globl gdt, tss
gdt:    .quad   0
        .quad   0x00cf9b000000ffff              // 08: 32-bit code
        .quad   0x00cf93000000ffff              // 10: data
        .quad   0, 0, 0, 0
        .quad   0x00af9b000000ffff              // 38: 64-bit code
        .quad   0x00cf93000000ffff              // 40: data
        .quad   0, 0                            // 48: TSS, filled in by trap_init (present below for LTR)
gdt_pointer:
        .short  87
        .quad   gdt
boot_gdt_pointer:
        .short  87
        .long   PHYS(gdt)
.balign 16
tss:    .skip   104
.balign 4096
.globl boot_pml4
boot_pml4:
        .quad   PHYS(boot_pdpt) + 7
        .fill   510, 8, 0
        .quad   PHYS(boot_pdpt_high) + 7
boot_pdpt:
        .quad   0x1e7, 0x400001e7, 0x800001e7, 0xc00001f7
        .fill   508, 8, 0
boot_pdpt_high:
        .fill   510, 8, 0
        .quad   0x1e7, 0x400001e7
.bss
.balign 4096
        .skip   32768
boot_stack_top:
.section .note.GNU-stack, "", @progbits
