// The VMM's pager: gives guest pages on demand, and can swap one out and in again.
#include "console.h"
#include "disk.h"
#include "layout.h"
#include "memory.h"
#include "vm.h"

#include <print.h>
#include <string.h>
#include <vmx.h>
#include <x86.h>

#define NOT_SWAPPED (~0ul)

// The one page that may be swapped out. `store` is the swap device where there is no disk.
static struct {
  uint64_t gpa;
  bool returned; // it was mapped again, and the guest has not run on since
  uint64_t page;
  uint64_t store[PAGE_SIZE / 8];
} swapped = { .gpa = NOT_SWAPPED };

static void
store_page(uint64_t page)
{
  if (!disk_present())
    memcpy(swapped.store, direct(page), PAGE_SIZE);
  else if (!disk_write_page(DISK_SWAP_SECTOR, page))
    panic("pager: the swap device cannot be written");
}

// A new page with what the swap device holds.
static uint64_t
load_page(void)
{
  uint64_t page = page_allocate();
  if (!disk_present())
    memcpy(direct(page), swapped.store, PAGE_SIZE);
  else if (!disk_read_page(DISK_SWAP_SECTOR, page))
    panic("pager: the swap device cannot be read");
  return page;
}

// Takes a page from the guest and releases its frame. The processor must forget the translation.
void
pager_swap_out(struct vm *vm, uint64_t gpa)
{
  uint64_t page = ept_unmap(vm, gpa);
  store_page(page);
  swapped.gpa = gpa;
  swapped.returned = false;
  print("swap: page %lx of the guest is on the device, it begins %lx\n", gpa, *(uint64_t *)direct(page));
  page_release(page);
}

// First return: with one bit changed on the way. A second fault on the same page means that it was not accepted.
static void
swap_in(struct vm *vm)
{
  if (!swapped.returned) {
    swapped.page = load_page();
    *(uint64_t *)direct(swapped.page + PAGE_SIZE / 2) ^= 1;
    ept_map(vm, swapped.gpa, swapped.page);
    swapped.returned = true;
    print("swap: returned page %lx with one bit changed\n", swapped.gpa);
    return;
  }
  print("swap: the changed page was not accepted; returning the true one\n");
  page_release(ept_unmap(vm, swapped.gpa));
  swapped.page = load_page();
  ept_map(vm, swapped.gpa, swapped.page);
  swapped.gpa = NOT_SWAPPED;
}

// Whether the guest runs with the page that was changed on the way.
bool
pager_change_accepted(void)
{
  return swapped.gpa != NOT_SWAPPED && swapped.returned;
}

// An EPT violation of the guest. False: the page is there and the access is still refused.
bool
pager_fault(struct vm *vm, uint64_t gpa)
{
  if (gpa == swapped.gpa) {
    swap_in(vm);
    return true;
  }
  if (*ept_entry(vm, gpa) & EPT_ALL)
    return false;
  ept_map(vm, gpa, page_allocate());
  return true;
}
