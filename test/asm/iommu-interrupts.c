/* node scripts/asm-test.mjs iommu-interrupts          disk: virtio, iommu: yes */
#include "iommu.h"
#include "virtio.h"

extern u64 idt[];
static u64 table[512] __attribute__((aligned(4096)));
static u64 root[512] __attribute__((aligned(4096)));
static volatile u32 arrived;
static u64 msi_x;

void on_interrupt(u64 vector) {
  arrived |= 1 << (vector - 0x60);
  write32(0xfee000b0, 0);
}

#define HANDLER(vector) \
  __asm__(".text\nhandler_" #vector ":\n push %rdi; mov $0x" #vector ", %edi; jmp interrupt\n"); \
  extern void handler_##vector(void);
HANDLER(60)
HANDLER(61)
HANDLER(62)
HANDLER(63)
__asm__("interrupt:\n push %rax; push %rcx; push %rdx; push %rsi; push %r8; push %r9; push %r10; push %r11\n"
        " cld; call on_interrupt\n"
        " pop %r11; pop %r10; pop %r9; pop %r8; pop %rsi; pop %rdx; pop %rcx; pop %rax; pop %rdi; iretq\n");

static void set_gate(int vector, void (*handler)(void)) {
  u64 at = (u64)handler;
  idt[vector * 2] = (at & 0xffff) | 0x08 << 16 | 0x8e00ul << 32 | (at & 0xffff0000) << 32;
  idt[vector * 2 + 1] = 0;
}

/** What the disk sends as its queue interrupt */
static void set_message(u32 address, u32 value) {
  write32(msi_x + 16, address);
  write32(msi_x + 20, 0);
  write32(msi_x + 24, value);
  write32(msi_x + 28, 0);
}

/** A request of the disk; then which of the vectors 0x60.. came */
static void show_arrived(void) {
  arrived = 0;
  request(0, 5, (u64)data, 512, F_WRITE);
  for (int i = 0; i < 3000; i++) {
    __asm__ volatile("sti; nop; cli" : : : "memory");
    read32(0xfee00020);
  }
  show("vectors", arrived, 2);
  print("\n");
}

static void entry(int index, u64 low, u64 high) {
  table[2 * index + 1] = high;
  table[2 * index] = low;
  submit(4, 0);
  drain();
}

static u32 remappable(u32 index, u32 more) { return 0xfee00010 | (index & 0x7fff) << 5 | (index >> 15) << 2 | more; }

static void io_apic_entry(u32 pin, u32 high, u32 low) {
  write32(0xfec00000, 0x10 + 2 * pin);
  write32(0xfec00010, 0x10000);
  write32(0xfec00000, 0x11 + 2 * pin);
  write32(0xfec00010, high);
  write32(0xfec00000, 0x10 + 2 * pin);
  write32(0xfec00010, low);
}

/** Counter 0 of the PIT ends once; which vectors came, within a while */
static void show_timer(void) {
  arrived = 0;
  outb(0x43, 0x30);
  outb(0x40, 0x40);
  outb(0x40, 0);
  for (int i = 0; i < 30000 && !arrived; i++) {
    __asm__ volatile("sti; nop; cli" : : : "memory");
    read32(0xfee00020);
  }
  show("vectors", arrived, 2);
  print("\n");
}

void test(void) {
  find_virtio();
  outb(0x21, 0xff);
  outb(0xa1, 0xff);
  set_gate(0x60, handler_60);
  set_gate(0x61, handler_61);
  set_gate(0x62, handler_62);
  set_gate(0x63, handler_63);
  write32(0xfee000f0, 0x1ff);

  u32 at = config_read8(function, 0x34);
  while (config_read8(function, at) != 0x11) at = config_read8(function, at + 1);
  u32 where = config_read(function, at + 4);
  msi_x = (config_read(function, 0x10 + 4 * (where & 7)) & ~15u) + (where & ~7u);
  config_write16(function, at + 2, 0x8000);
  negotiate(0, 3);
  start_queue();
  write16(common + 0x16, 0);
  write16(common + 0x1a, 1);

  print_case("no remapping: the message as it is");
  set_message(0xfee00000, 0x60);
  show_arrived();

  print_case("a masked vector waits");
  write32(msi_x + 28, 1);
  show_arrived();
  show("pending", read32(msi_x + (config_read(function, at + 8) & ~7u) - (where & ~7u)) & 2, 1);
  arrived = 0;
  write32(msi_x + 28, 0);
  for (int i = 0; i < 100; i++) __asm__ volatile("sti; nop; cli" : : : "memory");
  show("vectors", arrived, 2);

  print_case("remapping on");
  for (int i = 0; i < 512; i++) table[i] = 0;
  start_invalidation();
  write64(IOMMU + 0xb8, (u64)table | 7); /* 256 entries */
  command(SIRTP, 1);
  command(IRE, 1);
  show("status", read32(IOMMU + GSTS), 8);

  print_case("an entry: fixed, to processor 0");
  entry(5, 1 | 0x61 << 16, 0);
  set_message(remappable(5, 0), 0);
  show_arrived();
  print_case("handle and subhandle");
  entry(7, 1 | 0x62 << 16, 0);
  set_message(remappable(4, 8), 3);
  show_arrived();
  print_case("logical destination");
  write32(0xfee000e0, 0xffffffff);
  write32(0xfee000d0, 0x02000000);
  entry(5, 1 | 4 | 0x63 << 16 | 0x200ul << 32, 0);
  set_message(remappable(5, 0), 0);
  show_arrived();
  print_case("another processor");
  entry(5, 1 | 0x63 << 16 | 0x700ul << 32, 0);
  show_arrived();
  print_case("not present");
  entry(5, 0x63 << 16, 0);
  show_arrived();
  print_case("from this source only");
  entry(5, 1 | 0x60 << 16, (u64)function | 1 << 18);
  show_arrived();
  print_case("from another source only");
  entry(5, 1 | 0x60 << 16, (u64)(function ^ 8) | 1 << 18);
  show_arrived();
  print_case("from this device, any function");
  entry(5, 1 | 0x60 << 16, (u64)(function ^ 7) | 3 << 16 | 1 << 18);
  show_arrived();
  /* A range of one bus: of the two halves of the field QEMU takes the upper one for the last bus, the manual for the first. */
  print_case("from this bus");
  entry(5, 1 | 0x60 << 16, 0x0000 | 2 << 18);
  show_arrived();
  entry(5, 1 | 0x60 << 16, 0x0101 | 2 << 18);
  show_arrived();

  print_case("the timer, by the I/O APIC");
  entry(9, 1 | 0x63 << 16, 0);
  io_apic_entry(2, 9 << 17 | 1 << 16, 0x63);
  show_timer();
  print_case("the timer, by an entry that is not present");
  entry(9, 0x63 << 16, 0);
  show_timer();
  io_apic_entry(2, 0, 0x10000);

  print_case("a fault tells itself");
  for (int i = 0; i < 512; i++) root[i] = 0;
  write32(IOMMU + 0x3c, 0x62);
  write32(IOMMU + 0x40, 0xfee00000);
  write32(IOMMU + 0x44, 0);
  write32(IOMMU + 0x38, 0);
  write64(IOMMU + 0x20, (u64)root);
  command(SRTP, 1);
  submit(1 | 1 << 4, 0);
  submit(2 | 1 << 4, 0);
  drain();
  command(TE, 1);
  arrived = 0;
  start_request(0, 5, (u64)data, 512, F_WRITE);
  for (int i = 0; i < 20000 && !read32(IOMMU + 0x34); i++) {
  }
  for (int i = 0; i < 100; i++) __asm__ volatile("sti; nop; cli" : : : "memory");
  show("status", read32(IOMMU + 0x34) & 2, 2);
  show("vectors", arrived & 4, 2);
}
