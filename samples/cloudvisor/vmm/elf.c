// Reading an ELF file that lies in memory.
#include "elf.h"

#include "console.h"

#include <string.h>

static const struct elf_header *
header(const void *file)
{
  const struct elf_header *elf = file;
  if (elf->magic != ELF_MAGIC || elf->class != 2)
    panic("elf: not a 64-bit ELF file");
  return elf;
}

const struct elf_segment *
elf_segments(const void *file, unsigned *count)
{
  *count = header(file)->segment_count;
  return (const void *)((const char *)file + header(file)->segments);
}

uint64_t
elf_entry(const void *file)
{
  return header(file)->entry;
}

static uint64_t
find_in_table(const char *file, const struct elf_section *table, const struct elf_section *names, const char *name)
{
  const struct elf_symbol *symbol = (const void *)(file + table->offset);
  const struct elf_symbol *end = (const void *)(file + table->offset + table->size);
  for (; symbol < end; symbol++)
    if (string_equal(file + names->offset + symbol->name, name))
      return symbol->value;
  return 0;
}

// The value of a symbol, 0 when there is none of this name.
uint64_t
elf_symbol(const void *file, const char *name)
{
  const struct elf_header *elf = header(file);
  const struct elf_section *sections = (const void *)((const char *)file + elf->sections);
  for (unsigned i = 0; i < elf->section_count; i++)
    if (sections[i].type == ELF_SYMBOL_TABLE)
      return find_in_table(file, &sections[i], &sections[sections[i].link], name);
  return 0;
}
