// The way into the next image, as a boot loader leaves the machine.
#define CODE_32 0x08
#define DATA_32 0x10
#define EFER 0xc0000080
#define EFER_LME 0x100
#define CR0_PG 0x80000000

.section .boot, "ax"
.code64
// void enter_pvh(uint32_t entry, uint32_t start_info)
.globl enter_pvh
enter_pvh:
        cli
        movl    %edi, %ebp
        movl    %esi, %ebx
        lgdt    flat_register
        movl    $switch_stack_end, %esp
        pushq   $CODE_32
        pushq   $1f
        lretq
.code32
1:      movl    $DATA_32, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %cr0, %eax
        andl    $~CR0_PG, %eax
        movl    %eax, %cr0                      // out of long mode
        movl    $EFER, %ecx
        rdmsr
        andl    $~EFER_LME, %eax
        wrmsr
        xorl    %eax, %eax
        movl    %eax, %cr4
        jmp     *%ebp
.code64
// void enter_long(uint64_t entry)
.globl enter_long
enter_long:
        cli
        jmp     *%rdi

.balign 8
flat:   .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
flat_register:
        .short  flat_register - flat - 1
        .quad   flat
.balign 16
        .skip   64
switch_stack_end:

.section .note.GNU-stack, "", @progbits
