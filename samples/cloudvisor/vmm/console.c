// The VMM's console, and where a run of the machine ends.
#include "console.h"

#include <print.h>
#include <serial.h>
#include <stdbool.h>
#include <x86.h>

#define EXIT_PORT 0xf4

static const char *prefix = "[vmm] ";
static bool at_line_start = true;

void
console_put(char c)
{
  if (at_line_start)
    for (const char *p = prefix; *p; p++)
      serial_put(*p);
  serial_put(c);
  at_line_start = c == '\n';
}

// A line of the guest, as its own serial port received it.
void
console_guest_line(const char *line)
{
  prefix = "[guest] ";
  print("%s\n", line);
  prefix = "[vmm] ";
}

// Ends the run: 0 is success. Where no exit port is wired, the processor stops.
void
machine_exit(uint32_t status)
{
  print("machine ends with status %u\n", status);
  outl(EXIT_PORT, status);
  halt_forever();
}

void
panic(const char *why)
{
  print("panic: %s\n", why);
  machine_exit(1);
}
