#include "keel.h"

static void
put_char(char c)
{
  while (!(port_in(0x3fd) & 0x20))
    ;
  port_out(0x3f8, (byte)c);
}

static void
put_number(quad value, unsigned base)
{
  char digits[24];
  int count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  while (count)
    put_char(digits[--count]);
}

/* %x quad in hexadecimal, %d quad in decimal, %s text, %c */
void
say(const char *format, ...)
{
  __builtin_va_list list;
  __builtin_va_start(list, format);
  for (; *format; format++) {
    if (*format != '%') {
      put_char(*format);
      continue;
    }
    switch (*++format) {
    case 'x':
      put_number(__builtin_va_arg(list, quad), 16);
      break;
    case 'd':
      put_number(__builtin_va_arg(list, quad), 10);
      break;
    case 's':
      for (const char *s = __builtin_va_arg(list, const char *); *s; s++)
        put_char(*s);
      break;
    default:
      put_char(*format);
    }
  }
  __builtin_va_end(list);
}

void
quit(word status)
{
  say("machine ends with status %d\n", (quad)status);
  asm_("outl %0, %1" : : "a"(status), "Nd"((half)0xf4));
  for (;;)
    asm_("cli; hlt");
}
