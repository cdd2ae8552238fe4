// To 64-bit mode with the first GiB mapped to itself, then main(magic, information).
//   PVH         EBX = struct hvm_start_info            (QEMU, Undervisor)
//   Multiboot2  EAX = 0x36d76289, EBX = information    (GRUB, for Bochs)

.section .boot.header, "a"
.balign 8
header:
        .long   0xe85250d6, 0, header_end - header
        .long   -(0xe85250d6 + (header_end - header))
        .short  0, 0
        .long   8
header_end:

.section .note.pvh, "a", @note
.balign 4
        .long   4, 8, 18                // XEN_ELFNOTE_PHYS32_ENTRY
        .asciz  "Xen"
        .quad   boot_entry

.section .boot, "ax"
.code32
.globl boot_entry
boot_entry:
        cld
        movl    %eax, %edi
        movl    %ebx, %esi
        movl    $stack_end, %esp
        movl    $pdpt + 3, pml4
        movl    $directory + 3, pdpt
        movl    $0x83, %eax             // present, writable, 2 MiB
        xorl    %ecx, %ecx
1:
        movl    %eax, directory(, %ecx, 8)
        addl    $0x200000, %eax
        incl    %ecx
        cmpl    $512, %ecx
        jne     1b
        movl    $0x20, %eax             // CR4.PAE
        movl    %eax, %cr4
        movl    $pml4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx       // IA32_EFER.LME
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    $0x80000033, %eax       // CR0: PG, NE, ET, MP, PE
        movl    %eax, %cr0
        lgdt    gdt_register
        ljmp    $8, $boot_entry_64
gdt_register:
        .short  gdt_end - gdt - 1
        .long   gdt
.balign 8
gdt:
        .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_end:

.code64
boot_entry_64:
        movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %ebp, %ebp
        call    main
1:      hlt
        jmp     1b

.bss
.balign 4096
pml4:   .skip   4096
pdpt:   .skip   4096
directory:
        .skip   4096
        .skip   65536
stack_end:

.section .note.GNU-stack, "", @progbits
