#pragma once
#include <stdint.h>

#define MD5_SIZE 16

// MD5 (RFC 1321) in pieces: begin, add any number of times, end.
struct md5 {
  uint32_t state[4];
  uint64_t length;
  uint8_t block[64];
};

void md5_begin(struct md5 *md5);
void md5_add(struct md5 *md5, const void *data, unsigned size);
void md5_end(struct md5 *md5, uint8_t digest[MD5_SIZE]);
void md5(const void *data, unsigned size, uint8_t digest[MD5_SIZE]);
