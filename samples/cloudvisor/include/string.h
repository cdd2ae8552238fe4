#pragma once
#include <stdbool.h>
#include <stddef.h>

// The compiler may call the first three by itself, freestanding or not.
void *memset(void *to, int byte, size_t count);
void *memcpy(void *to, const void *from, size_t count);
int memcmp(const void *a, const void *b, size_t count);
bool string_equal(const char *a, const char *b);
