// The monitor's voice (the first serial port, as the VMM set it up) and its last words.
#include "console.h"

#include "layout.h"

#include <print.h>
#include <stdbool.h>
#include <x86.h>

#define COM1 0x3f8
#define LINE_STATUS (COM1 + 5)
#define TRANSMITTER_EMPTY 0x20
#define EXCEPTIONS 32
#define STUB_SIZE 16
#define GATE_INTERRUPT_PRESENT 0x8e

struct gate {
  uint16_t offset_low, selector;
  uint8_t stack, type;
  uint16_t offset_middle;
  uint32_t offset_high, reserved;
};

extern char exception_stubs[];

static struct gate idt[EXCEPTIONS];

static void
serial_put(char c)
{
  while (!(inb(LINE_STATUS) & TRANSMITTER_EMPTY))
    ;
  outb(COM1, (uint8_t)c);
}

void
console_put(char c)
{
  static bool at_line_start = true;
  if (at_line_start)
    for (const char *p = "[monitor] "; *p; p++)
      serial_put(*p);
  serial_put(c);
  at_line_start = c == '\n';
}

// Fail-stop: nothing runs any more, so nothing can leak.
void
panic(const char *why)
{
  print("fail-stop: %s\n", why);
  halt_forever();
}

// Called by trap.S; `stack` begins with an error code, if the vector has one, then RIP.
void
monitor_exception(uint64_t vector, const uint64_t *stack)
{
  print("exception %lu: %lx %lx, CR2 %lx\n", vector, stack[0], stack[1], read_cr2());
  panic("monitor_exception: the monitor itself failed");
}

void
exceptions_init(void)
{
  struct table_register idtr = { sizeof(idt) - 1, (uint64_t)idt };
  for (unsigned vector = 0; vector < EXCEPTIONS; vector++) {
    uint64_t entry = (uint64_t)exception_stubs + vector * STUB_SIZE;
    idt[vector] = (struct gate){ .offset_low = (uint16_t)entry,
                                 .selector = CODE_SELECTOR,
                                 .type = GATE_INTERRUPT_PRESENT,
                                 .offset_middle = (uint16_t)(entry >> 16),
                                 .offset_high = (uint32_t)(entry >> 32) };
  }
  __asm__ volatile("lidt %0" : : "m"(idtr));
}
