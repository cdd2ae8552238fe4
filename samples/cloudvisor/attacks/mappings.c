// Something else in the place of a page of the guest. If the monitor lets it pass, the guest finds its secret changed;
// else the VMM sees an EPT violation at an address that it has mapped, and puts back what was there.
#include "attacks.h"

#include "../vmm/elf.h"
#include "../vmm/layout.h"
#include "../vmm/memory.h"

#include <print.h>
#include <string.h>
#include <vmx.h>
#include <x86.h>

#define VICTIM 0

static struct {
  const char *name;
  uint64_t gpa, true_page;
} running;

static uint64_t old_version;

static void
put_in_place(struct vm *vm, const char *name, uint64_t page)
{
  running.name = name;
  running.gpa = secret_gpa(vm, VICTIM);
  running.true_page = ept_unmap(vm, running.gpa);
  ept_map(vm, running.gpa, page);
}

// True: the fault was that of a running attack, which has failed.
bool
mapping_fault(struct vm *vm, uint64_t gpa)
{
  if (!running.name || gpa != running.gpa)
    return false;
  ept_map(vm, gpa, running.true_page);
  attack_ended(running.name, true);
  running.name = NULL;
  return true;
}

// The page that the VMM gets back meanwhile is the ciphertext of now: kept for attack_by_old_version.
void
attack_by_own_page(struct vm *vm)
{
  put_in_place(vm, "page of the VMM in place of the guest's", page_allocate());
  old_version = page_allocate();
  memcpy(direct(old_version), direct(running.true_page), PAGE_SIZE);
}

void
attack_by_second_address(struct vm *vm)
{
  uint64_t other = *ept_entry(vm, secret_gpa(vm, VICTIM + 1)) & EPT_ADDRESS;
  put_in_place(vm, "one page at two addresses", other);
}

void
attack_by_monitor_page(struct vm *vm)
{
  unsigned count;
  const struct elf_segment *segments = elf_segments(direct(find_module("monitor")->start), &count);
  put_in_place(vm, "page of the monitor in the guest", segments[count - 1].physical & ~PAGE_MASK);
}

void
attack_by_old_version(struct vm *vm)
{
  put_in_place(vm, "old version of the page", old_version);
}
