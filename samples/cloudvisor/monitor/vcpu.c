// Running a guest: check and take back, enter, and at the exit either act alone or disclose and forward.
#include "console.h"
#include "lifecycle.h"
#include "shadow.h"
#include "vmm.h"

#include <print.h>
#include <string.h>
#include <vmx.h>
#include <x86.h>

// The first entry: the guest starts in 64-bit mode with paging, as its image was measured to start. A wrong mode is
// refused, since the image would do something else in it.
static bool
first_state_allowed(const struct vcpu *vcpu)
{
  const uint64_t *v = vcpu->visible;
  const uint64_t cr0 = CR0_PE | CR0_PG, rights_long = 1u << 13;
  return (v[AT_GUEST_CR0] & cr0) == cr0 && (v[AT_GUEST_CR4] & CR4_PAE) && (v[AT_GUEST_EFER] & EFER_LMA) &&
         (v[AT_ENTRY_CONTROLS] & ENTRY_IA32E) && (v[AT_GUEST_CS_RIGHTS] & rights_long);
}

static void
write_actual_state(const struct vcpu *vcpu)
{
  for (enum field_index i = 0; i < FIELD_COUNT; i++)
    if (fields[i].kind == FIELD_GUEST || fields[i].kind == FIELD_GUEST_MODE)
      vmwrite(fields[i].encoding, vcpu->actual[i]);
}

static enum vmx_error
accept_first_state(struct vcpu *vcpu, const struct registers *from_vmm)
{
  if (!first_state_allowed(vcpu)) {
    print("vm %u: entry refused, wrong execution mode at launch\n", vcpu->vm->id);
    return VMX_ERROR_ENTRY_CONTROLS;
  }
  memcpy(vcpu->actual, vcpu->visible, sizeof(vcpu->actual));
  vcpu->registers = *from_vmm;
  write_actual_state(vcpu);
  vm_measure(vcpu->vm);
  return 0;
}

static enum vmx_error
prepare(struct vcpu *vcpu, const struct registers *from_vmm)
{
  enum vmx_error error = controls_apply(vcpu);
  if (error)
    return error;
  if (!vcpu->entered)
    return accept_first_state(vcpu, from_vmm);
  return take_back(vcpu, from_vmm) ? 0 : VMX_ERROR_ENTRY_CONTROLS;
}

// An EPT violation that the monitor settles alone: the VMM has mapped the page, only the shadow lacks it.
static bool
settled_alone(struct vcpu *vcpu)
{
  if ((vmread(EXIT_REASON) & EXIT_REASON_BASIC) != EXIT_EPT_VIOLATION)
    return false;
  uint64_t access = vmread(EXIT_QUALIFICATION) & EPT_ALL; // the same bits as in an entry (table 27-7)
  if (!page_touched_by_guest(vcpu->vm, vmread(GUEST_PHYSICAL_ADDRESS) & ~PAGE_MASK, access))
    return false;
  uint64_t vectoring = vmread(IDT_VECTORING);
  if (vectoring & INTERRUPTION_VALID) { // an event was on its way: it is delivered again (27.2.4)
    vmwrite(ENTRY_INTERRUPTION, vectoring & ~(1ul << 12));
    vmwrite(ENTRY_ERROR_CODE, vmread(IDT_VECTORING_ERROR_CODE));
    vmwrite(ENTRY_INSTRUCTION_LENGTH, vmread(EXIT_INSTRUCTION_LENGTH));
  }
  return true;
}

static enum vmx_error
enter_until_forwarded(struct vcpu *vcpu)
{
  lent_load(vcpu);
  do {
    if (!vm_enter(&vcpu->registers, vcpu->launched))
      return (enum vmx_error)vmread(INSTRUCTION_ERROR);
    vcpu->launched = true;
  } while (settled_alone(vcpu));
  lent_store(vcpu);
  return 0;
}

enum vmx_error
vcpu_run(struct vcpu *vcpu, const struct registers *from_vmm)
{
  vmptrld(vcpu->vmcs);
  enum vmx_error error = prepare(vcpu, from_vmm);
  if (!error)
    error = enter_until_forwarded(vcpu);
  if (!error) {
    vcpu->entered = true;
    disclose(vcpu);
  }
  vmptrld(vmm.vmcs);
  return error;
}
