#pragma once
#include <stdint.h>

#define MAX_MODULES 8
#define MODULE_NAME_SIZE 32

// A file that the loader put in memory, known by its command line.
struct module {
  uint64_t start, end; // physical
  char name[MODULE_NAME_SIZE]; // a copy: the loader's memory is given out again
};

struct boot_info {
  uint64_t memory_end; // end of the RAM that is contiguous from 1 MiB
  unsigned module_count;
  struct module modules[MAX_MODULES];
};

extern struct boot_info boot_info;

void boot_info_read(uint32_t magic, uint32_t information);
const struct module *find_module(const char *name);
