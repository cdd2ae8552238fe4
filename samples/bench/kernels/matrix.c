// A product of integer matrices: three nested loops, multiplications, strided loads.
#include "kernels.h"

#define SIZE 64

static uint64_t a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

uint64_t
matrix(unsigned repeat)
{
  uint64_t sum = 0;
  for (unsigned i = 0; i < SIZE; i++)
    for (unsigned j = 0; j < SIZE; j++) {
      a[i][j] = i * 31 + j;
      b[i][j] = i ^ j * 7;
    }
  for (unsigned r = 0; r < repeat; r++) {
    for (unsigned i = 0; i < SIZE; i++)
      for (unsigned j = 0; j < SIZE; j++) {
        uint64_t cell = 0;
        for (unsigned k = 0; k < SIZE; k++)
          cell += a[i][k] * b[k][j];
        c[i][j] = cell;
      }
    a[r % SIZE][0] += c[SIZE - 1][r % SIZE];
    sum += c[r % SIZE][SIZE / 2];
  }
  return sum;
}
