// Quicksort (Hoare's partition): unpredictable branches and short loops over memory.
#include "kernels.h"

#define COUNT 4096

static uint32_t values[COUNT];

static void
sort(uint32_t *low, uint32_t *high)
{
  while (low < high) {
    uint32_t pivot = low[(high - low) / 2];
    uint32_t *i = low - 1, *j = high + 1;
    for (;;) {
      do
        i++;
      while (*i < pivot);
      do
        j--;
      while (*j > pivot);
      if (i >= j)
        break;
      uint32_t t = *i;
      *i = *j;
      *j = t;
    }
    // The smaller part by recursion, the larger one by the loop: the stack stays shallow.
    if (j - low < high - j - 1) {
      sort(low, j);
      low = j + 1;
    } else {
      sort(j + 1, high);
      high = j;
    }
  }
}

uint64_t
quicksort(unsigned repeat)
{
  uint64_t sum = 0;
  uint32_t x = 12345;
  for (unsigned r = 0; r < repeat; r++) {
    for (unsigned i = 0; i < COUNT; i++)
      values[i] = x = x * 1664525 + 1013904223;
    sort(values, values + COUNT - 1);
    sum += values[0] ^ values[COUNT / 2] ^ (uint64_t)values[COUNT - 1] << 20;
  }
  return sum;
}
