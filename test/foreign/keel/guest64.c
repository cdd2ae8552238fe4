/* The 64-bit guest: lives in Keel's own image and page tables, under an identity EPT. */
#include "keel.h"

static word results[16];
static unsigned result_count;
static struct {
  half low, selector, flags, middle;
  word high, zero;
} guest_idt[256] __attribute__((aligned(16)));
static volatile word interrupts __attribute__((used));
static volatile word faults __attribute__((used));
static byte port_buffer[16];

static void note(word value) { results[result_count++ & 15] = value; }

static quad
call(quad function, quad argument, quad other)
{
  quad result;
  asm_("vmcall" : "=a"(result), "+c"(argument), "+b"(other) : "a"(function), "S"(PHYS_OF(results)) : "memory");
  return result;
}

static void
tell(void)
{
  call(1, result_count, 0);
  result_count = 0;
}

/* Handlers: a fault that skips nothing returns to where RDX says; others count. */
asm(".text\n"
    "guest_on_interrupt: incl interrupts(%rip); iretq\n"
    "guest_on_fault: incl faults(%rip); popq last_error_slot(%rip); movq %rdx, (%rsp); iretq\n"
    "guest_on_trap: incl faults(%rip); iretq\n"
    ".lcomm last_error_slot, 8\n");
extern byte guest_on_interrupt[], guest_on_fault[], guest_on_trap[];

static void
gate(unsigned vector, const byte *handler)
{
  quad at = (quad)handler;
  guest_idt[vector].low = (half)at;
  guest_idt[vector].selector = 0x38;
  guest_idt[vector].flags = 0x8e00;
  guest_idt[vector].middle = (half)(at >> 16);
  guest_idt[vector].high = (word)(at >> 32);
}

static void
tables(void)
{
  gate(3, guest_on_trap);
  gate(13, guest_on_fault);
  gate(14, guest_on_fault);
  gate(0x50, guest_on_interrupt);
  gate(0x51, guest_on_interrupt);
  struct {
    half limit;
    quad base;
  } __attribute__((packed)) pointer = {sizeof guest_idt - 1, (quad)guest_idt}, back;
  word selector = 0;
  asm_("sidt %0" : "=m"(back));
  asm_("str %0" : "=r"(selector));
  asm_("sldt %0" : "=r"(selector));
  asm_("lidt %0" : : "m"(pointer));
  asm_("sidt %0" : "=m"(back));
  note(back.limit);
}

static void
ports(void)
{
  word value = 0;
  asm_("inb $0x60, %%al" : "+a"(value));
  note(value);
  asm_("inw %%dx, %%ax" : "+a"(value) : "d"((half)0x5551));
  asm_("inl %%dx, %%eax" : "+a"(value) : "d"((half)0xbffd)); /* reaches 0xc000: both bitmaps */
  note(value);
  asm_("outb %%al, $0x80" : : "a"(7));
  byte *to = port_buffer;
  quad count = 3;
  asm_("rep insw" : "+D"(to), "+c"(count) : "d"((half)0x5552) : "memory");
  const byte *from = port_buffer;
  asm_("addr32 outsl" : "+S"(from) : "d"((half)0x5553) : "memory");
}

static void
model_specific(void)
{
  note((word)msr_get(0x174));
  msr_put(0x174, 0x30);
  msr_put(0x175, 0xffff800000001000);
  note((word)msr_get(0x175) + (word)(msr_get(0x175) >> 32));
  note((word)(msr_get(0xc0000082) >> 32));
  asm_("lea 1f(%%rip), %%rdx; rdmsr; 1:" : : "c"(0x4b564d00) : "rax", "rdx", "memory");
  note(faults);
}

static void
control_registers(void)
{
  quad v, cr3;
  asm_("mov %%cr0, %0" : "=r"(v));
  note((word)v);
  asm_("mov %0, %%cr0" : : "r"(v | 8));
  asm_("mov %%cr0, %0" : "=r"(v));
  note((word)v);
  asm_("clts");
  asm_("smsw %0" : "=r"(v));
  note((word)v);
  asm_("lmsw %w0" : : "r"(v | 8));
  asm_("lmsw %w0" : : "r"(v & ~8ul));
  asm_("mov %%cr3, %0" : "=r"(cr3));
  asm_("mov %0, %%cr3" : : "r"(cr3 | 0x18) : "memory"); /* a target value: no exit */
  asm_("mov %0, %%cr3" : : "r"(cr3) : "memory");
  asm_("mov %%cr4, %0" : "=r"(v));
  note((word)v);
  asm_("mov %0, %%cr4" : : "r"(v | 0x2000));
  asm_("mov %%cr4, %0" : "=r"(v));
  note((word)v);
  asm_("mov %0, %%cr4" : : "r"(v & ~0x2000ul));
  asm_("mov %%cr8, %0" : "=r"(v));
  asm_("mov %0, %%cr8" : : "r"(3ul));
  asm_("mov %%db7, %0" : "=r"(v));
  asm_("mov %0, %%db3" : : "r"(0x1234ul));
}

static void
faulting(void)
{
  word before = faults;
  asm_("ud2");
  asm_("int3");
  note(faults - before);
  asm_("lea 1f(%%rip), %%rdx; movb %%al, (%0); 1:" : : "r"(0x4100000000ul) : "rdx", "memory"); /* intercepted */
  note(faults - before);
  asm_("lea 1f(%%rip), %%rdx; movb (%0), %%al; 1:" : : "r"(0x4100000008ul) : "rax", "rdx", "memory"); /* not */
  note(faults - before);
  quad cr2;
  asm_("mov %%cr2, %0" : "=r"(cr2));
  note((word)cr2);
}

static void
yard(void)
{
  volatile word *page = (volatile word *)YARD;
  note(page[1024]);
  page[2048] = 7;
  page[2048 + 1023] += 1;
  *(volatile byte *)&page[3072] = 0xc3;
  ((void (*)(void))&page[3072])();
  note(page[4096] + 1);
  note(page[5120]);
  asm_("lock incl %0" : "+m"(page[6144]));
  page[0x1ffe / 4] = 0x11223344; /* unaligned over the border to a page that is there */
}

/* Until INVEPT, page 8 may show the old contents or the new: only the rest is told. */
word stale_word;
static void
stale(void)
{
  volatile word *page = (volatile word *)(YARD + 0x8000);
  page[0] = 0x01d;
  page[1024] = 0x2e3;
  stale_word = page[0];
  call(4, 0, 0);
  stale_word = page[0];
  call(5, 0, 0);
  note(page[0]);
}

static void
various(void)
{
  word a = 0, b, c = 0, d;
  asm_("rdtsc" : "=a"(a), "=d"(d));
  asm_("rdpmc" : "=a"(a), "=d"(d) : "c"(0));
  asm_("invlpg (%0)" : : "r"(0x123456ul));
  asm_("wbinvd");
  asm_("invd");
  asm_("pause");
  asm_("hlt");
  asm_("vmxoff");
  asm_("vmxon 0x10(%0,%1,4)" : : "r"(&results), "r"(1ul));
  quad field = 0;
  asm_("vmread %1, %0" : "+r"(field) : "r"(5ul) : "cc");
  asm_("vmptrld %0" : : "m"(results) : "cc");
  asm_("vmlaunch");
  asm_("sgdt %0" : "=m"(port_buffer));
  a = 0x4b45454c;
  asm_("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  note(a);
}

static void
time(void)
{
  word flag = 0;
  asm_("sti");
  call(3, 20000, 0);
  while (!interrupts)
    ;
  note(interrupts);
  asm_("cli");
  call(6, 0, 0x51); /* must wait for the window */
  asm_("sti; nop");
  note(interrupts);
  call(9, 0, 0x50); /* wakes at once */
  note(interrupts);
  asm_("cli");
  call(8, 2000, 0);
  asm_("xorl %0, %0; 1: testl %0, %0; jz 1b" : "=&a"(flag));
  note(flag);
  call(8, 0, 0); /* expires before the first instruction */
  call(7, 4, 0);
  asm_("nop; addl $1, %0; nop; nop" : "+r"(flag));
}

void
long_guest(void)
{
  tables();
  ports();
  tell();
  model_specific();
  tell();
  control_registers();
  tell();
  faulting();
  tell();
  yard();
  tell();
  stale();
  tell();
  various();
  tell();
  time();
  tell();
  call(2, 0, 0);
}
