#pragma once
#include <stdint.h>

// The header of every ACPI table (ACPI 5.2.6); `length` counts it.
struct acpi_table {
  char signature[4];
  uint32_t length;
  uint8_t revision, checksum;
  char oem[6], oem_table[8];
  uint32_t oem_revision;
  char creator[4];
  uint32_t creator_revision;
} __attribute__((packed));

const struct acpi_table *acpi_find(const char signature[4]);
