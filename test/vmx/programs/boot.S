// Boots by PVH or Multiboot2 to 64-bit mode, the first 4 GiB mapped to themselves, and calls check_main(magic, information).
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
        movl    %eax, %edi
        movl    %ebx, %esi
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
        orl     $0x80000021, %eax
        movl    %eax, %cr0
        lgdt    gdt_register
        ljmp    $8, $boot_64

.code64
boot_64:
        movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %eax, %fs
        movl    %eax, %gs
        movl    $stack_end, %esp
        call    check_main
1:      cli
        hlt
        jmp     1b

// unsigned check_launch(void): 0 after a VM exit or VM-entry failure, 1 VMfailInvalid, 2 VMfailValid.
.globl check_launch
check_launch:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, launch_stack
        movl    $2, %eax
        vmlaunch
        jz      2f
        movl    $1, %eax
        jmp     2f

// Where the host state points: registers are the guest's.
.globl check_exit
check_exit:
        movq    launch_stack, %rsp
        xorl    %eax, %eax
2:      popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

.data
.balign 8
gdt:    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_register:
        .short  gdt_register - gdt - 1
        .long   gdt
.balign 4096
pml4:   .quad   pdpt + 3
        .fill   511, 8, 0
pdpt:   .quad   0x83, 0x40000083, 0x80000083, 0xc0000083
        .fill   508, 8, 0

.bss
.balign 16
launch_stack: .skip 16
        .skip   16384
stack_end:
.section .note.GNU-stack, "", @progbits
