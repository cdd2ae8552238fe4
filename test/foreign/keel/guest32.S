// The 32-bit guest: begins at 0x800:0 like the other, and turns on protection and paging itself.
#define LINEAR(label) (label - guest32 + 0x8000)
#define DIRECTORY 0x10000
#define TABLE 0x11000
#define IDT 0x12000
#define TSS 0x13000

.macro note                                     // appends EAX to the results
        movl    %eax, (%edi)
        addl    $4, %edi
.endm

.section .rodata.guest32, "a"
.globl guest32, guest32_end
.code16
guest32:
        cli
        lgdtl   %cs:(gdt_pointer - guest32)
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $8, $LINEAR(flat)
.code32
flat:   movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $0x7000, %esp
        cld
        movl    $DIRECTORY, %edi                // first 4 MiB by 4 KiB pages, the next 4 MiB show the same by one page
        movl    $TABLE + 7, (%edi)
        movl    $0x87, 4(%edi)
        movl    $TABLE, %edi
        movl    $7, %eax
        movl    $1024, %ecx
1:      stosl
        addl    $0x1000, %eax
        loop    1b
        movl    $0, TABLE + 4 * 0x1ff           // not there
        movl    $0x1fe005, TABLE + 4 * 0x1fe    // read-only
        movl    $DIRECTORY, %eax
        movl    %eax, %cr3
        movl    %cr4, %eax
        orl     $0x10, %eax
        movl    %eax, %cr4
        movl    %cr0, %eax
        orl     $0x80010000, %eax
        movl    %eax, %cr0
        jmp     2f
2:      movl    $0x6000, %edi
        movl    %cr4, %eax
        note

        // IDT and TSS
        lidtl   LINEAR(idt_pointer)
        movl    $0x00080000 + LINEAR(on_general), IDT + 13 * 8
        movl    $0x8e00, IDT + 13 * 8 + 4
        movl    $0x00080000 + LINEAR(on_page), IDT + 14 * 8
        movl    $0x8e00, IDT + 14 * 8 + 4
        movl    $0x00080000 + LINEAR(on_call), IDT + 0x80 * 8
        movl    $0xee00, IDT + 0x80 * 8 + 4
        movl    $0x00080000 + LINEAR(on_not_present), IDT + 11 * 8
        movl    $0x8e00, IDT + 11 * 8 + 4
        movl    $0x7800, TSS + 4                // ESP0
        movl    $0x10, TSS + 8
        movl    $0x28, %eax
        ltr     %ax
        lldt    LINEAR(nothing)

        // a page that comes when it is touched, and one that becomes writable
        movl    $0x5151, 0x1ff010
        movl    0x5ff010, %eax                  // by the large page
        note
        movl    0x1ff010, %eax
        note
        movl    $0x77, 0x1fe000
        movl    0x1fe000, %eax
        note
        movl    LINEAR(last_error), %eax
        note
        movl    $0x58, %eax
        movl    %eax, %fs                       // #NP, the handler steps over it
        movl    LINEAR(last_error), %eax
        note
        call    tell32

        // ring 3 and back: by interrupt, fault, call gate, SYSENTER
        movl    $0x174, %ecx
        movl    $8, %eax
        xorl    %edx, %edx
        wrmsr
        movl    $0x175, %ecx
        movl    $0x7800, %eax
        wrmsr
        movl    $0x176, %ecx
        movl    $LINEAR(on_sysenter), %eax
        wrmsr
        pushl   $0x23
        pushl   $0x6f00
        pushl   $0x202
        pushl   $0x1b
        pushl   $LINEAR(user)
        iret
user:   movl    $0x23, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %cs, %eax
        note
        int     $0x80
        hlt                                     // #GP
        movl    LINEAR(last_error), %eax
        note
        lcall   $0x30, $0
        movl    $LINEAR(1f), %edx
        movl    %esp, %ecx
        sysenter
1:      movl    %ss, %eax
        note
        cpuid
        note
        inb     $0x60, %al                      // IOPL 0, no bitmap in the TSS: #GP before any exit
        movl    $0x44, %eax
        int     $0x80                           // EAX 44: stay in ring 0
back:   movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        call    tell32
        movl    $0xdeadbeef, %eax
        movl    $0xcafe0000, %edx
        movl    $0x1234, %ebx
        movl    $0x10, %ecx
        movl    $0xdeadbeef, 0x5000
        movl    $0xcafe0000, 0x5004
        cmpxchg8b 0x5000
        movl    0x5000, %eax
        note
        pushal
        popal
        pushl   %cs
        popl    %eax
        note
        larl    %eax, %eax
        note
        lsll    LINEAR(code_selector), %eax
        note
        str     %eax
        note
        sgdtl   0x5010
        movl    0x5012, %eax
        note
        call    tell32
        ljmp    $0x38, $0                       // a task switch: the manual leaves it to us
        movl    $2, %eax
        vmcall

tell32: movl    $1, %eax
        movl    %edi, %ecx
        subl    $0x6000, %ecx
        shrl    $2, %ecx
        movl    $0x6000, %esi
        vmcall
        movl    $0x6000, %edi
        ret
on_page:
        pushl   %eax
        movl    4(%esp), %eax
        movl    %eax, %ss:LINEAR(last_error)
        movl    %cr2, %eax
        andl    $0xfffff000, %eax
        movl    %eax, %ebx
        shrl    $10, %ebx
        orl     $7, %eax
        movl    %eax, %ss:TABLE(%ebx)
        movl    %cr2, %eax
        invlpg  (%eax)
        popl    %eax
        addl    $4, %esp
        iret
on_general:
        popl    %ss:LINEAR(last_error)
        pushl   %eax
        movl    4(%esp), %eax                   // HLT has one byte, IN has two
        cmpb    $0xf4, %cs:(%eax)
        je      1f
        incl    4(%esp)
1:      incl    4(%esp)
        popl    %eax
        iret
on_not_present:
        popl    %ss:LINEAR(last_error)
        addl    $2, (%esp)
        iret
on_call:
        cmpl    $0x44, %eax
        je      1f
        pushl   %eax
        movl    %cs, %eax
        note
        popl    %eax
        iret
1:      movl    $0x7000, %esp
        movl    $0x10, %eax
        movl    %eax, %ss
        jmp     back
on_gate:
        movl    4(%esp), %eax                   // CS of the caller
        note
        lret
on_sysenter:
        movl    %ss, %eax
        note
        sysexit
nothing:
        .short  0
code_selector:
        .long   8
.balign 4
last_error:
        .long   0
idt_pointer:
        .short  0x407
        .long   IDT
gdt_pointer:
        .short  0x60 - 1
        .long   LINEAR(gdt_table)
.balign 8
gdt_table:
        .quad   0
        .quad   0x00cf9b000000ffff              // 08
        .quad   0x00cf93000000ffff              // 10
        .quad   0x00cffb000000ffff              // 18: user code
        .quad   0x00cff3000000ffff              // 20: user data
        .quad   0x0000890130000067              // 28: TSS at 0x13000
        .quad   0x0000ec0000080000              // 30: call gate, patched by keel to on_gate
        .quad   0x0000890140000067              // 38: another TSS
        .quad   0, 0, 0
        .quad   0x00cf13000000ffff              // 58: data, not present
.globl guest32_gate
guest32_gate = LINEAR(on_gate)
guest32_end:
.globl guest32_gate_at
.set guest32_gate_at, gdt_table - guest32 + 0x8030
.section .note.GNU-stack, "", @progbits
