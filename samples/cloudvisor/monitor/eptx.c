// EPT-x: the table under the VMM. It maps each page to itself, so the VMM finds physical memory as it was, but for the
// pages that are not its own. Large pages where nothing was ever taken, else 4 KiB.
#include "eptx.h"

#include "captured.h"
#include "console.h"
#include "layout.h"
#include "pages.h"

#include <vmx.h>
#include <x86.h>

#define GIBIBYTES (DIRECT_MAP_SIZE >> 30)
#define ENTRIES 512

static uint64_t root;
static uint64_t *directories[GIBIBYTES]; // each maps 1 GiB in entries of 2 MiB

static uint64_t
memory_type(uint64_t hpa)
{
  return hpa < launch.memory_end ? EPT_WRITE_BACK : EPT_UNCACHEABLE;
}

uint64_t
eptx_pointer(void)
{
  return root | EPTP_WALK_4 | EPTP_WRITE_BACK;
}

// Identity over the first 4 GiB, minus the monitor. In VMX operation already: the last step invalidates.
void
eptx_init(void)
{
  root = monitor_page();
  uint64_t pdpt = monitor_page();
  ((uint64_t *)direct(root))[0] = pdpt | EPT_ALL;
  for (uint64_t gib = 0; gib < GIBIBYTES; gib++) {
    uint64_t directory = monitor_page();
    ((uint64_t *)direct(pdpt))[gib] = directory | EPT_ALL;
    directories[gib] = direct(directory);
    for (uint64_t i = 0; i < ENTRIES; i++) {
      uint64_t hpa = (gib * ENTRIES + i) * LARGE_PAGE_SIZE;
      directories[gib][i] = hpa | memory_type(hpa) | EPT_LARGE | EPT_ALL;
    }
  }
  for (uint64_t hpa = launch.monitor_start; hpa < launch.monitor_end; hpa += PAGE_SIZE)
    eptx_set(hpa, 0);
}

// Replaces a 2 MiB entry by a table of 512 entries that mean the same.
static void
split(uint64_t *entry, uint64_t base)
{
  uint64_t table = monitor_page();
  uint64_t *entries = direct(table);
  for (uint64_t i = 0; i < ENTRIES; i++)
    entries[i] = (base + i * PAGE_SIZE) | memory_type(base) | EPT_ALL;
  *entry = table | EPT_ALL;
}

// What the VMM may do with a page: EPT_READ, EPT_WRITE, EPT_EXECUTE or nothing. In force when this returns.
void
eptx_set(uint64_t hpa, uint64_t rights)
{
  uint64_t *entry = &directories[hpa >> 30][hpa >> 21 & (ENTRIES - 1)];
  if (*entry & EPT_LARGE)
    split(entry, hpa & ~(LARGE_PAGE_SIZE - 1));
  uint64_t *table = direct(*entry & EPT_ADDRESS);
  table[hpa >> 12 & (ENTRIES - 1)] = (hpa & ~PAGE_MASK) | memory_type(hpa) | rights;
  invept(INVEPT_SINGLE, eptx_pointer());
}
