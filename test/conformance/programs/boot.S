// Boots by PVH or Multiboot2 to 64-bit mode, the first 4 GiB mapped to themselves, and calls conformance_main.
#define MULTIBOOT2 0xe85250d6

.section .boot.header, "a"
.balign 8
header: .long MULTIBOOT2, 0, header_end - header, -(MULTIBOOT2 + (header_end - header))
        .short 0, 0
        .long 8
header_end:

.section .note.pvh, "a", @note
.balign 4
        .long 4, 8, 18
        .asciz "Xen"
        .quad boot_entry

.section .boot, "ax"
.code32
.globl boot_entry
boot_entry:
        cld
        movl    %cr4, %eax
        orl     $0x20, %eax
        movl    %eax, %cr4
        movl    $pml4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x101, %eax                    // LME, SCE
        wrmsr
        movl    %cr0, %eax
        andl    $0x9fffffff, %eax               // no CD, NW
        orl     $0x80010021, %eax
        movl    %eax, %cr0
        lgdt    gdt_register
        ljmp    $8, $boot_64

.code64
boot_64:
        movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        movl    $stack_end, %esp
        movl    $tss, %eax
        movw    %ax, gdt + 0x30 + 2
        shrl    $16, %eax
        movb    %al, gdt + 0x30 + 4
        movb    %ah, gdt + 0x30 + 7
        movl    $0x30, %eax
        ltr     %ax
        call    conformance_main
1:      cli
        hlt
        jmp     1b

// u64 vt_enter(u64 resume): VMLAUNCH or VMRESUME with the guest's registers from `registers`, where they are again after
// the VM exit. 0: after a VM exit or VM-entry failure; 1: VMfailInvalid; 2: VMfailValid.
.globl vt_enter
vt_enter:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, entered_stack
        testl   %edi, %edi
        movq    registers + 8, %rcx
        movq    registers + 16, %rdx
        movq    registers + 24, %rbx
        movq    registers + 40, %rbp
        movq    registers + 48, %rsi
        movq    registers + 56, %rdi
        movq    registers + 64, %r8
        movq    registers + 72, %r9
        movq    registers + 80, %r10
        movq    registers + 88, %r11
        movq    registers + 96, %r12
        movq    registers + 104, %r13
        movq    registers + 112, %r14
        movq    registers + 120, %r15
        movq    registers, %rax
        jnz     1f
        vmlaunch
        jmp     2f
1:      vmresume
2:      movl    $2, %eax
        jz      3f
        movl    $1, %eax
3:      movq    entered_stack, %rsp
        jmp     4f

.globl vt_exit
vt_exit:
        movq    %rax, registers
        movq    %rcx, registers + 8
        movq    %rdx, registers + 16
        movq    %rbx, registers + 24
        movq    %rbp, registers + 40
        movq    %rsi, registers + 48
        movq    %rdi, registers + 56
        movq    %r8, registers + 64
        movq    %r9, registers + 72
        movq    %r10, registers + 80
        movq    %r11, registers + 88
        movq    %r12, registers + 96
        movq    %r13, registers + 104
        movq    %r14, registers + 112
        movq    %r15, registers + 120
        movq    entered_stack, %rsp
        xorl    %eax, %eax
4:      popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        cld
        ret

// int case_begin(void): 0 at first, and what case_end(value) was given when it came back here.
.globl case_begin
case_begin:
        movq    (%rsp), %rax
        movq    %rax, begun
        leaq    8(%rsp), %rax
        movq    %rax, begun + 8
        movq    %rbx, begun + 16
        movq    %rbp, begun + 24
        movq    %r12, begun + 32
        movq    %r13, begun + 40
        movq    %r14, begun + 48
        movq    %r15, begun + 56
        xorl    %eax, %eax
        ret
.globl case_end
case_end:
        movl    %edi, %eax
        movq    begun + 8, %rsp
        movq    begun + 16, %rbx
        movq    begun + 24, %rbp
        movq    begun + 32, %r12
        movq    begun + 40, %r13
        movq    begun + 48, %r14
        movq    begun + 56, %r15
        cld
        jmp     *begun

// Handlers, 16 bytes each: vectors with an error code have one already.
.macro stubs name, common
.balign 16
.globl \name
\name:
.set vector, 0
.rept 256
        .balign 16
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
        pushq   $0
        .endif
        pushq   $vector
        jmp     \common
.set vector, vector + 1
.endr
.endm
stubs host_stubs, host_common
stubs guest_stubs, guest_common

// The host's: NMIs and interrupts return, an exception ends the case.
host_common:
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
        call    host_trap
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

// The guest's: says what it saw and gives up. RAX and RSP survive.
guest_common:
        popq    trap
        popq    trap + 8
        pushq   %rax
        movq    8(%rsp), %rax
        movq    %rax, trap + 16
        movq    16(%rsp), %rax
        movq    %rax, trap + 24
        movq    24(%rsp), %rax
        movq    %rax, trap + 32
        movq    %cr2, %rax
        movq    %rax, trap + 40
        popq    %rax
        vmcall
        hlt

.data
.balign 8
.globl gdt
gdt:    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff
        .quad   0x00cf9b000000ffff              // 0x18: 32-bit code
        .quad   0x00009b000000ffff              // 0x20: 16-bit code
        .quad   0x000093000000ffff              // 0x28: 16-bit data
        .quad   0x0000890000000067, 0           // 0x30: 64-bit TSS
        .quad   0x00cff3000000ffff              // 0x40: user data
        .quad   0x00affb000000ffff              // 0x48: user code
        .quad   0x0000890000000067, 0           // 0x50: another TSS
        .quad   0                               // 0x60
.globl gdt_end
gdt_end:
gdt_register:
        .short  gdt_register - gdt - 1
        .long   gdt
.balign 4096
.globl pml4
pml4:   .quad   pdpt + 7
        .fill   511, 8, 0
pdpt:   .quad   0x87, 0x40000087, 0x80000087, 0xc0000087
        .fill   508, 8, 0

.bss
.balign 16
entered_stack: .skip 16
begun:  .skip 64
        .skip   16384
stack_end:
.globl tss
tss:    .skip   112
.section .note.GNU-stack, "", @progbits
