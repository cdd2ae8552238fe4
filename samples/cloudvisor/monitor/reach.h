#pragma once
#include <stdbool.h>
#include <stdint.h>

void reach_set(uint64_t hpa, uint64_t rights);
