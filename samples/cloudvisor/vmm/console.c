// The VMM's console: the first serial port (16550), and where a run of the machine ends.
#include "console.h"

#include <print.h>
#include <x86.h>

#define COM1 0x3f8
#define DATA (COM1 + 0)
#define INTERRUPT_ENABLE (COM1 + 1)
#define FIFO_CONTROL (COM1 + 2)
#define LINE_CONTROL (COM1 + 3)
#define MODEM_CONTROL (COM1 + 4)
#define LINE_STATUS (COM1 + 5)
#define DIVISOR_LATCH 0x80
#define EIGHT_BITS 0x03
#define TRANSMITTER_EMPTY 0x20

#define EXIT_PORT 0xf4

static const char *prefix = "[vmm] ";
static bool at_line_start = true;

// 115200 baud, 8 bits, no parity, no interrupts.
void
console_init(void)
{
  outb(INTERRUPT_ENABLE, 0);
  outb(LINE_CONTROL, DIVISOR_LATCH);
  outb(DATA, 1);
  outb(INTERRUPT_ENABLE, 0);
  outb(LINE_CONTROL, EIGHT_BITS);
  outb(FIFO_CONTROL, 0x07);
  outb(MODEM_CONTROL, 0x03);
}

static void
serial_put(char c)
{
  while (!(inb(LINE_STATUS) & TRANSMITTER_EMPTY))
    ;
  outb(DATA, (uint8_t)c);
}

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
