#pragma once
// The monitor's map of linear addresses. It shares no table with the VMM.
//
//   0x0000000000000000   the first 4 GiB as they are: only the entry code runs there
//   0xffff800000000000   the first 4 GiB again: how the monitor reaches any page
//   0xffffffffa0000000   the first 512 MiB again: the monitor's own image, linked here, loaded at 32 MiB
#define DIRECT_MAP 0xffff800000000000
#define DIRECT_MAP_SIZE 0x100000000
#define MONITOR_BASE 0xffffffffa0000000

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

// The physical address of an object of the monitor's image.
static inline uint64_t
physical(const void *object)
{
  return (uint64_t)object - MONITOR_BASE;
}
#endif
