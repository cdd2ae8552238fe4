// The VMM's own exceptions and interrupts: descriptor tables, the timer, and faults that code may expect.
#include "traps.h"

#include "console.h"
#include "layout.h"

#include <idt.h>
#include <print.h>
#include <x86.h>

#define VECTORS 48
#define TSS_PRESENT_AVAILABLE 0x89ul

// 64-bit task-state segment (SDM 3A 7.7): only its existence matters, VT-x wants a busy one in TR.
struct tss {
  uint32_t reserved[25];
  uint16_t reserved2, io_map;
} __attribute__((packed));

// One pair for each instruction that may fault, and where execution goes on when it does.
struct fixup {
  uint64_t at, go_on;
};

extern const uint64_t trap_entries[VECTORS];
extern const struct fixup fixup_table[], fixup_table_end[];
extern uint64_t gdt[], gdt_tss[2], gdt_end[];

static struct gate idt[VECTORS];
static struct tss tss = { .io_map = sizeof(struct tss) };

volatile uint64_t timer_ticks;

// --- Descriptor tables ---

static void
load_tss(void)
{
  uint64_t base = (uint64_t)&tss, limit = sizeof(tss) - 1;
  gdt_tss[0] = limit | (base & 0xffffff) << 16 | TSS_PRESENT_AVAILABLE << 40 | (base >> 24 & 0xff) << 56;
  gdt_tss[1] = base >> 32;
  __asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

void
traps_init(void)
{
  struct table_register gdtr = { (uint16_t)((char *)gdt_end - (char *)gdt - 1), (uint64_t)gdt };
  for (unsigned vector = 0; vector < VECTORS; vector++)
    idt[vector] = interrupt_gate(CODE_SELECTOR, trap_entries[vector]);
  __asm__ volatile("lgdt %0" : : "m"(gdtr));
  load_idt(idt, sizeof(idt));
  load_tss();
}

// --- The timer of the local APIC (SDM 3A 10.5.4) ---

#define APIC_BASE_ADDRESS 0xfffff000ul
#define APIC_END_OF_INTERRUPT 0x0b0
#define APIC_SPURIOUS 0x0f0
#define APIC_TIMER 0x320
#define APIC_INITIAL_COUNT 0x380
#define APIC_DIVIDE 0x3e0
#define APIC_SOFTWARE_ENABLE 0x100
#define APIC_TIMER_PERIODIC (1 << 17)
#define APIC_DIVIDE_BY_1 0xb
#define TIMER_PERIOD 50000

#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK 0xa1

static void
apic_write(unsigned offset, uint32_t value)
{
  *(volatile uint32_t *)direct((rdmsr(MSR_APIC_BASE) & APIC_BASE_ADDRESS) + offset) = value;
}

// Starts periodic interrupts; the old interrupt controller stays masked.
void
timer_start(void)
{
  outb(PIC_MASTER_MASK, 0xff);
  outb(PIC_SLAVE_MASK, 0xff);
  apic_write(APIC_SPURIOUS, APIC_SOFTWARE_ENABLE | SPURIOUS_VECTOR);
  apic_write(APIC_DIVIDE, APIC_DIVIDE_BY_1);
  apic_write(APIC_TIMER, APIC_TIMER_PERIODIC | TIMER_VECTOR);
  apic_write(APIC_INITIAL_COUNT, TIMER_PERIOD);
}

// --- Faults that code expects ---

// Stores, where the machine may refuse it. False: the store raised an exception.
bool
try_store(volatile uint64_t *to, uint64_t value)
{
  bool stored;
  __asm__ volatile("xorl %k0, %k0\n"
                   "1: movq %2, %1\n"
                   "incl %k0\n"
                   "2:\n"
                   ".pushsection .fixup_table, \"a\"\n"
                   ".quad 1b, 2b\n"
                   ".popsection"
                   : "=&r"(stored), "=m"(*to)
                   : "r"(value)
                   : "cc");
  return stored;
}

static bool
fixed_up(struct trap_frame *frame)
{
  for (const struct fixup *fixup = fixup_table; fixup < fixup_table_end; fixup++) {
    if (fixup->at == frame->rip) {
      frame->rip = fixup->go_on;
      return true;
    }
  }
  return false;
}

// Called by trap.S for every exception and interrupt.
void
trap(struct trap_frame *frame)
{
  if (frame->vector == TIMER_VECTOR) {
    timer_ticks++;
    apic_write(APIC_END_OF_INTERRUPT, 0);
    return;
  }
  if (frame->vector == SPURIOUS_VECTOR || fixed_up(frame))
    return;
  print("exception %lu, error code %lx, at %lx, CR2 %lx\n", frame->vector, frame->error_code, frame->rip, read_cr2());
  panic("trap: unexpected exception");
}
