// The VMM's memory by its linear addresses: operands of its VMX instructions, its descriptor tables. EPT-x is an
// identity, so the VMM's page tables lead to host-physical addresses at once.
#include "layout.h"
#include "pages.h"
#include "vmm.h"

#include <string.h>
#include <vmx.h>
#include <x86.h>

#define PRESENT 1ul
#define LARGE 0x80ul
#define ADDRESS 0x000ffffffffff000ul

// Four levels of nine bits each (SDM 3A 4.5). Refuses tables and pages that are not the VMM's: the monitor must not be
// led to read or write for it what EPT-x would refuse.
bool
vmm_translate(uint64_t linear, uint64_t *hpa)
{
  uint64_t table = vmread(GUEST_CR3) & ADDRESS;
  for (unsigned shift = 39;; shift -= 9) {
    if (!vmm_owns(table))
      return false;
    uint64_t entry = ((uint64_t *)direct(table))[linear >> shift & 511];
    uint64_t inside = (1ul << shift) - 1;
    if (!(entry & PRESENT))
      return false;
    if (shift == 12 || (shift < 39 && (entry & LARGE))) {
      *hpa = (entry & ADDRESS & ~inside) | (linear & inside);
      return vmm_owns(*hpa);
    }
    table = entry & ADDRESS;
  }
}

static bool
vmm_copy(uint64_t linear, char *buffer, unsigned size, bool write)
{
  while (size > 0) {
    uint64_t hpa, left = PAGE_SIZE - (linear & PAGE_MASK);
    unsigned part = size < left ? size : (unsigned)left;
    if (!vmm_translate(linear, &hpa))
      return false;
    if (write)
      memcpy(direct(hpa), buffer, part);
    else
      memcpy(buffer, direct(hpa), part);
    linear += part, buffer += part, size -= part;
  }
  return true;
}

bool
vmm_read(uint64_t linear, void *to, unsigned size)
{
  return vmm_copy(linear, to, size, false);
}

bool
vmm_write(uint64_t linear, const void *from, unsigned size)
{
  return vmm_copy(linear, (char *)from, size, true);
}
