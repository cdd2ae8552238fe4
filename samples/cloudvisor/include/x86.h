#pragma once
// Instructions that C has no words for, and the constants of the architecture (Intel SDM volume 3).
#include <stdbool.h>
#include <stdint.h>

#define PAGE_SIZE 4096ul
#define PAGE_MASK (PAGE_SIZE - 1)
#define LARGE_PAGE_SIZE (2ul << 20)

#define CR0_PE (1ul << 0)
#define CR0_NE (1ul << 5)
#define CR0_WP (1ul << 16)
#define CR0_PG (1ul << 31)
#define CR4_PAE (1ul << 5)
#define CR4_VMXE (1ul << 13)
#define CR4_SMXE (1ul << 14)

#define RFLAGS_FIXED (1ul << 1)
#define RFLAGS_CF (1ul << 0)
#define RFLAGS_PF (1ul << 2)
#define RFLAGS_AF (1ul << 4)
#define RFLAGS_ZF (1ul << 6)
#define RFLAGS_SF (1ul << 7)
#define RFLAGS_IF (1ul << 9)
#define RFLAGS_OF (1ul << 11)

#define EFER_SCE (1ul << 0)
#define EFER_LME (1ul << 8)
#define EFER_LMA (1ul << 10)

enum msr {
  MSR_APIC_BASE = 0x1b,
  MSR_FEATURE_CONTROL = 0x3a,
  MSR_SYSENTER_CS = 0x174,
  MSR_SYSENTER_ESP = 0x175,
  MSR_SYSENTER_EIP = 0x176,
  MSR_PAT = 0x277,
  MSR_EFER = 0xc0000080,
  MSR_FS_BASE = 0xc0000100,
  MSR_GS_BASE = 0xc0000101,
};

enum vector {
  VECTOR_GENERAL_PROTECTION = 13,
  VECTOR_PAGE_FAULT = 14,
};

// Operand of LGDT, LIDT, SGDT and SIDT.
struct table_register {
  uint16_t limit;
  uint64_t base;
} __attribute__((packed));

struct cpuid_result {
  uint32_t eax, ebx, ecx, edx;
};

static inline void
outb(uint16_t port, uint8_t value)
{
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t
inb(uint16_t port)
{
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline uint16_t
inw(uint16_t port)
{
  uint16_t value;
  __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline void
outw(uint16_t port, uint16_t value)
{
  __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t
inl(uint16_t port)
{
  uint32_t value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline void
outl(uint16_t port, uint32_t value)
{
  __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint64_t
rdmsr(uint32_t msr)
{
  uint32_t low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
  return (uint64_t)high << 32 | low;
}

static inline void
wrmsr(uint32_t msr, uint64_t value)
{
  __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline struct cpuid_result
cpuid(uint32_t leaf, uint32_t subleaf)
{
  struct cpuid_result r;
  __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  return r;
}

static inline uint64_t
rdtsc(void)
{
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}

#define CONTROL_REGISTER(name)                                                                                         \
  static inline uint64_t read_##name(void)                                                                             \
  {                                                                                                                    \
    uint64_t value;                                                                                                    \
    __asm__ volatile("mov %%" #name ", %0" : "=r"(value) : : "memory");                                                \
    return value;                                                                                                      \
  }                                                                                                                    \
  static inline void write_##name(uint64_t value)                                                                      \
  {                                                                                                                    \
    __asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");                                                    \
  }
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
#undef CONTROL_REGISTER

#define SELECTOR(name)                                                                                                 \
  static inline uint16_t read_##name(void)                                                                             \
  {                                                                                                                    \
    uint16_t value;                                                                                                    \
    __asm__ volatile("mov %%" #name ", %0" : "=r"(value));                                                             \
    return value;                                                                                                      \
  }
SELECTOR(cs)
SELECTOR(ss)
SELECTOR(ds)
SELECTOR(es)
SELECTOR(fs)
SELECTOR(gs)
#undef SELECTOR

static inline __attribute__((noreturn)) void
halt_forever(void)
{
  for (;;)
    __asm__ volatile("cli; hlt");
}
