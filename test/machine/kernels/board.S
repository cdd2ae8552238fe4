/* A multiboot kernel that drives the legacy devices and prints what they answer. Timing is only compared with itself, so
   that the output is the same on every machine that has these devices. */
#define COM1 0x3f8
#define LAPIC 0xfee00000
#define IOAPIC 0xfec00000
#define HPET 0xfed00000

.macro OUT port, value
  movb $(\value), %al
  movw $(\port), %dx
  outb %al, %dx
.endm
.macro IN port
  movw $(\port), %dx
  xorl %eax, %eax
  inb %dx, %al
.endm
.macro SAY text
  call say
  .asciz "\text"
.endm
.macro SHOW port, text
  SAY "\text="
  IN \port
  call hex
.endm
.macro CMOS register
  OUT 0x70, \register
  IN 0x71
.endm
.macro SET_CMOS register, value
  OUT 0x70, \register
  OUT 0x71, \value
.endm

  .section .multiboot, "a"
  .align 4
  .long 0x1badb002, 3, -(0x1badb002 + 3)

  .text
  .code32
  .globl start
start:
  cli
  movl $stack_top, %esp
  lgdt gdt_pointer
  ljmp $8, $1f
1:
  movl $16, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  call build_idt

  /* --- 8259 --- */
  OUT 0x20, 0x11
  OUT 0x21, 0x20
  OUT 0x21, 4
  OUT 0x21, 1
  OUT 0xa0, 0x11
  OUT 0xa1, 0x28
  OUT 0xa1, 2
  OUT 0xa1, 1
  OUT 0x21, 0xff
  OUT 0xa1, 0xff
  SHOW 0x21, "pic mask"
  OUT 0x20, 0x0b
  SHOW 0x20, " in service"
  OUT 0x4d0, 0xff
  OUT 0x4d1, 0xff
  SHOW 0x4d0, " elcr"
  SHOW 0x4d1, " "
  OUT 0x4d0, 0
  OUT 0x4d1, 0x0e
  SAY "\n"

  /* --- PIT: status, latch, counter 2 and its gate --- */
  OUT 0x43, 0x36
  OUT 0x40, 0
  OUT 0x40, 0
  OUT 0x43, 0xe2
  SHOW 0x40, "pit status 0"
  OUT 0x61, 0
  OUT 0x43, 0xb0
  OUT 0x42, 0x34
  OUT 0x42, 0x02
  OUT 0x43, 0xe8
  SAY " status 2="
  IN 0x42
  andl $0xbf, %eax              /* null count: the gate is closed, and machines differ in when they load */
  call hex
  SAY " port b="
  IN 0x61
  andl $0x0f, %eax              /* QEMU counts in spite of the gate */
  call hex
  OUT 0x61, 1
1:
  IN 0x61
  testb $0x20, %al
  jz 1b
  andl $0x2f, %eax
  SAY " after="
  call hex
  OUT 0x43, 0xb6
  SAY " square="
  OUT 0x42, 0x00
  OUT 0x42, 0x01
  call flips
  SAY "\n"

  /* --- PIT through the 8259 --- */
  movl $0, ticks
  OUT 0x43, 0x34
  OUT 0x40, 0xa9
  OUT 0x40, 0x04                /* 1 kHz */
  OUT 0x21, 0xfe
  call wait_5
  OUT 0x21, 0xff
  SAY "timer vector="
  movl vector, %eax
  call hex
  OUT 0x20, 0x0b
  SHOW 0x20, " in service"

  /* --- PIT against the ACPI timer: 1 ms by one is 1 ms by the other --- */
  OUT 0x61, 0
  OUT 0x43, 0xb0
  OUT 0x42, 0xa9                /* 1193 ticks: 1 ms */
  OUT 0x42, 0x04
  movw $0x608, %dx
  inl %dx, %eax
  movl %eax, %ebx
  OUT 0x61, 1
1:
  IN 0x61
  testb $0x20, %al
  jz 1b
  movw $0x608, %dx
  inl %dx, %eax
  subl %ebx, %eax
  andl $0xffffff, %eax
  SAY " acpi timer "
  subl $3400, %eax              /* 3580 are right; on a busy machine the end is seen late */
  cmpl $400000, %eax
  call below
  SAY "\n"

  /* --- RTC: time, formats, interrupts --- */
  SET_CMOS 0x0b, 0x82
  SET_CMOS 0x04, 0x23
  SET_CMOS 0x02, 0x59
  SET_CMOS 0x00, 0x58
  SET_CMOS 0x07, 0x31
  SET_CMOS 0x08, 0x12
  SET_CMOS 0x09, 0x99
  SET_CMOS 0x32, 0x19
  SET_CMOS 0x05, 0x00
  SET_CMOS 0x03, 0x00
  SET_CMOS 0x01, 0x00
  SET_CMOS 0x0b, 0x02
  CMOS 0x0c
  SAY "rtc d="
  CMOS 0x0d
  call hex
  movl $4, ticks
  SET_CMOS 0x0b, 0x22
  OUT 0x21, 0xfb
  OUT 0xa1, 0xfe
  call wait_5                   /* the alarm of midnight */
  OUT 0xa1, 0xff
  SAY " alarm at"
  call date
  SET_CMOS 0x0b, 0x02
  SAY " b="
  CMOS 0x0b
  call hex
  SET_CMOS 0x0b, 0x80
  SET_CMOS 0x04, 0x81
  SET_CMOS 0x0b, 0x00
  SET_CMOS 0x0b, 0x06
  SAY " 13 hours in binary="
  CMOS 0x04
  call hex
  SET_CMOS 0x0b, 0x02
  movl $0, ticks
  SET_CMOS 0x0a, 0x26
  SET_CMOS 0x0b, 0x42
  CMOS 0x0c
  OUT 0x21, 0xfb
  OUT 0xa1, 0xfe
  call wait_5
  OUT 0xa1, 0xff
  SAY " vector="
  movl vector, %eax
  call hex
  SET_CMOS 0x0b, 0x02
  SAY "\ncmos memory="
  CMOS 0x15
  call hex
  CMOS 0x16
  call hex
  CMOS 0x34
  call hex
  CMOS 0x35
  call hex
  SAY "\n"

  /* --- keyboard controller --- */
  SAY "i8042"
1:
  IN 0x64
  testb $1, %al
  jz 2f
  IN 0x60
  jmp 1b
2:
  OUT 0x64, 0xaa
  call keyboard_byte
  OUT 0x64, 0xab
  call keyboard_byte
  OUT 0x64, 0x60
  OUT 0x60, 0x74
  OUT 0x64, 0x20
  call keyboard_byte
  OUT 0x64, 0xd0
  call keyboard_byte
  SHOW 0x92, " port a"
  OUT 0x80, 0x5a
  SAY "\n"

  /* --- I/O APIC: registers, and the PIT through pin 2 --- */
  movl $LAPIC, %edi
  movl $0x1ff, 0xf0(%edi)       /* software enable */
  movl $0, 0x80(%edi)
  movl $0x10000, 0x350(%edi)    /* LINT0 masked: no 8259 */
  movl $IOAPIC, %esi
  SAY "ioapic version="
  movl $1, %ecx
  call read_ioapic
  call hex
  movl $0x18, %ecx
  movl $0xffffffff, %eax
  call write_ioapic
  SAY " entry="
  call read_ioapic
  andl $0x1ffff, %eax           /* what lies above is reserved */
  call hex
  movl $0x1ff7f, %eax           /* edge, masked: remote IRR clears */
  andl $~0x8000, %eax
  call write_ioapic
  movl $0, ticks
  OUT 0x43, 0x34
  OUT 0x40, 0xa9
  OUT 0x40, 0x04
  movl $0x15, %ecx
  movl $0, %eax                 /* to APIC 0 */
  call write_ioapic
  movl $0x14, %ecx
  movl $0x40, %eax
  call write_ioapic
  call wait_5
  SAY " vector="
  movl vector, %eax
  call hex
  movl $0x14, %ecx
  movl $0x10000, %eax
  call write_ioapic
  SAY "\n"

  /* --- HPET: identity, counter, and timer 0 in legacy replacement --- */
  movl $HPET, %ebx
  SAY "hpet "
  movl 0(%ebx), %eax
  call hex
  movl 4(%ebx), %eax
  call hex
  movl $0, 0x10(%ebx)
  movl $0x12345678, 0xf0(%ebx)
  movl $0x9a, 0xf4(%ebx)
  SAY " counter="
  movl 0xf4(%ebx), %eax
  call hex
  movl 0xf0(%ebx), %eax
  call hex
  movl $0, 0xf0(%ebx)
  movl $0, 0xf4(%ebx)
  movl $0x14c, 0x100(%ebx)      /* 32 bits, periodic, value set, interrupt */
  movl $100000, 0x108(%ebx)     /* 1 ms */
  movl $100000, 0x108(%ebx)
  SAY " timer="
  movl 0x100(%ebx), %eax
  call hex
  movl $0, ticks
  movl $0x14, %ecx
  movl $0x41, %eax
  call write_ioapic
  movl $3, 0x10(%ebx)
  call wait_5
  movl $0, 0x10(%ebx)
  movl $0x14, %ecx
  movl $0x10000, %eax
  call write_ioapic
  SAY " vector="
  movl vector, %eax
  call hex
  SAY "\n"

  sti                           /* one more of the timer's interrupts may be waiting */
  nop
  nop
  cli

  /* --- test device: scratch bytes, memory, and a level-triggered line through the I/O APIC --- */
  movl $0x12345678, %eax
  movw $0xe0, %dx
  outl %eax, %dx
  OUT 0xe2, 0xff
  movw $0xe8, %dx
  inl %dx, %eax
  SAY "test device "
  call hex
  movl $0x89abcdef, 0xff000100
  SAY " "
  movl 0xff000100, %eax
  call hex
  movl $IOAPIC, %esi
  movl $0x24, %ecx              /* pin 10 */
  movl $0x8044, %eax
  call write_ioapic
  movl $0, ticks
  OUT 0x200a, 1
  SAY " entry="
  movl $0x24, %ecx
  call read_ioapic
  call hex
  SAY " request="
  movl LAPIC + 0x220, %eax
  call hex
  SAY " trigger="
  sti
1:
  cmpl $5, ticks
  jb 1b
  cli
  movl trigger_seen, %eax
  call hex
  SAY " entry="
  movl $0x24, %ecx
  call read_ioapic
  call hex
  SAY " interrupts="
  movl ticks, %eax
  call hex
  SAY "\n"

  xorl %eax, %eax
  movw $0xf4, %dx
  outl %eax, %dx
1:
  hlt
  jmp 1b

/* Waits with interrupts on until five have come. */
wait_5:
  sti
1:
  hlt
  cmpl $5, ticks
  jb 1b
  cli
  ret

/* Prints "yes" when the comparison before said below. */
below:
  jb 1f
  call hex
  SAY " no"
  ret
1:
  SAY "agrees"
  ret

/* Counts eight changes of counter 2's output. */
flips:
  movl $8, %ecx
  IN 0x61
  andb $0x20, %al
  movb %al, %bl
1:
  IN 0x61
  andb $0x20, %al
  cmpb %al, %bl
  je 1b
  movb %al, %bl
  loop 1b
  SAY "flips"
  ret

date:
  movl $date_registers, %esi
1:
  lodsb
  testb %al, %al
  js 2f
  movw $0x70, %dx
  outb %al, %dx
  IN 0x71
  SAY " "
  call hex_byte
  jmp 1b
2:
  ret
date_registers: .byte 0x32, 9, 8, 7, 4, 2, -1

keyboard_byte:
  IN 0x64
  testb $1, %al
  jz keyboard_byte
  IN 0x60
  SAY " "
  jmp hex_byte

/* ECX = register, EAX = value */
read_ioapic:
  movl %ecx, (%esi)
  movl 16(%esi), %eax
  ret
write_ioapic:
  movl %ecx, (%esi)
  movl %eax, 16(%esi)
  ret

/* Interrupts: count, remember the vector, end it where it came from. */
  .align 16
first_stub:
  .set number, 0x20
  .rept 0x30
  .align 16
  pushl $number
  jmp interrupt
  .set number, number + 1
  .endr
interrupt:
  pushl %eax
  pushl %edx
  incl ticks
  movl 8(%esp), %eax
  movl %eax, vector
  cmpl $0x40, %eax
  jae 2f
  cmpl $0x28, %eax
  jb 1f
  OUT 0x70, 0x0c                /* the RTC tells its next interrupt only after this */
  IN 0x71
  OUT 0xa0, 0x20
1:
  OUT 0x20, 0x20
  jmp 3f
2:
  cmpl $0x44, %eax
  jne 4f
  movl LAPIC + 0x1a0, %eax      /* trigger mode of vectors 0x40 to 0x5f */
  movl %eax, trigger_seen
  cmpl $5, ticks
  jb 4f
  OUT 0x200a, 0                 /* the fifth is the last: the device is served */
4:
  movl $0, LAPIC + 0xb0
3:
  popl %edx
  popl %eax
  addl $4, %esp
  iret

build_idt:
  movl $0x20, %ecx
  movl $first_stub, %eax
1:
  movw %ax, idt(, %ecx, 8)
  movw $8, idt + 2(, %ecx, 8)
  movw $0x8e00, idt + 4(, %ecx, 8)
  movl %eax, %edx
  shrl $16, %edx
  movw %dx, idt + 6(, %ecx, 8)
  addl $16, %eax
  incl %ecx
  cmpl $0x50, %ecx
  jb 1b
  lidt idt_pointer
  ret

say:
  xchgl %esi, (%esp)
  pushl %eax
1:
  lodsb
  testb %al, %al
  jz 2f
  call char
  jmp 1b
2:
  popl %eax
  xchgl %esi, (%esp)
  ret
hex_byte:
  shll $24, %eax
  pushl %ecx
  movl $2, %ecx
  jmp 1f
hex:
  pushl %ecx
  movl $8, %ecx
1:
  roll $4, %eax
  pushl %eax
  andl $15, %eax
  movb digits(%eax), %al
  call char
  popl %eax
  loop 1b
  popl %ecx
  ret
char:
  pushl %edx
  movw $COM1, %dx
  outb %al, %dx
  popl %edx
  ret

  .data
digits: .ascii "0123456789abcdef"
  .align 8
gdt:
  .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
  .word 23
  .long gdt
idt_pointer:
  .word 0x50 * 8 - 1
  .long idt
ticks: .long 0
vector: .long 0
trigger_seen: .long 0
  .bss
  .align 16
idt: .skip 0x50 * 8
  .skip 4096
stack_top:
