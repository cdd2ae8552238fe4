#pragma once
#include <stdint.h>

void random_init(void);
void random_bytes(uint8_t *to, unsigned size);
