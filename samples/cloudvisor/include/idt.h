#pragma once
// Gates of the interrupt descriptor table in 64-bit mode (SDM 3A 6.14.1).
#include <stdint.h>
#include <x86.h>

#define GATE_INTERRUPT_PRESENT 0x8e

struct gate {
  uint16_t offset_low, selector;
  uint8_t stack, type;
  uint16_t offset_middle;
  uint32_t offset_high, reserved;
};

// A gate to a handler that is entered with interrupts off, on the stack in use.
static inline struct gate
interrupt_gate(uint16_t code_selector, uint64_t entry)
{
  return (struct gate){ .offset_low = (uint16_t)entry,
                        .selector = code_selector,
                        .type = GATE_INTERRUPT_PRESENT,
                        .offset_middle = (uint16_t)(entry >> 16),
                        .offset_high = (uint32_t)(entry >> 32) };
}

static inline void
load_idt(const struct gate *idt, unsigned size)
{
  struct table_register idtr = { (uint16_t)(size - 1), (uint64_t)idt };
  __asm__ volatile("lidt %0" : : "m"(idtr));
}
