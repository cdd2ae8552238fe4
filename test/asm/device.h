/*
 * For tests of devices, written in C: ports, PCI configuration, memory-mapped registers, and a printer. A test defines
 * `test` (called by harness.S) and prints only what has to be the same on every machine: not where firmware put BARs.
 */
#ifndef DEVICE_H
#define DEVICE_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

static inline u8 inb(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u16 inw(u16 port) { u16 v; __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u32 inl(u16 port) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outw(u16 port, u16 v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outl(u16 port, u32 v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }

/* The harness maps the first GiB only; registers of devices lie above it. */
extern u64 pdpt[];
extern u64 frame_a[];

/** Maps the 4th GiB one to one, uncached: where BARs, I/O APIC, IOMMU and local APIC are. */
static inline void map_devices(void) {
  for (u64 i = 0; i < 512; i++) frame_a[i] = (0xc0000000ul + i * 0x200000) | 0x93; /* present, writable, PCD, 2 MiB */
  pdpt[3] = (u64)frame_a | 3;
  __asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
}

static inline u8 read8(u64 at) { return *(volatile u8 *)at; }
static inline u16 read16(u64 at) { return *(volatile u16 *)at; }
static inline u32 read32(u64 at) { return *(volatile u32 *)at; }
static inline u64 read64(u64 at) { return *(volatile u64 *)at; }
static inline void write8(u64 at, u8 v) { *(volatile u8 *)at = v; }
static inline void write16(u64 at, u16 v) { *(volatile u16 *)at = v; }
static inline void write32(u64 at, u32 v) { *(volatile u32 *)at = v; }
static inline void write64(u64 at, u64 v) { *(volatile u64 *)at = v; }

static inline void print(const char *text) { while (*text) outb(0x3f8, *text++); }

static inline void print_hex(u64 value, int digits) {
  while (digits-- > 0) outb(0x3f8, "0123456789abcdef"[(value >> (4 * digits)) & 15]);
}

/** " name=value" */
static inline void show(const char *name, u64 value, int digits) {
  print(" ");
  print(name);
  print("=");
  print_hex(value, digits);
}

static inline void print_case(const char *text) {
  print("\ncase ");
  print(text);
  print("\n");
}

/* PCI bus 0, configuration mechanism 1. A function is device << 3 | function. */
static inline u32 config_address(u32 function, u32 offset) { return 0x80000000 | function << 8 | (offset & 0xfc); }

static inline u32 config_read(u32 function, u32 offset) {
  outl(0xcf8, config_address(function, offset));
  return inl(0xcfc);
}

static inline void config_write(u32 function, u32 offset, u32 value) {
  outl(0xcf8, config_address(function, offset));
  outl(0xcfc, value);
}

static inline u8 config_read8(u32 function, u32 offset) {
  outl(0xcf8, config_address(function, offset));
  return inb(0xcfc + (offset & 3));
}

static inline void config_write16(u32 function, u32 offset, u16 value) {
  outl(0xcf8, config_address(function, offset));
  outw(0xcfc + (offset & 2), value);
}

/** The function with this vendor and device, or -1 */
static inline int find_function(u32 identity) {
  for (int function = 0; function < 256; function++)
    if (config_read(function, 0) == identity) return function;
  return -1;
}

/* Both 8259 controllers: initialised, everything masked; requests can be looked at. */
static inline void init_pics(void) {
  outb(0x20, 0x11); outb(0x21, 0x20); outb(0x21, 4); outb(0x21, 1); outb(0x21, 0xff);
  outb(0xa0, 0x11); outb(0xa1, 0x28); outb(0xa1, 2); outb(0xa1, 1); outb(0xa1, 0xff);
}

/** Whether an IRQ was requested since the last look. Controllers differ in whether a request outlives its line. */
static inline int irq_requested(int irq) {
  u16 port = irq < 8 ? 0x20 : 0xa0;
  outb(port, 0x0a);
  int requested = (inb(port) >> (irq & 7)) & 1;
  init_pics();
  return requested;
}

static inline u32 sum(const volatile u8 *bytes, u32 count) {
  u32 value = 0;
  while (count-- > 0) value = value * 31 + *bytes++;
  return value;
}

/* Compilers call these for structures and loops. */
void *memset(void *to, int value, u64 count) {
  for (u64 i = 0; i < count; i++) ((volatile u8 *)to)[i] = (u8)value;
  return to;
}

void *memcpy(void *to, const void *from, u64 count) {
  for (u64 i = 0; i < count; i++) ((volatile u8 *)to)[i] = ((const u8 *)from)[i];
  return to;
}

#endif
