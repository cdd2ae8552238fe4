// Calls and returns: Ackermann's function, which no compiler turns into a loop.
#include "kernels.h"

static __attribute__((noinline)) unsigned
ackermann(unsigned m, unsigned n)
{
  if (m == 0)
    return n + 1;
  unsigned inner = n == 0 ? 1 : ackermann(m, n - 1);
  __asm__ volatile("" : "+r"(inner)); // keeps the outer call a call
  unsigned result = ackermann(m - 1, inner);
  __asm__ volatile("" : "+r"(result));
  return result;
}

uint64_t
recursion(unsigned repeat)
{
  uint64_t sum = 0;
  for (unsigned r = 0; r < repeat; r++)
    sum += ackermann(2, 90) + (r & ackermann(1, 5));
  return sum;
}
