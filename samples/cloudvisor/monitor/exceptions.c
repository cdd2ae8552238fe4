// The monitor's own exceptions: it expects none.
#include "console.h"
#include "layout.h"

#include <idt.h>
#include <print.h>

#define EXCEPTIONS 32
#define ENTRY_SIZE 16

extern char exception_code[];

static struct gate idt[EXCEPTIONS];

// Called by exception_entries.S; `stack` begins with an error code, if the vector has one, then RIP.
void
monitor_exception(uint64_t vector, const uint64_t *stack)
{
  print("exception %lu: %lx %lx, CR2 %lx\n", vector, stack[0], stack[1], read_cr2());
  panic("monitor_exception: the monitor itself failed");
}

void
exceptions_init(void)
{
  for (unsigned vector = 0; vector < EXCEPTIONS; vector++)
    idt[vector] = interrupt_gate(CODE_SELECTOR, (uint64_t)exception_code + vector * ENTRY_SIZE);
  load_idt(idt, sizeof(idt));
}
