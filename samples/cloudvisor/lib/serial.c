#include <serial.h>
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

// 115200 baud, 8 bits, no parity, no interrupts.
void
serial_init(void)
{
  outb(INTERRUPT_ENABLE, 0);
  outb(LINE_CONTROL, DIVISOR_LATCH);
  outb(DATA, 1);
  outb(INTERRUPT_ENABLE, 0);
  outb(LINE_CONTROL, EIGHT_BITS);
  outb(FIFO_CONTROL, 0x07);
  outb(MODEM_CONTROL, 0x03);
}

void
serial_put(char c)
{
  while (!(inb(LINE_STATUS) & TRANSMITTER_EMPTY))
    ;
  outb(DATA, (uint8_t)c);
}
