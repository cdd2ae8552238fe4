// Two tables for each guest: the VMM's, read here and nowhere trusted, and the shadow, in the monitor's memory.
//
// The policy ends at this file's interface. Another one (the VMM's table write-protected, each store validated) would
// keep vmm_mapping and replace the shadow.
#include "shadow.h"

#include "layout.h"
#include "lifecycle.h"
#include "pages.h"

#include <vmx.h>
#include <x86.h>

#define TOP_LEVEL 3
#define ENTRIES 512
#define SHIFT(level) (12 + 9 * (level))
#define INDEX(gpa, level) ((gpa) >> SHIFT(level) & (ENTRIES - 1))

uint64_t
shadow_pointer(const struct vm *vm)
{
  return vm->shadow_root | EPTP_WALK_4 | EPTP_WRITE_BACK;
}

void
shadow_invalidate(const struct vm *vm)
{
  invept(INVEPT_SINGLE, shadow_pointer(vm));
}

// The last-level entry of a guest-physical page in the shadow; tables on the way are made.
uint64_t *
shadow_entry(struct vm *vm, uint64_t gpa)
{
  uint64_t *table = direct(vm->shadow_root);
  for (int level = TOP_LEVEL; level > 0; level--) {
    uint64_t *entry = &table[INDEX(gpa, level)];
    if (!(*entry & EPT_ALL))
      *entry = monitor_page() | EPT_ALL;
    table = direct(*entry & EPT_ADDRESS);
  }
  return &table[INDEX(gpa, 0)];
}

static void
each_bound(struct vm *vm, uint64_t *table, int level, uint64_t gpa,
           void (*visit)(struct vm *vm, uint64_t gpa, uint64_t *entry))
{
  for (uint64_t i = 0; i < ENTRIES; i++) {
    uint64_t at = gpa + (i << SHIFT(level));
    if (level == 0 && (table[i] & SHADOW_BOUND))
      visit(vm, at, &table[i]);
    else if (level > 0 && (table[i] & EPT_ALL))
      each_bound(vm, direct(table[i] & EPT_ADDRESS), level - 1, at, visit);
  }
}

// Calls `visit` for every page that is bound to an address of the guest.
void
shadow_each(struct vm *vm, void (*visit)(struct vm *vm, uint64_t gpa, uint64_t *entry))
{
  each_bound(vm, direct(vm->shadow_root), TOP_LEVEL, 0, visit);
}

// What the VMM's table says about a guest-physical page. Only tables in the VMM's own memory count.
bool
vmm_mapping(const struct vm *vm, uint64_t gpa, struct mapping *mapping)
{
  uint64_t table = vm->vmm_root, rights = EPT_ALL;
  for (int level = TOP_LEVEL; level >= 0; level--) {
    if (!vmm_owns(table))
      return false;
    uint64_t entry = ((uint64_t *)direct(table))[INDEX(gpa, level)];
    rights &= entry;
    if (!(rights & EPT_ALL))
      return false;
    if (level == 0 || (level < TOP_LEVEL && (entry & EPT_LARGE))) {
      uint64_t inside = (1ul << SHIFT(level)) - 1;
      mapping->hpa = ((entry & EPT_ADDRESS & ~inside) | (gpa & inside)) & ~PAGE_MASK;
      mapping->rights = rights;
      return true;
    }
    table = entry & EPT_ADDRESS;
  }
  return false;
}

static void
each_mapping(struct vm *vm, uint64_t table, int level, uint64_t gpa, void (*visit)(struct vm *vm, uint64_t gpa))
{
  if (!vmm_owns(table))
    return;
  const uint64_t *entries = direct(table);
  for (uint64_t i = 0; i < ENTRIES; i++) {
    uint64_t at = gpa + (i << SHIFT(level));
    if (!(entries[i] & EPT_ALL))
      continue;
    if (level == 0)
      visit(vm, at);
    else if (level < TOP_LEVEL && (entries[i] & EPT_LARGE))
      for (uint64_t offset = 0; offset < 1ul << SHIFT(level); offset += PAGE_SIZE)
        visit(vm, at + offset);
    else
      each_mapping(vm, entries[i] & EPT_ADDRESS, level - 1, at, visit);
  }
}

// Calls `visit` for every page that the VMM's table maps, in the order of their addresses.
void
vmm_mappings_each(struct vm *vm, void (*visit)(struct vm *vm, uint64_t gpa))
{
  each_mapping(vm, vm->vmm_root, TOP_LEVEL, 0, visit);
}

static void
synchronize_entry(struct vm *vm, uint64_t gpa, uint64_t *entry)
{
  struct mapping mapping;
  if (!vmm_mapping(vm, gpa, &mapping) || mapping.hpa != (*entry & EPT_ADDRESS))
    page_take_away(vm, gpa, "unmapped by the VMM");
  else if (*entry & EPT_ALL)
    *entry = (*entry & ~EPT_ALL) | (mapping.rights & EPT_ALL);
}

// The VMM has executed INVEPT: what it has unmapped since is taken from the guest.
void
shadow_synchronize(struct vm *vm)
{
  shadow_each(vm, synchronize_entry);
  shadow_invalidate(vm);
}
