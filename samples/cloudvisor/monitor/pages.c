// Ownership of physical pages, and the pages that the monitor uses itself.
#include "pages.h"

#include "captured.h"
#include "console.h"
#include "layout.h"

#include <probe.h>
#include <string.h>

// RAM above this stays the VMM's: no guest may have it.
#define TRACKED_MEMORY (512ul << 20)
#define TRACKED_PAGES (TRACKED_MEMORY / PAGE_SIZE)
#define POOL_PAGES 256

static struct page pages[TRACKED_PAGES];
static char pool[POOL_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static unsigned pool_used;

// At launch everything belongs to the VMM, but for the monitor itself.
void
pages_init(void)
{
  for (uint64_t hpa = launch.monitor_start; hpa < launch.monitor_end; hpa += PAGE_SIZE)
    pages[hpa / PAGE_SIZE].owner = OWNER_MONITOR;
}

// The entry of a page; NULL when it is no RAM that can be owned.
struct page *
page_of(uint64_t hpa)
{
  return hpa < TRACKED_MEMORY && hpa < launch.memory_end ? &pages[hpa / PAGE_SIZE] : NULL;
}

bool
vmm_owns(uint64_t hpa)
{
  const struct page *page = page_of(hpa);
  return page ? page->owner == OWNER_VMM : hpa < DIRECT_MAP_SIZE;
}

// Changes the owner. `gpa` is where a VM has the page, or had it.
void
page_set_owner(uint64_t hpa, uint64_t gpa, unsigned owner)
{
  struct page *page = page_of(hpa);
  PROBE4(page_owner, hpa, gpa, page->owner, owner);
  page->owner = (uint8_t)owner;
  page->state = PAGE_PLAIN;
  page->gpa_page = (uint32_t)(gpa / PAGE_SIZE);
}

// A page of zeros for the monitor's own tables, by its physical address.
uint64_t
monitor_page(void)
{
  if (pool_used == POOL_PAGES)
    panic("monitor_page: out of memory");
  return physical(pool[pool_used++]);
}
