// Memory and string functions, by the string instructions of the processor.
#include <string.h>

#include <stdint.h>

void *
memset(void *to, int byte, size_t count)
{
  void *at = to;
  size_t words = count / 8, rest = count % 8;
  uint64_t word = (uint8_t)byte * 0x0101010101010101ul;
  __asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(word) : "memory");
  __asm__ volatile("rep stosb" : "+D"(at), "+c"(rest) : "a"(word) : "memory");
  return to;
}

void *
memcpy(void *to, const void *from, size_t count)
{
  void *at = to;
  size_t words = count / 8, rest = count % 8;
  __asm__ volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
  __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest) : : "memory");
  return to;
}

int
memcmp(const void *a, const void *b, size_t count)
{
  const unsigned char *x = a, *y = b;
  for (size_t i = 0; i < count; i++)
    if (x[i] != y[i])
      return x[i] - y[i];
  return 0;
}

bool
string_equal(const char *a, const char *b)
{
  while (*a && *a == *b)
    a++, b++;
  return *a == *b;
}
