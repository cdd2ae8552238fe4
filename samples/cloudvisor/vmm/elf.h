#pragma once
#include <elf64.h>

const struct elf_segment *elf_segments(const void *file, unsigned *count);
uint64_t elf_entry(const void *file);
uint64_t elf_symbol(const void *file, const char *name);
