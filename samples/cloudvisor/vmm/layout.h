#pragma once
// The VMM's map of linear addresses. Every part is a fixed offset from physical memory.
//
//   0x0000000000000000   the first 4 GiB as they are (the loader's view; also what a late launch expects)
//   0xffff800000000000   the first 4 GiB again: how the VMM reaches any page of RAM
//   0xffffffff80000000   the first 1 GiB again: the VMM's own image, linked here, loaded at 1 MiB
#define DIRECT_MAP 0xffff800000000000
#define VMM_BASE 0xffffffff80000000
#define VMM_LOAD 0x100000
#define DIRECT_MAP_SIZE 0x100000000

#define CODE_SELECTOR 0x08
#define DATA_SELECTOR 0x10
#define TSS_SELECTOR 0x18

#ifndef __ASSEMBLER__
#include <stdint.h>

static inline void *
direct(uint64_t physical)
{
  return (void *)(DIRECT_MAP + physical);
}

// The physical address of an object of the VMM's image or of a pointer into the direct map.
static inline uint64_t
physical(const void *pointer)
{
  uint64_t linear = (uint64_t)pointer;
  return linear >= VMM_BASE ? linear - VMM_BASE : linear - DIRECT_MAP;
}
#endif
