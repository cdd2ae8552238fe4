// The guest's extended page tables (SDM 3C 28.2.2): four levels of 512 entries, nine bits of the address each.
//
//   gpa   47..39   38..30   29..21   20..12   11..0
//         PML4E    PDPTE    PDE      PTE      byte
#include "layout.h"
#include "memory.h"
#include "vm.h"

#include <vmx.h>
#include <x86.h>

#define LEVELS 4
#define INDEX(gpa, level) ((gpa) >> (12 + 9 * (level)) & 511)

// The last-level entry of a guest-physical address; tables on the way are made.
uint64_t *
ept_entry(struct vm *vm, uint64_t gpa)
{
  uint64_t *table = direct(vm->ept_root);
  for (int level = LEVELS - 1; level > 0; level--) {
    uint64_t *entry = &table[INDEX(gpa, level)];
    if (!(*entry & EPT_ALL))
      *entry = page_allocate() | EPT_ALL;
    table = direct(*entry & EPT_ADDRESS);
  }
  return &table[INDEX(gpa, 0)];
}

void
ept_map(struct vm *vm, uint64_t gpa, uint64_t page)
{
  *ept_entry(vm, gpa) = page | EPT_WRITE_BACK | EPT_ALL;
}

// Takes the page away, also from the processor's caches of translations, and returns it; 0 when none was mapped.
uint64_t
ept_unmap(struct vm *vm, uint64_t gpa)
{
  uint64_t *entry = ept_entry(vm, gpa);
  uint64_t page = *entry & EPT_ADDRESS;
  *entry = 0;
  invept(INVEPT_SINGLE, ept_pointer(vm));
  return page;
}

uint64_t
ept_pointer(const struct vm *vm)
{
  return vm->ept_root | EPTP_WALK_4 | EPTP_WRITE_BACK;
}
