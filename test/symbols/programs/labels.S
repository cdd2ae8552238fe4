# Labels without debug information: with a size, and without one.
        .text
        .globl  _start
_start:
        nop
        nop
inner:
        call    sized
        hlt
        .type   sized, @function
sized:
        nop
        ret
        .size   sized, . - sized
        .skip   16, 0x90
        .section .rodata
table:
        .quad   1, 2, 3
        .section .note.GNU-stack, "", @progbits
