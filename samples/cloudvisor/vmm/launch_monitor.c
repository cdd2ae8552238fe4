// The late launch of a monitor, if the loader brought one: all that the VMM knows of it. From then on it runs one
// layer further from the hardware, and finds nothing changed.
#include "launch_monitor.h"

#include "boot_info.h"
#include "console.h"
#include "elf.h"
#include "layout.h"
#include "memory.h"

#include <launch.h>
#include <print.h>
#include <string.h>
#include <x86.h>

static bool
overlaps_a_module(uint64_t start, uint64_t end)
{
  for (unsigned i = 0; i < boot_info.module_count; i++)
    if (start < boot_info.modules[i].end && boot_info.modules[i].start < end)
      return true;
  return false;
}

// Puts the segments at their physical addresses; `launch` receives the range that they fill.
static void
load_segments(const void *file, struct launch *launch)
{
  unsigned count;
  const struct elf_segment *segment = elf_segments(file, &count);
  launch->monitor_start = ~0ul;
  for (; count > 0; count--, segment++) {
    uint64_t start = segment->physical, end = start + segment->memory_size;
    if (segment->type != ELF_LOAD || segment->memory_size == 0)
      continue;
    if (end > boot_info.memory_end || overlaps_a_module(start, end))
      panic("launch_monitor: the monitor does not fit in memory");
    memcpy(direct(start), (const char *)file + segment->offset, segment->file_size);
    memset((char *)direct(start) + segment->file_size, 0, segment->memory_size - segment->file_size);
    launch->monitor_start = start < launch->monitor_start ? start & ~PAGE_MASK : launch->monitor_start;
    launch->monitor_end = end > launch->monitor_end ? (end + PAGE_MASK) & ~PAGE_MASK : launch->monitor_end;
  }
}

void
launch_monitor(void)
{
  const struct module *module = find_module("monitor");
  struct launch launch = { .memory_end = boot_info.memory_end };
  if (!module)
    return;
  const void *file = direct(module->start);
  load_segments(file, &launch);
  memory_reserve(launch.monitor_start, launch.monitor_end);
  int (*entry)(const struct launch *) = (void *)elf_entry(file);
  int status = entry(&launch);
  if (status != LAUNCHED) {
    print("monitor not launched, status %d\n", status);
    panic("launch_monitor: the monitor refused");
  }
}
