// print(): the few conversions that the layers use.
#include <print.h>
#include <stdbool.h>
#include <stdint.h>

static void
put_number(uint64_t value, unsigned base)
{
  char digits[20];
  int count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  while (count)
    console_put(digits[--count]);
}

static void
put_string(const char *text)
{
  while (*text)
    console_put(*text++);
}

static void
put_signed(int64_t value)
{
  if (value < 0)
    console_put('-');
  put_number(value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

static void
vprint(const char *format, va_list arguments)
{
  for (; *format; format++) {
    if (*format != '%') {
      console_put(*format);
      continue;
    }
    bool is_long = *++format == 'l';
    if (is_long)
      format++;
    switch (*format) {
    case 's':
      put_string(va_arg(arguments, const char *));
      break;
    case 'c':
      console_put((char)va_arg(arguments, int));
      break;
    case 'd':
      put_signed(is_long ? va_arg(arguments, int64_t) : va_arg(arguments, int));
      break;
    case 'u':
      put_number(is_long ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned), 10);
      break;
    case 'p':
      put_string("0x");
      put_number((uint64_t)va_arg(arguments, void *), 16);
      break;
    case 'x':
      put_number(is_long ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned), 16);
      break;
    default:
      console_put(*format);
    }
  }
}

void
print(const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  vprint(format, arguments);
  va_end(arguments);
}
