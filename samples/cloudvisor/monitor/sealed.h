#pragma once
// Records of pages that are ciphertext: what is needed to accept one back, and only the last version of it.
#include <stdint.h>

struct sealed {
  unsigned vm; // 0: this record is free
  uint64_t gpa;
  uint8_t iv[16], hash[16];
};

struct sealed *sealed_find(unsigned vm, uint64_t gpa);
struct sealed *sealed_new(unsigned vm, uint64_t gpa);
void sealed_forget(struct sealed *record);
void sealed_forget_vm(unsigned vm);
