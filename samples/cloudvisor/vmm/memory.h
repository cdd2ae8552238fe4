#pragma once
#include <stdint.h>

void memory_init(void);
void memory_reserve(uint64_t start, uint64_t end);
uint64_t page_allocate(void);
void page_release(uint64_t page);
