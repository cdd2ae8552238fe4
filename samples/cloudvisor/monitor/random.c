// Keys and initialisation vectors: a state that is stirred by MD5 with the time-stamp counter and a counter of requests.
// No two outputs are equal, because the counter never repeats; how hard they are to guess depends on how well the TSC at
// unforeseeable moments (exits) hides from the VMM. A machine with RDSEED should mix that in here.
#include "random.h"

#include "md5.h"

#include <string.h>
#include <x86.h>

static struct {
  uint8_t state[MD5_SIZE];
  uint64_t time, count;
} pool;

static void
stir(void)
{
  pool.time = rdtsc();
  pool.count++;
  md5(&pool, sizeof(pool), pool.state);
}

void
random_init(void)
{
  stir();
}

void
random_bytes(uint8_t *to, unsigned size)
{
  while (size > 0) {
    uint8_t output[MD5_SIZE];
    unsigned part = size < MD5_SIZE ? size : MD5_SIZE;
    stir();
    md5(pool.state, MD5_SIZE, output); // the output does not tell the state
    memcpy(to, output, part);
    to += part, size -= part;
  }
}
