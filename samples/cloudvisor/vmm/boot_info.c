// What the loader tells: how much RAM there is, and which modules it brought.
#include "boot_info.h"

#include "console.h"
#include "layout.h"

#include <stddef.h>
#include <string.h>

struct boot_info boot_info;

static void
add_module(uint64_t start, uint64_t end, const char *name)
{
  if (boot_info.module_count == MAX_MODULES)
    panic("boot_info: too many modules");
  struct module *module = &boot_info.modules[boot_info.module_count++];
  module->start = start;
  module->end = end;
  for (unsigned i = 0; i < MODULE_NAME_SIZE - 1 && name[i]; i++)
    module->name[i] = name[i];
}

// RAM counts where it continues from 1 MiB: what lies above a hole is not used.
static void
add_ram(uint64_t start, uint64_t size)
{
  if (start <= VMM_LOAD && start + size > boot_info.memory_end)
    boot_info.memory_end = start + size;
}

// --- Multiboot2 (section 3.6 of its specification): a list of tags, each aligned to 8 bytes ---

#define MULTIBOOT2_MAGIC 0x36d76289
#define TAG_END 0
#define TAG_MODULE 3
#define TAG_MEMORY_MAP 6
#define MULTIBOOT_RAM 1

struct tag {
  uint32_t type, size;
};

struct tag_module {
  struct tag tag;
  uint32_t start, end;
  char name[];
};

struct tag_memory_map {
  struct tag tag;
  uint32_t entry_size, entry_version;
};

struct multiboot_range {
  uint64_t start, size;
  uint32_t type, reserved;
};

static void
read_multiboot_map(const struct tag_memory_map *map)
{
  const char *end = (const char *)map + map->tag.size;
  for (const char *p = (const char *)(map + 1); p < end; p += map->entry_size) {
    const struct multiboot_range *range = (const void *)p;
    if (range->type == MULTIBOOT_RAM)
      add_ram(range->start, range->size);
  }
}

static void
read_multiboot(uint32_t information)
{
  const struct tag *tag = direct(information + 8); // after total size and a reserved word
  while (tag->type != TAG_END) {
    if (tag->type == TAG_MEMORY_MAP)
      read_multiboot_map((const void *)tag);
    if (tag->type == TAG_MODULE) {
      const struct tag_module *module = (const void *)tag;
      add_module(module->start, module->end, module->name);
    }
    tag = (const void *)((const char *)tag + ((tag->size + 7) & ~7ul));
  }
}

// --- PVH: struct hvm_start_info of Xen's public headers (arch-x86/hvm/start_info.h) ---

#define PVH_MAGIC 0x336ec578
#define PVH_RAM 1

struct pvh_start_info {
  uint32_t magic, version, flags, module_count;
  uint64_t modules, command_line, rsdp;
  uint64_t memory_map; // from version 1 on
  uint32_t memory_map_entries, reserved;
};

struct pvh_module {
  uint64_t start, size, command_line, reserved;
};

struct pvh_range {
  uint64_t start, size;
  uint32_t type, reserved;
};

static void
read_pvh(uint32_t information)
{
  const struct pvh_start_info *info = direct(information);
  if (info->magic != PVH_MAGIC)
    panic("boot_info: started by an unknown boot protocol");
  const struct pvh_module *module = direct(info->modules);
  for (uint32_t i = 0; i < info->module_count; i++, module++)
    add_module(module->start, module->start + module->size,
               module->command_line ? direct(module->command_line) : "");
  const struct pvh_range *range = direct(info->memory_map);
  for (uint32_t i = 0; info->version >= 1 && i < info->memory_map_entries; i++, range++)
    if (range->type == PVH_RAM)
      add_ram(range->start, range->size);
}

void
boot_info_read(uint32_t magic, uint32_t information)
{
  if (magic == MULTIBOOT2_MAGIC)
    read_multiboot(information);
  else
    read_pvh(information);
  if (boot_info.memory_end == 0)
    panic("boot_info: no RAM at 1 MiB");
}

// The module whose command line is this name; NULL when the loader brought none.
const struct module *
find_module(const char *name)
{
  for (unsigned i = 0; i < boot_info.module_count; i++)
    if (string_equal(boot_info.modules[i].name, name))
      return &boot_info.modules[i];
  return NULL;
}
