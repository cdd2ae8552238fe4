// The next image: its segments, its entry point, and what PVH tells it.
#include "chain.h"

#include <console.h>
#include <elf.h>
#include <elf64.h>
#include <layout.h>

#include <print.h>
#include <string.h>
#include <x86.h>

#define ELF_NOTE 4
#define XEN_PHYS32_ENTRY 18
#define PVH_MAGIC 0x336ec578
#define RAM 1
#define RESERVED 2
#define LOW_MEMORY 0xa0000
#define MEBIBYTE 0x100000
#define MONITOR_LOAD 0x2000000 // where monitor.ld puts it, and the end of what its image and its data take
#define CHAIN_LOAD 0x3000000

extern char vmm_end[];

struct note {
  uint32_t name_size, size, type;
  char name[];
};

// struct hvm_start_info and what it refers to (Xen's public headers, arch-x86/hvm/start_info.h)
static struct {
  uint32_t magic, version, flags, module_count;
  uint64_t modules, command_line, rsdp, memory_map;
  uint32_t memory_map_entries, reserved;
} start_info;
static struct {
  uint64_t start, size, command_line, reserved;
} pvh_modules[MAX_MODULES];
static struct {
  uint64_t start, size;
  uint32_t type, reserved;
} ranges[4];

static bool
overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
  return a < b_end && b < a_end;
}

static bool
hits_a_module(uint64_t start, uint64_t end)
{
  for (unsigned i = 0; i < boot_info.module_count; i++)
    if (overlap(start, end, boot_info.modules[i].start, boot_info.modules[i].end))
      return true;
  return false;
}

static bool
hits_a_segment(const void *file, uint64_t start, uint64_t end)
{
  unsigned count;
  const struct elf_segment *segment = elf_segments(file, &count);
  for (; count > 0; count--, segment++)
    if (segment->type == ELF_LOAD &&
        overlap(start, end, segment->physical, segment->physical + segment->memory_size))
      return true;
  return false;
}

// Moves a file behind this loader, where no image is loaded.
static void
move(struct module *file, const struct module *other)
{
  uint64_t size = file->end - file->start, to = (physical(vmm_end) + PAGE_MASK) & ~PAGE_MASK;
  while (hits_a_module(to, to + size) || overlap(to, to + size, file->start, file->end) ||
         (other && overlap(to, to + size, other->start, other->end)))
    to += PAGE_SIZE;
  if (to + size > boot_info.memory_end)
    panic("chain: no room for the modules");
  memcpy(direct(to), direct(file->start), size);
  file->start = to, file->end = to + size;
}

static void
load(const void *file)
{
  unsigned count;
  const struct elf_segment *segment = elf_segments(file, &count);
  for (; count > 0; count--, segment++) {
    if (segment->type != ELF_LOAD || segment->memory_size == 0)
      continue;
    if (segment->physical + segment->memory_size > CHAIN_LOAD)
      panic("chain: the hypervisor wants memory above 48 MiB");
    memcpy(direct(segment->physical), (const char *)file + segment->offset, segment->file_size);
    memset((char *)direct(segment->physical) + segment->file_size, 0, segment->memory_size - segment->file_size);
  }
}

// The entry point of the PVH note; 0 when there is none.
static uint32_t
pvh_entry(const char *file)
{
  unsigned count;
  const struct elf_segment *segment = elf_segments(file, &count);
  for (; count > 0; count--, segment++) {
    if (segment->type != ELF_NOTE)
      continue;
    const char *at = file + segment->offset, *end = at + segment->file_size;
    while (at + sizeof(struct note) < end) {
      const struct note *note = (const void *)at;
      const char *data = note->name + ((note->name_size + 3) & ~3u);
      if (note->type == XEN_PHYS32_ENTRY && string_equal(note->name, "Xen"))
        return *(const uint32_t *)data;
      at = data + ((note->size + 3) & ~3u);
    }
  }
  return 0;
}

// RAM but for the monitor, which refuses every access, and for this loader and what it keeps.
static void
describe_memory(void)
{
  ranges[0].start = 0, ranges[0].size = LOW_MEMORY, ranges[0].type = RAM;
  ranges[1].start = MEBIBYTE, ranges[1].size = MONITOR_LOAD - MEBIBYTE, ranges[1].type = RAM;
  ranges[2].start = MONITOR_LOAD, ranges[2].size = boot_info.memory_end - MONITOR_LOAD, ranges[2].type = RESERVED;
  start_info.memory_map = physical(ranges);
  start_info.memory_map_entries = 3;
}

static void
describe_modules(void)
{
  for (unsigned i = 0; i < boot_info.module_count; i++) {
    pvh_modules[i].start = boot_info.modules[i].start;
    pvh_modules[i].size = boot_info.modules[i].end - boot_info.modules[i].start;
    pvh_modules[i].command_line = physical(boot_info.modules[i].name);
  }
  start_info.modules = physical(pvh_modules);
  start_info.module_count = boot_info.module_count;
}

void
chain_boot(struct module *file)
{
  if (hits_a_segment(direct(file->start), file->start, file->end))
    move(file, NULL);
  for (unsigned i = 0; i < boot_info.module_count; i++)
    if (hits_a_segment(direct(file->start), boot_info.modules[i].start, boot_info.modules[i].end))
      move(&boot_info.modules[i], file);
  const void *image = direct(file->start);
  load(image);
  start_info.magic = PVH_MAGIC;
  start_info.version = 1;
  describe_memory();
  describe_modules();
  uint32_t entry = pvh_entry(image);
  if (entry)
    enter_pvh(entry, (uint32_t)physical(&start_info));
  enter_long(elf_entry(image));
}
