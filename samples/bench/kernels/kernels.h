#pragma once
#include <stdint.h>

// Each kernel does its work `repeat` times over and returns a checksum of all that it computed, so that no compiler can
// leave the work out and two machines can be compared.
uint64_t alu_loop(unsigned repeat);
uint64_t copy(unsigned repeat);
uint64_t recursion(unsigned repeat);
uint64_t sha256(unsigned repeat);
uint64_t quicksort(unsigned repeat);
uint64_t byte_code(unsigned repeat);
uint64_t matrix(unsigned repeat);
