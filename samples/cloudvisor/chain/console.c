// The loader's console, and where a run of the machine ends.
#include <console.h>

#include <print.h>
#include <serial.h>
#include <stdbool.h>
#include <x86.h>

#define EXIT_PORT 0xf4

void
console_put(char c)
{
  static bool at_line_start = true;
  if (at_line_start)
    for (const char *p = "[loader] "; *p; p++)
      serial_put(*p);
  serial_put(c);
  at_line_start = c == '\n';
}

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
