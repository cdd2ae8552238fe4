// From the loader's 32-bit protected mode, paging off, to 64-bit C.
//
// Two loaders can start the image; both leave a flat 32-bit machine with interrupts off:
//   PVH         EBX = struct hvm_start_info            (Xen, QEMU -kernel, Cloud Hypervisor)
//   Multiboot2  EAX = 0x36d76289, EBX = information    (GRUB)
#include "layout.h"

#define PAGE_PRESENT_WRITABLE 0x03
#define PAGE_LARGE 0x80
#define STACK_SIZE 16384

.cfi_sections .debug_frame

// Multiboot2 header: magic, architecture i386, length, checksum, and the tag that ends the list.
.section .boot.header, "a"
.balign 8
multiboot2_header:
        .long 0xe85250d6, 0, multiboot2_header_end - multiboot2_header
        .long -(0xe85250d6 + (multiboot2_header_end - multiboot2_header))
        .short 0, 0
        .long 8
multiboot2_header_end:

// ELF note XEN_ELFNOTE_PHYS32_ENTRY (18): the physical address of the PVH entry.
.section .note.pvh, "a", @note
.balign 4
        .long 4, 8, 18
        .asciz "Xen"
        .quad boot_entry

.section .boot, "ax"
.code32
.globl boot_entry
.type boot_entry, @function
boot_entry:
        .cfi_startproc
        .cfi_undefined 16
        cld
        movl    %eax, %edi                      // first argument of vmm_main: the loader's magic
        movl    %ebx, %esi                      // second argument: the loader's information

        // Long mode wants PAE, a page table and EFER.LME before paging is turned on (SDM 3A 10.8.5).
        movl    %cr4, %eax
        orl     $0x20, %eax                     // CR4.PAE
        movl    %eax, %cr4
        movl    $(pml4 - VMM_BASE), %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx               // IA32_EFER
        rdmsr
        orl     $0x100, %eax                    // LME
        wrmsr
        movl    %cr0, %eax
        orl     $0x80010023, %eax               // PG, WP, NE, MP, PE
        movl    %eax, %cr0
        lgdt    gdt_register_physical
        ljmp    $CODE_SELECTOR, $boot_entry_64
        .cfi_endproc
.size boot_entry, . - boot_entry

gdt_register_physical:
        .short  gdt_end - gdt - 1
        .long   gdt - VMM_BASE

.code64
.type boot_entry_64, @function
boot_entry_64:
        .cfi_startproc
        .cfi_undefined 16
        movl    $DATA_SELECTOR, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        movabsq $boot_stack_end, %rsp
        xorl    %ebp, %ebp                      // ends the chain of frame pointers
        movabsq $vmm_main, %rax
        call    *%rax
        ud2
        .cfi_endproc
.size boot_entry_64, . - boot_entry_64

.data
// Descriptors (SDM 3A 3.4.5): 64-bit code, data, and room for the 16 bytes of the TSS descriptor.
.balign 16
.globl gdt
gdt:
        .quad   0
        .quad   0x00af9a000000ffff
        .quad   0x00cf92000000ffff
.globl gdt_tss
gdt_tss:
        .quad   0, 0
.globl gdt_end
gdt_end:

// Page tables, complete at link time: see layout.h for the map that they make.
.balign 4096
pml4:
        .quad   pdpt_low - VMM_BASE + PAGE_PRESENT_WRITABLE
        .fill   255, 8, 0
        .quad   pdpt_low - VMM_BASE + PAGE_PRESENT_WRITABLE
        .fill   254, 8, 0
        .quad   pdpt_image - VMM_BASE + PAGE_PRESENT_WRITABLE
pdpt_low:
        .set    gib, 0
        .rept   4
        .quad   page_directories + gib * 4096 - VMM_BASE + PAGE_PRESENT_WRITABLE
        .set    gib, gib + 1
        .endr
        .fill   508, 8, 0
pdpt_image:
        .fill   510, 8, 0
        .quad   page_directories - VMM_BASE + PAGE_PRESENT_WRITABLE
        .quad   0
page_directories:
        .set    page, 0
        .rept   2048
        .quad   page * 0x200000 + PAGE_LARGE + PAGE_PRESENT_WRITABLE
        .set    page, page + 1
        .endr

.bss
.balign 16
boot_stack:
        .skip   STACK_SIZE
.globl boot_stack_end
boot_stack_end:

.section .note.GNU-stack, "", @progbits
