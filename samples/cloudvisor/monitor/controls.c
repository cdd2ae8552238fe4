// The VM-execution, exit and entry controls of a guest: what the VMM may ask for, and what the monitor makes of it.
#include "console.h"
#include "lifecycle.h"
#include "pages.h"
#include "shadow.h"
#include "vmm.h"

#include <print.h>
#include <vmx.h>
#include <x86.h>

// VT-x as the VMM may have it: no structure in memory that the processor would read or write past the monitor (bitmaps,
// virtual-APIC page, posted interrupts, page-modification log, VMFUNC, #VE), no MSR lists. VMCS shadowing it may have: of
// what that refers to the monitor keeps the pages (lent.c).
#define ALLOWED_PIN (PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS)
#define ALLOWED_PROCESSOR                                                                                              \
  (PROCESSOR_INTERRUPT_WINDOW | PROCESSOR_HLT | PROCESSOR_INVLPG | PROCESSOR_MWAIT | PROCESSOR_RDPMC |                  \
   PROCESSOR_RDTSC | PROCESSOR_CR3_LOAD | PROCESSOR_CR3_STORE | PROCESSOR_CR8_LOAD | PROCESSOR_CR8_STORE |              \
   PROCESSOR_NMI_WINDOW | PROCESSOR_MOV_DR | PROCESSOR_IO | PROCESSOR_MONITOR | PROCESSOR_PAUSE | PROCESSOR_SECONDARY)
#define ALLOWED_SECONDARY                                                                                              \
  (SECONDARY_EPT | SECONDARY_DESCRIPTOR_TABLE | SECONDARY_RDTSCP | SECONDARY_VPID | SECONDARY_WBINVD |                  \
   SECONDARY_UNRESTRICTED | SECONDARY_RDRAND | SECONDARY_INVPCID | SECONDARY_RDSEED | SECONDARY_SHADOWING)
#define ALLOWED_EXIT (EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_ACKNOWLEDGE | EXIT_SAVE_EFER | EXIT_LOAD_EFER)
#define ALLOWED_ENTRY (ENTRY_LOAD_DEBUG | ENTRY_IA32E | ENTRY_LOAD_EFER)

#define TRUE_PAIR(msr) ((msr) + MSR_VMX_TRUE_PIN_CONTROLS - MSR_VMX_PIN_CONTROLS)
#define ONES_ALLOWED(bits) ((uint64_t)(bits) << 32 | 0xffffffff)

bool
controls_is_capability(uint32_t msr)
{
  return msr >= MSR_VMX_BASIC && msr <= MSR_VMX_FUNCTIONS;
}

// A capability MSR as the VMM reads it: the processor's, less the controls that it may not have. Bits that the processor
// forces to 1 stay allowed.
uint64_t
controls_capability(uint32_t msr)
{
  uint64_t value = rdmsr(msr), forced = (value & 0xffffffff) << 32;
  switch (msr) {
  case MSR_VMX_PIN_CONTROLS:
  case TRUE_PAIR(MSR_VMX_PIN_CONTROLS):
    return value & (ONES_ALLOWED(ALLOWED_PIN) | forced);
  case MSR_VMX_PROCESSOR_CONTROLS:
  case TRUE_PAIR(MSR_VMX_PROCESSOR_CONTROLS):
    return value & (ONES_ALLOWED(ALLOWED_PROCESSOR) | forced);
  case MSR_VMX_EXIT_CONTROLS:
  case TRUE_PAIR(MSR_VMX_EXIT_CONTROLS):
    return value & (ONES_ALLOWED(ALLOWED_EXIT) | forced);
  case MSR_VMX_ENTRY_CONTROLS:
  case TRUE_PAIR(MSR_VMX_ENTRY_CONTROLS):
    return value & (ONES_ALLOWED(ALLOWED_ENTRY) | forced);
  case MSR_VMX_SECONDARY_CONTROLS:
    return value & (ONES_ALLOWED(ALLOWED_SECONDARY) | forced);
  case MSR_VMX_FUNCTIONS:
    return 0;
  default:
    return value;
  }
}

// Whether a control field has only bits that are allowed to be 1, and all that must be.
static bool
fits(uint64_t value, uint32_t msr)
{
  if (rdmsr(MSR_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS && msr <= MSR_VMX_ENTRY_CONTROLS)
    msr = TRUE_PAIR(msr);
  uint64_t capability = controls_capability(msr);
  uint32_t must = (uint32_t)capability, may = (uint32_t)(capability >> 32);
  return (value & must) == must && (value & ~(uint64_t)may) == 0;
}

static bool
all_fit(const uint64_t *v)
{
  return fits(v[AT_PIN_CONTROLS], MSR_VMX_PIN_CONTROLS) && fits(v[AT_PROCESSOR_CONTROLS], MSR_VMX_PROCESSOR_CONTROLS) &&
         fits(v[AT_SECONDARY_CONTROLS], MSR_VMX_SECONDARY_CONTROLS) && fits(v[AT_EXIT_CONTROLS], MSR_VMX_EXIT_CONTROLS) &&
         fits(v[AT_ENTRY_CONTROLS], MSR_VMX_ENTRY_CONTROLS) && v[AT_EXIT_MSR_STORE_COUNT] == 0 &&
         v[AT_EXIT_MSR_LOAD_COUNT] == 0 && v[AT_ENTRY_MSR_LOAD_COUNT] == 0;
}

// Only a guest with its own EPT, its own VPID and 64-bit exits can be protected.
static bool
protectable(const uint64_t *v)
{
  const uint64_t needed = SECONDARY_EPT | SECONDARY_VPID;
  return (v[AT_PROCESSOR_CONTROLS] & PROCESSOR_SECONDARY) && (v[AT_SECONDARY_CONTROLS] & needed) == needed &&
         v[AT_VPID] != 0 && (v[AT_EXIT_CONTROLS] & EXIT_HOST_64) && (v[AT_ENTRY_CONTROLS] & ENTRY_LOAD_EFER);
}

// The EPT pointer names the VM. It must be well formed, in the VMM's memory, and stay the same for a VCPU.
static bool
bind_vm(struct vcpu *vcpu)
{
  uint64_t pointer = vcpu->visible[AT_EPT_POINTER], root = pointer & EPT_ADDRESS;
  if ((pointer & PAGE_MASK) != (EPTP_WALK_4 | EPTP_WRITE_BACK) || !vmm_owns(root))
    return false;
  if (vcpu->vm)
    return vcpu->vm->vmm_root == root;
  struct vm *vm = vm_of_root(root);
  if (!vm || vm->vcpu)
    return false;
  vm->vcpu = vcpu;
  vcpu->vm = vm;
  return true;
}

// The VMM may raise external interrupts, and what the guest's interrupted event delivery left over. Anything else could
// be a forged exception.
static bool
injection_allowed(const struct vcpu *vcpu)
{
  uint64_t injected = vcpu->visible[AT_ENTRY_INTERRUPTION];
  if (!(injected & INTERRUPTION_VALID) || INTERRUPTION_TYPE(injected) == 0)
    return true;
  return injected == (vcpu->visible[AT_IDT_VECTORING] & ~(1ul << 12));
}

// Where the real value differs from the VMM's wish: the monitor's exits are as it wants them, the guest's I/O is always
// parsed, and what the processor keeps up to date by itself is not turned back.
static uint64_t
merged(const struct vcpu *vcpu, enum field_index index)
{
  uint64_t wish = vcpu->visible[index];
  switch (index) {
  case AT_EXIT_CONTROLS:
    return wish | EXIT_HOST_64 | EXIT_SAVE_EFER | EXIT_LOAD_EFER;
  case AT_ENTRY_CONTROLS:
    return vcpu->entered ? (wish & ~(uint64_t)ENTRY_IA32E) | (vmread(ENTRY_CONTROLS) & ENTRY_IA32E) : wish;
  case AT_PROCESSOR_CONTROLS:
    return wish | PROCESSOR_IO;
  case AT_EPT_POINTER:
    return shadow_pointer(vcpu->vm);
  case AT_VMREAD_BITMAP:
    return vcpu->lent_bitmaps[0];
  case AT_VMWRITE_BITMAP:
    return vcpu->lent_bitmaps[1];
  case AT_CR4_MASK:
    return wish | CR4_VMXE;
  default:
    return wish;
  }
}

// Checks what the VMM wrote and puts it into the real VMCS, which is current. 0, or the error that VM entry reports.
enum vmx_error
controls_apply(struct vcpu *vcpu)
{
  if (!all_fit(vcpu->visible) || !protectable(vcpu->visible) || !injection_allowed(vcpu) || !bind_vm(vcpu) ||
      !lend(vcpu)) {
    print("vcpu %lx: entry refused, its controls would bypass the monitor\n", vcpu->vmcs);
    return VMX_ERROR_ENTRY_CONTROLS;
  }
  for (enum field_index i = 0; i < FIELD_COUNT; i++)
    if (fields[i].kind == FIELD_CONTROL)
      vmwrite(fields[i].encoding, merged(vcpu, i));
  return 0;
}
