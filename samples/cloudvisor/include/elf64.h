#pragma once
// The parts of the ELF-64 object file format that a loader needs.
#include <stdint.h>

#define ELF_MAGIC 0x464c457fu
#define ELF_LOAD 1
#define ELF_SYMBOL_TABLE 2

struct elf_header {
  uint32_t magic;
  uint8_t class, data, version, abi[9];
  uint16_t type, machine;
  uint32_t format_version;
  uint64_t entry, segments, sections;
  uint32_t flags;
  uint16_t header_size, segment_size, segment_count, section_size, section_count, section_names;
};

struct elf_segment {
  uint32_t type, flags;
  uint64_t offset, linear, physical, file_size, memory_size, alignment;
};

struct elf_section {
  uint32_t name, type;
  uint64_t flags, address, offset, size;
  uint32_t link, info;
  uint64_t alignment, entry_size;
};

struct elf_symbol {
  uint32_t name;
  uint8_t info, other;
  uint16_t section;
  uint64_t value, size;
};
