// Loads and stores: a buffer that fits in a second-level cache is copied word by word, and both ends are read.
#include "kernels.h"

#define WORDS 8192

static uint64_t from[WORDS], to[WORDS];

uint64_t
copy(unsigned repeat)
{
  uint64_t sum = 0;
  for (unsigned i = 0; i < WORDS; i++)
    from[i] = i * 0x0101010101010101u;
  for (unsigned r = 0; r < repeat; r++) {
    for (unsigned pass = 0; pass < 4; pass++) {
      for (unsigned i = 0; i < WORDS; i++) {
        to[i] = from[i];
        __asm__ volatile("" ::: "memory"); // one load and one store for each word
      }
      from[pass] += to[WORDS - 1 - pass];
    }
    sum += to[r % WORDS] ^ from[0];
  }
  return sum;
}
