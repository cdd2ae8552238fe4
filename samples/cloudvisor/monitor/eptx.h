#pragma once
#include <stdint.h>

void eptx_init(void);
uint64_t eptx_pointer(void);
void eptx_set(uint64_t hpa, uint64_t rights);
