// Forwarding an exit: the VMM goes on where it wanted VM exits to arrive. The host state that it wrote, and the monitor
// recorded, becomes the guest state of the VMCS that the VMM runs under, as a VM exit would load it (SDM 3C 27.5).
#include "vmm.h"

#include <vmx.h>
#include <x86.h>

#define FLAT_LIMIT 0xffffffff
#define TSS_LIMIT 0x67
#define TABLE_LIMIT 0xffff

static void
load_segment(enum vmcs_field selector_field, uint64_t selector, uint64_t base, uint64_t limit, uint64_t rights)
{
  unsigned index = (selector_field - GUEST_ES) / 2;
  vmwrite(selector_field, selector);
  vmwrite(GUEST_ES_BASE + 2 * index, base);
  vmwrite(GUEST_ES_LIMIT + 2 * index, limit);
  vmwrite(GUEST_ES_RIGHTS + 2 * index, rights);
}

static void
load_data_segment(enum vmcs_field selector_field, uint64_t selector, uint64_t base)
{
  load_segment(selector_field, selector, base, FLAT_LIMIT, selector ? RIGHTS_DATA : RIGHTS_UNUSABLE);
}

void
vmm_load_host_state(const struct vcpu *vcpu)
{
  const uint64_t *host = vcpu->visible;
  vmwrite(GUEST_CR0, host[AT_HOST_CR0] | CR0_NE);
  vmwrite(CR0_SHADOW, host[AT_HOST_CR0]);
  vmwrite(GUEST_CR3, host[AT_HOST_CR3]);
  vmwrite(GUEST_CR4, host[AT_HOST_CR4] | CR4_VMXE);
  vmwrite(CR4_SHADOW, host[AT_HOST_CR4]);
  if (host[AT_EXIT_CONTROLS] & EXIT_LOAD_EFER)
    vmwrite(GUEST_EFER, host[AT_HOST_EFER]);
  vmwrite(GUEST_SYSENTER_CS, host[AT_HOST_SYSENTER_CS]);
  vmwrite(GUEST_SYSENTER_ESP, host[AT_HOST_SYSENTER_ESP]);
  vmwrite(GUEST_SYSENTER_EIP, host[AT_HOST_SYSENTER_EIP]);
  load_segment(GUEST_CS, host[AT_HOST_CS], 0, FLAT_LIMIT, RIGHTS_CODE_64);
  load_data_segment(GUEST_ES, host[AT_HOST_ES], 0);
  load_data_segment(GUEST_SS, host[AT_HOST_SS], 0);
  load_data_segment(GUEST_DS, host[AT_HOST_DS], 0);
  load_data_segment(GUEST_FS, host[AT_HOST_FS], host[AT_HOST_FS_BASE]);
  load_data_segment(GUEST_GS, host[AT_HOST_GS], host[AT_HOST_GS_BASE]);
  load_segment(GUEST_LDTR, 0, 0, 0, RIGHTS_UNUSABLE);
  load_segment(GUEST_TR, host[AT_HOST_TR], host[AT_HOST_TR_BASE], TSS_LIMIT, RIGHTS_TSS_BUSY);
  vmwrite(GUEST_GDTR_BASE, host[AT_HOST_GDTR_BASE]);
  vmwrite(GUEST_GDTR_LIMIT, TABLE_LIMIT);
  vmwrite(GUEST_IDTR_BASE, host[AT_HOST_IDTR_BASE]);
  vmwrite(GUEST_IDTR_LIMIT, TABLE_LIMIT);
  vmwrite(GUEST_DR7, 0x400);
  vmwrite(GUEST_DEBUGCTL, 0);
  vmwrite(GUEST_RIP, host[AT_HOST_RIP]);
  vmwrite(GUEST_RSP, host[AT_HOST_RSP]);
  vmwrite(GUEST_RFLAGS, RFLAGS_FIXED);
  vmwrite(GUEST_INTERRUPTIBILITY, 0);
  vmwrite(GUEST_PENDING_DEBUG, 0);
}
