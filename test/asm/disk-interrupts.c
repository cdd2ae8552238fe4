/*
 * node scripts/asm-test.mjs disk-interrupts          disk: ide
 * Sleeping until the disk interrupts, and code that a disk writes into memory.
 */
#include "device.h"

#define VECTOR (0x28 + 6)

extern u64 idt[];
static volatile u32 interrupts;
static volatile u8 last_status;
static u8 code[4096] __attribute__((aligned(4096)));
static u8 buffer[4096] __attribute__((aligned(4096)));
static u32 prds[2] __attribute__((aligned(4096)));
static u16 bus_master;

void on_interrupt(void) {
  interrupts++;
  last_status = inb(0x1f7);
  outb(bus_master + 2, 0x66);
  outb(0xa0, 0x20);
  outb(0x20, 0x20);
}

__asm__(".text\nentry:\n push %rax; push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9; push %r10; push %r11\n"
        " cld; call on_interrupt\n"
        " pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rax; iretq\n");
extern void entry(void);

static void sleep_until(u32 count) {
  while (interrupts < count) __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void transfer(u8 command, u32 sector, void *address, int to_memory) {
  u32 before = interrupts;
  prds[0] = (u32)(u64)address;
  prds[1] = 0x80000000 | 512;
  outb(bus_master, 0);
  outl(bus_master + 4, (u32)(u64)prds);
  outb(bus_master, to_memory ? 9 : 1);
  outb(0x1f6, 0xe0);
  outb(0x1f2, 1);
  outb(0x1f3, (u8)sector);
  outb(0x1f4, 0);
  outb(0x1f5, 0);
  outb(0x1f7, command);
  sleep_until(before + 1);
  outb(bus_master, 0);
}

/** mov eax, value; ret */
static void put_function(u8 *at, u32 value) {
  at[0] = 0xb8;
  for (int i = 0; i < 4; i++) at[1 + i] = (u8)(value >> (8 * i));
  at[5] = 0xc3;
}

static u32 call_often(void) {
  u32 value = 0;
  for (int i = 0; i < 3000; i++) value += ((u32(*)(void))(void *)code)();
  return value;
}

void test(void) {
  int function = find_function(0x70108086);
  config_write16(function, 4, 5);
  bus_master = config_read(function, 0x20) & ~15;
  u64 handler = (u64)entry;
  idt[VECTOR * 2] = (handler & 0xffff) | 0x08 << 16 | 0x8e00ul << 32 | (handler & 0xffff0000) << 32;
  idt[VECTOR * 2 + 1] = 0;
  outb(0x1f6, 0xa0);
  outb(0x3f6, 4);
  outb(0x3f6, 0);
  while (inb(0x3f6) & 0x80) {
  }
  init_pics();
  /* Virtual wire: the local APIC on, its LINT0 passes on what the 8259 has. */
  map_devices();
  write32(0xfee000f0, 0x1ff);
  write32(0xfee00350, 0x700);
  outb(0x21, 0xfb);
  outb(0xa1, 0xbf);

  print_case("asleep until the disk has read");
  transfer(0xc8, 3, buffer, 1);
  show("interrupts", interrupts, 2);
  show("status", last_status & 0xe9, 2);
  show("sum", sum(buffer, 512), 8);

  print_case("code that the disk brings replaces code that ran");
  put_function(buffer, 7);
  transfer(0xca, 10, buffer, 0);
  put_function(buffer, 11);
  transfer(0xca, 11, buffer, 0);
  put_function(code, 3);
  for (int i = 0; i < 3; i++) {
    show("own", call_often(), 8);
    transfer(0xc8, 10, code, 1);
    show("first", call_often(), 8);
    transfer(0xc8, 11, code, 1);
    show("second", call_often(), 8);
    put_function(code, 3);
    print("\n");
  }
  show("interrupts", interrupts, 2);
}
