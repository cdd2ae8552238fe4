// The tables of VMs and of their virtual CPUs.
#include "console.h"
#include "layout.h"
#include "lifecycle.h"
#include "pages.h"
#include "random.h"
#include "reach.h"
#include "shadow.h"
#include "vmm.h"

#include <print.h>
#include <probe.h>
#include <string.h>
#include <vmx.h>
#include <x86.h>

static struct vm vms[MAX_VMS];
static struct vcpu vcpus[MAX_VCPUS];
static uint8_t keys[MAX_VMS][KEY_SIZE]; // by themselves: what must never leave has a name

// The VM whose EPT-vm begins at this page. It is made when there is none; NULL when the table is full.
struct vm *
vm_of_root(uint64_t vmm_root)
{
  struct vm *free = NULL;
  for (unsigned i = 0; i < MAX_VMS; i++) {
    if (vms[i].id != 0 && vms[i].vmm_root == vmm_root)
      return &vms[i];
    if (vms[i].id == 0 && !free)
      free = &vms[i];
  }
  if (!free)
    return NULL;
  free->id = (unsigned)(free - vms) + 1;
  free->vmm_root = vmm_root;
  if (free->shadow_root == 0)
    free->shadow_root = monitor_page();
  free->key = keys[free - vms];
  random_bytes(free->key, KEY_SIZE);
  PROBE1(vm_created, free->id);
  return free;
}

struct vm *
vm_by_id(unsigned id)
{
  return id >= 1 && id <= MAX_VMS && vms[id - 1].id ? &vms[id - 1] : NULL;
}

// The VCPU whose VMCS lies at this address; NULL when the VMM has not made it current yet.
struct vcpu *
vcpu_find(uint64_t vmcs)
{
  for (unsigned i = 0; i < MAX_VCPUS; i++)
    if (vcpus[i].vmcs == vmcs)
      return &vcpus[i];
  return NULL;
}

// Takes the region away from the VMM and makes it the real VMCS of a new VCPU. NULL: the table is full.
struct vcpu *
vcpu_create(uint64_t vmcs, bool shadow)
{
  struct vcpu *vcpu = vcpu_find(0);
  if (!vcpu)
    return NULL;
  reach_set(vmcs, 0);
  page_set_owner(vmcs, 0, OWNER_MONITOR);
  memset(direct(vmcs), 0, PAGE_SIZE);
  *(uint32_t *)direct(vmcs) = VMX_BASIC_REVISION(rdmsr(MSR_VMX_BASIC)) | (shadow ? SHADOW_VMCS : 0);
  memset(vcpu, 0, sizeof(*vcpu));
  vcpu->vmcs = vmcs;
  vcpu->shadow = shadow;
  vmclear(vmcs);
  if (shadow)
    return vcpu;
  vmptrld(vmcs);
  write_monitor_host_state();
  vmptrld(vmm.vmcs);
  return vcpu;
}

// The end of every VM: nothing of it stays readable when its pages go back to the VMM.
void
vms_destroy(void)
{
  for (unsigned i = 0; i < MAX_VCPUS; i++) {
    if (vcpus[i].vmcs == 0)
      continue;
    vmclear(vcpus[i].vmcs);
    memset(direct(vcpus[i].vmcs), 0, PAGE_SIZE);
    page_set_owner(vcpus[i].vmcs, 0, OWNER_VMM);
    reach_set(vcpus[i].vmcs, EPT_ALL);
    memset(&vcpus[i], 0, sizeof(vcpus[i]));
  }
  for (unsigned i = 0; i < MAX_VMS; i++) {
    if (vms[i].id == 0)
      continue;
    print("vm %u destroyed: its pages are scrubbed\n", vms[i].id);
    vm_scrub(&vms[i]);
    vms[i].id = 0;
    vms[i].vcpu = NULL;
    memset(vms[i].key, 0, KEY_SIZE);
  }
}
