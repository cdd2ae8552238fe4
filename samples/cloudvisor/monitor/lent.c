// Shadow VMCSs: the VMM lends one to a guest, whose VMREAD and VMWRITE then reach it without an exit (SDM 3C 24.10). Its
// region is the monitor's like every other; the VMM's copy of the fields goes into it at the entry and back at the exit.
// The bitmaps are copied too, since the VMM could change its own at any time.
#include "layout.h"
#include "pages.h"
#include "vmm.h"

#include <string.h>
#include <vmx.h>
#include <x86.h>

bool
lending_possible(void)
{
  return rdmsr(MSR_VMX_SECONDARY_CONTROLS) >> 32 & SECONDARY_SHADOWING;
}

// The link pointer names nothing, or a shadow VMCS of the VMM.
bool
lent_link_allowed(uint64_t link)
{
  const struct vcpu *lent = link ? vcpu_find(link) : NULL;
  return link == NO_VMCS || (lent && lent->shadow);
}

static bool
uses_lent(const struct vcpu *vcpu)
{
  return (vcpu->visible[AT_PROCESSOR_CONTROLS] & PROCESSOR_SECONDARY) &&
         (vcpu->visible[AT_SECONDARY_CONTROLS] & SECONDARY_SHADOWING);
}

static bool
copy_bitmap(struct vcpu *vcpu, unsigned which, uint64_t from)
{
  if ((from & PAGE_MASK) || !page_of(from) || !vmm_owns(from))
    return false;
  if (vcpu->lent_bitmaps[which] == 0)
    vcpu->lent_bitmaps[which] = monitor_page();
  memcpy(direct(vcpu->lent_bitmaps[which]), direct(from), PAGE_SIZE);
  return true;
}

// Before an entry: what VMCS shadowing refers to is the VMM's to lend. False: the entry must not happen.
bool
lend(struct vcpu *vcpu)
{
  if (!lent_link_allowed(vcpu->visible[AT_VMCS_LINK_POINTER]))
    return false;
  return !uses_lent(vcpu) || (copy_bitmap(vcpu, 0, vcpu->visible[AT_VMREAD_BITMAP]) &&
                              copy_bitmap(vcpu, 1, vcpu->visible[AT_VMWRITE_BITMAP]));
}

static struct vcpu *
lent_to(const struct vcpu *vcpu)
{
  uint64_t link = vcpu->visible[AT_VMCS_LINK_POINTER];
  return uses_lent(vcpu) && link != NO_VMCS ? vcpu_find(link) : NULL;
}

// The VMM's copy of the fields goes into the region. The guest's VMCS is current before and after.
void
lent_load(const struct vcpu *vcpu)
{
  const struct vcpu *lent = lent_to(vcpu);
  if (!lent)
    return;
  vmptrld(lent->vmcs);
  for (enum field_index i = 0; i < FIELD_COUNT; i++)
    vmwrite(fields[i].encoding, lent->visible[i]);
  vmclear(lent->vmcs); // so that it is in memory for the processor (SDM 3C 24.10)
  vmptrld(vcpu->vmcs);
}

// And back, with what the guest has written.
void
lent_store(const struct vcpu *vcpu)
{
  struct vcpu *lent = lent_to(vcpu);
  if (!lent)
    return;
  vmptrld(lent->vmcs);
  for (enum field_index i = 0; i < FIELD_COUNT; i++)
    lent->visible[i] = vmread(fields[i].encoding);
  vmclear(lent->vmcs);
  vmptrld(vcpu->vmcs);
}
