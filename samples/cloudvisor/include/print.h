#pragma once
#include <stdarg.h>

// Formatted output to the layer's console. Each layer provides console_put and its own prefix.
// Known: %s, %c, %d (int), %u (unsigned), %x (unsigned), %lx and %lu (64 bits), %p (64 bits with 0x), %%.
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

// One character, to be provided by the layer.
void console_put(char c);
