// Registers only: shifts, rotates, adds, multiplications and a data-dependent branch.
#include "kernels.h"

#define STEPS 100000

uint64_t
alu_loop(unsigned repeat)
{
  uint64_t x = 0x9e3779b97f4a7c15, sum = 0;
  for (unsigned r = 0; r < repeat; r++) {
    for (unsigned i = 0; i < STEPS; i++) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      if (x & 1)
        sum += x * 0x2545f4914f6cdd1d;
      else
        sum = (sum << 11 | sum >> 53) ^ x;
    }
  }
  return sum;
}
