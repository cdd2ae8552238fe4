// Devices are the VMM's, and reach memory without a processor: what EPT-x is for its instructions, the IOMMU is for its
// devices. One domain for all of them, an identity over RAM, minus what is not the VMM's. Legacy mode of VT-d (Intel
// Virtualization Technology for Directed I/O, chapters 3, 6, 9 and 11).
//
// A machine whose firmware describes no unit has none: then DMA is not held back, and the monitor says so.
#include "iommu.h"

#include "acpi.h"
#include "captured.h"
#include "console.h"
#include "eptx.h"
#include "layout.h"
#include "pages.h"

#include <print.h>
#include <probe.h>
#include <stddef.h>
#include <x86.h>

// Registers of a unit (11.4)
#define CAPABILITY 0x08
#define EXTENDED_CAPABILITY 0x10
#define COMMAND 0x18
#define STATUS 0x1c
#define ROOT_TABLE 0x20
#define CONTEXT_COMMAND 0x28
#define FAULT_STATUS 0x34
#define IOTLB_INVALIDATE(extended) (((extended) >> 8 & 0x3ff) * 16 + 8)
#define FAULT_RECORD(capability, i) (((capability) >> 24 & 0x3ff) * 16 + (i) * 16)

#define TRANSLATION (1u << 31) // of COMMAND, and told by STATUS
#define SET_ROOT_TABLE (1u << 30)
#define CONTEXT_INVALIDATE_ALL (1ul << 63 | 1ul << 61)
#define IOTLB_INVALIDATE_ALL (1ul << 63 | 1ul << 60)
#define START (1ul << 63)

#define TABLES_OF_4_LEVELS (1ul << 10) // CAPABILITY.SAGAW: 48-bit addresses
#define LARGE_PAGES (1ul << 34)        // CAPABILITY.SSLPS: 2 MiB
#define COHERENT (1ul << 0)            // EXTENDED_CAPABILITY.C: the unit's walks see the processor's caches
#define NEEDED (TABLES_OF_4_LEVELS | LARGE_PAGES)

// Fault records (11.4.16.2), the upper quadword
#define FAULT_VALID (1ul << 63)
#define FAULT_READ (1ul << 62)
#define FAULT_REASON(record) ((record) >> 32 & 0xff)
#define FAULT_SOURCE(record) ((record)&0xffff)
#define FAULT_RECORDS(capability) (((capability) >> 40 & 0xff) + 1)
#define FAULT_OVERFLOW (1u << 0)
#define FAULT_PENDING (1u << 1)

// Entries (9.1, 9.3, 9.8)
#define PRESENT 1ul
#define READ_WRITE 3ul
#define LARGE (1ul << 7)
#define ADDRESS 0x000ffffffffff000ul
#define WIDTH_4_LEVELS 2ul
#define DOMAIN (1ul << 8)
#define ENTRIES 512
#define BUSES 256
#define FUNCTIONS 256

// The DMAR table: one structure for each unit (8.3)
#define DMAR_STRUCTURES 48
#define DMAR_UNIT 0
#define MAX_UNITS 8

struct dmar_unit {
  uint16_t type, length;
  uint8_t flags, size;
  uint16_t segment;
  uint64_t registers;
};

static struct {
  uint64_t registers; // physical
  uint64_t capability, extended;
} units[MAX_UNITS];
static unsigned unit_count;
static uint64_t *directories[DIRECT_MAP_SIZE >> 30]; // each maps 1 GiB in entries of 2 MiB

// --- Registers: the VMM cannot reach them ---

static volatile uint32_t *
register_32(unsigned unit, uint64_t offset)
{
  return direct(units[unit].registers + offset);
}

static volatile uint64_t *
register_64(unsigned unit, uint64_t offset)
{
  return direct(units[unit].registers + offset);
}

static void
command(unsigned unit, uint32_t bit)
{
  *register_32(unit, COMMAND) = bit | (*register_32(unit, STATUS) & TRANSLATION);
  while (!(*register_32(unit, STATUS) & bit))
    ;
}

static void
write_and_wait(volatile uint64_t *where, uint64_t value)
{
  *where = value;
  while (*where & START)
    ;
}

// The units forget every translation. More than the one page that changed: correct, and simple (6.5.1).
static void
invalidate(void)
{
  for (unsigned i = 0; i < unit_count; i++) {
    if (!(units[i].extended & COHERENT))
      __asm__ volatile("wbinvd" : : : "memory");
    write_and_wait(register_64(i, IOTLB_INVALIDATE(units[i].extended)), IOTLB_INVALIDATE_ALL);
  }
}

// --- Tables ---

// The last-level table for 2 MiB; made, with the same meaning, when the entry maps them as one page.
static uint64_t *
last_level(uint64_t *entry, uint64_t base)
{
  if (!(*entry & READ_WRITE) || (*entry & LARGE)) {
    uint64_t table = monitor_page();
    uint64_t *entries = direct(table);
    for (uint64_t i = 0; i < ENTRIES; i++)
      if (base + i * PAGE_SIZE < launch.memory_end)
        entries[i] = (base + i * PAGE_SIZE) | READ_WRITE;
    *entry = table | READ_WRITE;
  }
  return direct(*entry & ADDRESS);
}

static uint64_t *
entry_of(uint64_t hpa)
{
  uint64_t *entry = &directories[hpa >> 30][hpa >> 21 & (ENTRIES - 1)];
  return &last_level(entry, hpa & ~(LARGE_PAGE_SIZE - 1))[hpa >> 12 & (ENTRIES - 1)];
}

// Identity over RAM, minus the monitor. Device registers are not in it: no device reaches another.
static uint64_t
make_pages(void)
{
  uint64_t top = monitor_page(), pdpt = monitor_page();
  uint64_t end = launch.memory_end < DIRECT_MAP_SIZE ? launch.memory_end : DIRECT_MAP_SIZE;
  ((uint64_t *)direct(top))[0] = pdpt | READ_WRITE;
  for (uint64_t hpa = 0; hpa < end; hpa += LARGE_PAGE_SIZE) {
    if (!directories[hpa >> 30]) {
      uint64_t directory = monitor_page();
      ((uint64_t *)direct(pdpt))[hpa >> 30] = directory | READ_WRITE;
      directories[hpa >> 30] = direct(directory);
    }
    if (hpa + LARGE_PAGE_SIZE <= end)
      directories[hpa >> 30][hpa >> 21 & (ENTRIES - 1)] = hpa | LARGE | READ_WRITE;
    else
      last_level(&directories[hpa >> 30][hpa >> 21 & (ENTRIES - 1)], hpa);
  }
  for (uint64_t hpa = launch.monitor_start; hpa < launch.monitor_end; hpa += PAGE_SIZE)
    *entry_of(hpa) &= ~READ_WRITE;
  return top;
}

// All functions of all buses are in the one domain, so one context table serves every bus.
static uint64_t
make_root(uint64_t pages)
{
  uint64_t root = monitor_page(), contexts = monitor_page();
  for (unsigned bus = 0; bus < BUSES; bus++)
    ((uint64_t *)direct(root))[2 * bus] = contexts | PRESENT;
  for (unsigned function = 0; function < FUNCTIONS; function++) {
    ((uint64_t *)direct(contexts))[2 * function] = pages | PRESENT;
    ((uint64_t *)direct(contexts))[2 * function + 1] = DOMAIN | WIDTH_4_LEVELS;
  }
  return root;
}

// --- Taking the units ---

static void
find_units(void)
{
  const struct acpi_table *dmar = acpi_find("DMAR");
  if (!dmar)
    return;
  const char *end = (const char *)dmar + dmar->length;
  const struct dmar_unit *found = (const void *)((const char *)dmar + DMAR_STRUCTURES);
  for (; (const char *)found < end; found = (const void *)((const char *)found + found->length)) {
    if (found->type != DMAR_UNIT)
      continue;
    if (unit_count == MAX_UNITS)
      panic("iommu: more units than the monitor has room for");
    units[unit_count++].registers = found->registers;
  }
}

static void
start_unit(unsigned unit, uint64_t root)
{
  units[unit].capability = *register_64(unit, CAPABILITY);
  units[unit].extended = *register_64(unit, EXTENDED_CAPABILITY);
  if ((units[unit].capability & NEEDED) != NEEDED)
    panic("iommu: a unit without tables of 4 levels or large pages");
  *register_32(unit, COMMAND) = 0; // whatever it was used for before: with the queue on, registers do not invalidate
  while (*register_32(unit, STATUS) & TRANSLATION)
    ;
  *register_64(unit, ROOT_TABLE) = root;
  command(unit, SET_ROOT_TABLE);
  write_and_wait(register_64(unit, CONTEXT_COMMAND), CONTEXT_INVALIDATE_ALL);
  write_and_wait(register_64(unit, IOTLB_INVALIDATE(units[unit].extended)), IOTLB_INVALIDATE_ALL);
  command(unit, TRANSLATION);
}

// From here on the units are the monitor's, and their registers out of the VMM's sight. After eptx_init.
void
iommu_init(void)
{
  find_units();
  if (unit_count == 0) {
    print("no IOMMU: devices reach every page\n");
    return;
  }
  uint64_t root = make_root(make_pages());
  for (unsigned i = 0; i < unit_count; i++) {
    start_unit(i, root);
    eptx_set(units[i].registers, 0);
  }
  PROBE2(iommu_claimed, units[0].registers, root);
  print("IOMMU at %lx: devices reach the VMM's pages only\n", units[0].registers);
}

// Whether devices may reach a page. In force when this returns.
void
iommu_set(uint64_t hpa, bool reachable)
{
  if (unit_count == 0)
    return;
  uint64_t *entry = entry_of(hpa);
  *entry = reachable ? *entry | READ_WRITE : *entry & ~READ_WRITE;
  invalidate();
}

bool
iommu_owns(uint64_t hpa)
{
  for (unsigned i = 0; i < unit_count; i++)
    if (units[i].registers == (hpa & ~PAGE_MASK))
      return true;
  return false;
}

// --- Faults ---

static void
report(unsigned unit, uint64_t address, uint64_t record)
{
  uint64_t reason = FAULT_REASON(record), source = FAULT_SOURCE(record);
  const char *access = record & FAULT_READ ? "a device reads" : "a device writes";
  const struct page *page = page_of(address);
  PROBE4(dma_refused, address & ~PAGE_MASK, source, reason, access);
  PROBE4(page_refused, address & ~PAGE_MASK, page ? (uint64_t)page->gpa_page * PAGE_SIZE : 0, OWNER_VMM, access);
  print("refused, page %lx: %s it (requester %lx, IOMMU %u, reason %lx)\n", address & ~PAGE_MASK, access, source, unit,
        reason);
}

// DMA that was blocked since the last call. The units would rather tell by an interrupt, which the VMM could mask.
void
iommu_report_faults(void)
{
  for (unsigned i = 0; i < unit_count; i++) {
    if (!(*register_32(i, FAULT_STATUS) & (FAULT_PENDING | FAULT_OVERFLOW)))
      continue;
    for (unsigned n = 0; n < FAULT_RECORDS(units[i].capability); n++) {
      volatile uint64_t *record = register_64(i, FAULT_RECORD(units[i].capability, n));
      uint64_t address = record[0], what = record[1];
      if (!(what & FAULT_VALID))
        continue;
      record[1] = FAULT_VALID; // written as 1 it is free again
      report(i, address, what);
    }
    *register_32(i, FAULT_STATUS) = FAULT_OVERFLOW;
  }
}
