// Where the other processors begin: copied to the page below 1 MiB that the start-up IPI names. From real mode to the
// loader's 64-bit world, whose tables `load_cr3` names; RDI is the processor's number.
#include "load.h"
#include "../vmm/layout.h"

#define CR4_PAE 0x20
#define EFER 0xc0000080
#define EFER_LME 0x100
#define CR0_PROTECTED_PAGED 0x80010023
#define HERE(label) (label - load_trampoline + LOAD_TRAMPOLINE)

.section .rodata
.globl load_trampoline, load_trampoline_end
.code16
load_trampoline:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        lgdtl   HERE(gdt_register_16)
        movl    $CR4_PAE, %eax
        movl    %eax, %cr4
        movl    HERE(load_cr3), %eax
        movl    %eax, %cr3
        movl    $EFER, %ecx
        movl    $EFER_LME, %eax
        xorl    %edx, %edx
        wrmsr
        movl    $CR0_PROTECTED_PAGED, %eax
        movl    %eax, %cr0
        ljmpl   $CODE_SELECTOR, $HERE(enter_64)
.code64
enter_64:
        movl    $DATA_SELECTOR, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $1, %edi
        lock xaddl %edi, HERE(next_processor)
        movl    %edi, %eax
        shll    $LOAD_STACK_SHIFT, %eax         // stack number n ends where number n + 1 begins
        movabsq $load_stacks, %rsp
        addq    %rax, %rsp
        xorl    %ebp, %ebp
        movabsq $load_processor, %rax
        call    *%rax
        ud2
.balign 4
next_processor:
        .long   1
gdt_register_16:
        .short  0x17
        .long   gdt - VMM_BASE
.globl load_cr3_word
load_cr3_word:
load_cr3:
        .long   0
load_trampoline_end:

.section .note.GNU-stack, "", @progbits
