// The real-mode guest: 0x800:0, unrestricted. Its memory is 2 MiB; results go to 0x6000 by tell.
#define AT(label) (label - guest16)
.macro note                                     // appends EAX to the results
        movw    $AT(noting), %bp
        callw   *%bp
.endm

.section .rodata.guest16, "a"
.globl guest16, guest16_end
.code16
guest16:
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7000, %sp
        cld
        movl    $0x08000000, %eax               // segment 0x800
        movw    $AT(on_divide), %ax
        movl    %eax, 0x00
        movw    $AT(on_int), %ax
        movl    %eax, 0x84                      // int 21h
        movl    %eax, 0x10                      // into
        movw    $AT(on_bound), %ax
        movl    %eax, 0x14
        movw    $AT(on_timer), %ax
        movl    %eax, 0x140                     // vector 50h
        movw    $AT(on_debug), %ax
        movl    %eax, 0x04
        movl    $0, 0x5ff0
        movw    $0x6000, %di

        // the exits of a first page of any boot sector
        movl    $0x4b45454c, %eax
        movl    $7, %ebx
        cpuid
        note
        movl    %ebx, %eax
        note
        inb     $0x60, %al
        movw    $0x5551, %dx
        inw     %dx, %ax
        note
        outl    %eax, %dx
        pushw   %di
        movw    $0x5000, %di
        movw    $4, %cx
        rep insb
        movw    $0x5000, %si
        movw    $2, %cx
        .byte   0xf3, 0x67, 0x26, 0x6f             // rep outsw from es:esi
        popw    %di
        hlt
        ud2
        callw   tell

        // interrupts of its own
        int     $0x21
        note
        movb    $0x7f, %al
        addb    $1, %al
        into
        note
        movw    $100, %ax
        movb    $0, %bl
        divb    %bl                             // #DE: the handler steps over it
        note
        movw    $9, %ax
        movl    $0x00080002, 0x5100
        bound   %ax, 0x5100                     // #BR
        note
        pushfw
        popw    %ax
        orw     $0x100, %ax
        pushw   %ax
        popfw                                   // single step: #DB behind the next two
        nop
        pushfw
        popw    %ax
        movzwl  %ax, %eax
        note
        callw   tell

        // 16-bit address forms, wrapping, strings, decimal arithmetic
        movl    $0x12345678, 0x5200
        movw    $0x5100, %bx
        movw    $0x100, %si
        movl    (%bx,%si), %eax
        note
        movw    $0x5300, %bp
        movl    -0x100(%bp), %eax
        note
        movw    $0xfff0, %bx
        movl    0x5210(%bx), %eax               // wraps at 64 KiB
        note
        movw    $0x1000, %ax
        movw    %ax, %fs
        movw    $0x5200, %si
        movb    $0xa5, %fs:0xffff
        xorl    %eax, %eax
        movb    %fs:0xffff, %al
        note
        movw    $0x1fff, %ax
        movw    %ax, %fs
        movzbl  %fs:0xf, %eax                   // the same byte
        note
        movl    $0x0955, %eax
        aaa
        note
        movl    $0x47, %eax
        addb    $0x38, %al
        daa
        note
        movb    $123, %al
        aam
        note
        aad
        note
        movw    $0x5200, %bx
        movl    $2, %eax
        xlatb
        note
        callw   tell
        ldsw    0x5210, %si                     // DS:SI from memory (zero)
        xorl    %eax, %eax
        enter   $8, $2
        movw    %sp, %ax
        leave
        note
        movl    $0x00010003, %ecx
        xorl    %eax, %eax
1:      incl    %eax
        loop    1b
        note
        jcxz    2f
        movl    $99, %eax
2:      note
        movl    $0xffffff80, %eax
        movw    $3, %cx
        rcrw    %cl, %ax
        shldl   $5, %eax, %ecx
        note
        movl    %ecx, %eax
        note
        movl    $5, %eax
        movl    $0x12345678, %edx
        bsfl    %edx, %ecx
        bsrw    %dx, %ax
        note
        pushl   $0x11112222
        popw    %ax
        popw    %cx
        note
        lcallw  $0x7f0, $AT(far_away) + 0x100   // the same code by another segment
        note
        callw   tell

        // interrupts from outside
        sti
        movl    $3, %eax
        movl    $20000, %ecx
        vmcall
1:      cmpl    $0, 0x5ff0
        je      1b
        movl    0x5ff0, %eax
        note
        cli
        movl    $9, %eax                        // halts, and is woken by the injected event
        movl    $0x50, %ebx
        sti
        vmcall
        movl    0x5ff0, %eax
        note

        // to protected mode and back: flat data beyond 1 MiB stays ("big real mode")
        cli
        movw    $AT(gdt16), %si
        lgdtl   %cs:(%si)
        movl    %cr0, %eax
        note
        orb     $1, %al
        movl    %eax, %cr0
        movw    $0x10, %bx
        movw    %bx, %gs
        andb    $0xfe, %al
        movl    %eax, %cr0
        movl    $0x110000, %ebx
        movl    $0xcafe, %gs:(%ebx)
        movl    %gs:(%ebx), %eax
        note
        smsw    %ax
        note
        callw   tell
        movl    $0x300000, %ebx                 // beyond its memory
        movl    %gs:(%ebx), %eax
        movl    $2, %eax
        vmcall

noting: movl    %eax, (%di)
        addw    $4, %di
        popw    %bp
        pushw   %bp
        retw
tell:   movl    $1, %eax
        movzwl  %di, %ecx
        subw    $0x6000, %cx
        shrw    $2, %cx
        movl    $0x6000, %esi
        vmcall
        movw    $0x6000, %di
        retw
far_away:
        movl    $0xfa5, %eax
        lretw
on_int: movl    $0x21, %eax
        iretw
on_timer:
        incl    0x5ff0
        iretw
on_debug:
        pushw   %bp
        movw    %sp, %bp
        andw    $0xfeff, 6(%bp)
        popw    %bp
        incl    0x5ff4
        iretw
on_divide:
        pushw   %bp
        movw    %sp, %bp
        addw    $2, 2(%bp)
        popw    %bp
        movl    $0xde, %eax
        iretw
on_bound:
        pushw   %bp
        movw    %sp, %bp
        addw    $4, 2(%bp)
        popw    %bp
        movl    $0xb0, %eax
        iretw
.balign 8
gdt16:  .short  23
        .long   AT(gdt16_table) + 0x8000
.balign 8
gdt16_table:
        .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
guest16_end:
.section .note.GNU-stack, "", @progbits
