// MD5, the hash of the paper's page records. The digests never leave the monitor, so an attacker would need a second
// preimage; collisions, which MD5 does not withstand, are of no use to him.
#include "md5.h"

#include <string.h>

#define BLOCK 64

// |sin(i + 1)| * 2^32 (RFC 1321, 3.4)
static const uint32_t sines[64] = {
  0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
  0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
  0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
  0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
  0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
  0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
  0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
  0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const uint8_t shifts[4][4] = { { 7, 12, 17, 22 }, { 5, 9, 14, 20 }, { 4, 11, 16, 23 }, { 6, 10, 15, 21 } };

static uint32_t
rotate_left(uint32_t a, unsigned by)
{
  return a << by | a >> (32 - by);
}

static void
add_block(uint32_t state[4], const uint8_t *block)
{
  uint32_t x[16], a = state[0], b = state[1], c = state[2], d = state[3];
  memcpy(x, block, BLOCK);
  for (unsigned i = 0; i < 64; i++) {
    uint32_t f;
    unsigned index;
    switch (i / 16) {
    case 0:
      f = (b & c) | (~b & d), index = i;
      break;
    case 1:
      f = (b & d) | (c & ~d), index = (5 * i + 1) % 16;
      break;
    case 2:
      f = b ^ c ^ d, index = (3 * i + 5) % 16;
      break;
    default:
      f = c ^ (b | ~d), index = 7 * i % 16;
    }
    uint32_t next = b + rotate_left(a + f + sines[i] + x[index], shifts[i / 16][i % 4]);
    a = d, d = c, c = b, b = next;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
}

void
md5_begin(struct md5 *md5)
{
  *md5 = (struct md5){ .state = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 } };
}

void
md5_add(struct md5 *md5, const void *data, unsigned size)
{
  const uint8_t *from = data;
  while (size > 0) {
    unsigned filled = (unsigned)(md5->length % BLOCK), part = BLOCK - filled < size ? BLOCK - filled : size;
    memcpy(md5->block + filled, from, part);
    md5->length += part, from += part, size -= part;
    if (filled + part == BLOCK)
      add_block(md5->state, md5->block);
  }
}

void
md5_end(struct md5 *md5, uint8_t digest[MD5_SIZE])
{
  static const uint8_t padding[BLOCK] = { 0x80 };
  uint64_t bits = md5->length * 8;
  md5_add(md5, padding, 1 + (unsigned)((BLOCK * 2 - 9 - md5->length % BLOCK) % BLOCK));
  md5_add(md5, &bits, sizeof(bits));
  memcpy(digest, md5->state, MD5_SIZE);
}

void
md5(const void *data, unsigned size, uint8_t digest[MD5_SIZE])
{
  struct md5 state;
  md5_begin(&state);
  md5_add(&state, data, size);
  md5_end(&state, digest);
}
