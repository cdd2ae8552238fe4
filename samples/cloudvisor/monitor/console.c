// The monitor's voice (the serial port, as the VMM set it up) and its last words.
#include "console.h"

#include <print.h>
#include <serial.h>
#include <stdbool.h>
#include <x86.h>

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
