// The firmware's tables, as far as the monitor needs them: whether there is an IOMMU, and where. They lie in memory that
// the launcher could have changed; a measured launch gets a verified copy instead (TXT heap, SINIT's MLE data).
#include "acpi.h"

#include "layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define FIRMWARE_AREA 0xe0000ul // where a root pointer is looked for (ACPI 5.2.5.1)
#define FIRMWARE_AREA_END 0x100000ul
#define ROOT_POINTER_STEP 16
#define ROOT_POINTER_CHECKED 20

struct root_pointer {
  char signature[8];
  uint8_t checksum;
  char oem[6];
  uint8_t revision;
  uint32_t rsdt;
} __attribute__((packed));

static bool
sum_is_zero(const void *data, uint32_t size)
{
  const uint8_t *bytes = data;
  uint8_t sum = 0;
  for (uint32_t i = 0; i < size; i++)
    sum += bytes[i];
  return sum == 0;
}

static const struct root_pointer *
find_root_pointer(void)
{
  for (uint64_t at = FIRMWARE_AREA; at < FIRMWARE_AREA_END; at += ROOT_POINTER_STEP) {
    const struct root_pointer *found = direct(at);
    if (!memcmp(found->signature, "RSD PTR ", sizeof(found->signature)) && sum_is_zero(found, ROOT_POINTER_CHECKED))
      return found;
  }
  return NULL;
}

// The table with this signature; NULL when the firmware has none.
const struct acpi_table *
acpi_find(const char signature[4])
{
  const struct root_pointer *pointer = find_root_pointer();
  if (!pointer)
    return NULL;
  const struct acpi_table *root = direct(pointer->rsdt);
  const uint32_t *entry = (const void *)(root + 1), *end = (const void *)((const char *)root + root->length);
  for (; entry < end; entry++) {
    const struct acpi_table *table = direct(*entry);
    if (!memcmp(table->signature, signature, sizeof(table->signature)) && sum_is_zero(table, table->length))
      return table;
  }
  return NULL;
}
