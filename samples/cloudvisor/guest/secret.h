#pragma once
#include <stdint.h>

void secret_create(void);
void secret_stir(void);
uint64_t secret_digest(void);
