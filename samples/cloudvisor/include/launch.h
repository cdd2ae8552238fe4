#pragma once
// The late launch: how the software that owns the machine hands it to a monitor, and gets it back one layer further
// from the hardware. The launcher puts the monitor's ELF segments at their physical addresses and calls its entry
// point, with interrupts off, in 64-bit mode, where the first 4 GiB are mapped at their physical addresses:
//
//   int entry(const struct launch *launch)
//
// It returns LAUNCHED with the processor in VMX non-root operation, or another value and nothing has changed.
#include <stdint.h>

#define LAUNCHED 0

struct launch {
  uint64_t memory_end;                  // RAM is [0, memory_end) but for the holes of a PC below 1 MiB
  uint64_t monitor_start, monitor_end;  // what the monitor's segments occupy, page-aligned
};
