// The disk as an accomplice: it reads and writes memory without an instruction of the VMM, so no page table of a processor
// stands in its way.
#include "attacks.h"

#include "../vmm/disk.h"
#include "../vmm/elf.h"
#include "../vmm/layout.h"

#include <vmx.h>
#include <x86.h>

#define IOMMU_REGISTERS 0xfed90000ul // where PCs have their first unit

static void
attack_page(const char *read, const char *write, uint64_t page)
{
  attack_ended(read, !disk_write_page(DISK_SPY_SECTOR, page));
  attack_ended(write, !disk_read_page(DISK_SPY_SECTOR, page));
}

// Only where there is a disk: without one the VMM has no device that could.
void
attack_by_disk(struct vm *vm)
{
  unsigned count;
  if (!disk_present())
    return;
  const struct elf_segment *segments = elf_segments(direct(find_module("monitor")->start), &count);
  attack_page("disk reads the guest's page", "disk writes to the guest's page",
              *ept_entry(vm, secret_gpa(vm, 3)) & EPT_ADDRESS);
  attack_page("disk reads the monitor's memory", "disk writes to the monitor's memory",
              segments[count - 1].physical & ~PAGE_MASK);
  attack_page("disk reads a guest's VMCS", "disk writes to a guest's VMCS", vm->vmcs);
  attack_ended("registers of the IOMMU", !try_load(direct(IOMMU_REGISTERS)));
}
