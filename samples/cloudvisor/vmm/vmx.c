// VT-x as the VMM uses it: entering VMX operation, and the VMCS of a guest.
#include "console.h"
#include "layout.h"
#include "memory.h"
#include "traps.h"
#include "vm.h"

#include <print.h>
#include <vmx.h>
#include <x86.h>

#define CPUID_VMX (1u << 5)
#define GUEST_VPID 1

// VMXON region and VMCS begin with the revision that the processor wants (24.2).
static uint64_t
region_create(void)
{
  uint64_t region = page_allocate();
  *(uint32_t *)direct(region) = VMX_BASIC_REVISION(rdmsr(MSR_VMX_BASIC));
  return region;
}

// Firmware may have left VMX undecided; once locked, the MSR is final (23.7).
static void
allow_vmxon(void)
{
  uint64_t control = rdmsr(MSR_FEATURE_CONTROL);
  if (!(control & FEATURE_CONTROL_LOCKED))
    wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_CONTROL_VMXON | FEATURE_CONTROL_LOCKED);
  else if (!(control & FEATURE_CONTROL_VMXON))
    panic("vmx: disabled by the firmware");
}

// Enters VMX operation: CR4.VMXE, control registers as the capability MSRs want them, VMXON (23.7, 23.8).
void
vmx_enable(void)
{
  if (!(cpuid(1, 0).ecx & CPUID_VMX))
    panic("vmx: this processor has no VT-x");
  allow_vmxon();
  write_cr0((read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0)) & rdmsr(MSR_VMX_CR0_FIXED1));
  write_cr4((read_cr4() | CR4_VMXE | rdmsr(MSR_VMX_CR4_FIXED0)) & rdmsr(MSR_VMX_CR4_FIXED1));
  if (!vmxon(region_create()))
    panic("vmx: VMXON failed");
}

// Leaves VMX operation: no guest can run any more.
void
vmx_disable(void)
{
  if (!vmxoff())
    panic("vmx: VMXOFF failed");
}

// The wanted controls with the bits that the processor forces; all wanted ones must be allowed (appendix A.3).
static uint32_t
controls(uint32_t msr, uint32_t wanted)
{
  bool has_true = rdmsr(MSR_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS;
  if (has_true && msr <= MSR_VMX_ENTRY_CONTROLS)
    msr += MSR_VMX_TRUE_PIN_CONTROLS - MSR_VMX_PIN_CONTROLS;
  uint64_t allowed = rdmsr(msr);
  if (wanted & ~(uint32_t)(allowed >> 32))
    panic("vmx: a control that the VMM needs is missing");
  return wanted | (uint32_t)allowed;
}

static void
write_field(enum vmcs_field field, uint64_t value)
{
  if (vmwrite(field, value))
    return;
  print("vmwrite: field %x, error %lu\n", field, vmread(INSTRUCTION_ERROR));
  panic("vmx: VMWRITE failed");
}

static void
write_controls(const struct vm *vm)
{
  write_field(PIN_CONTROLS, controls(MSR_VMX_PIN_CONTROLS, PIN_EXTERNAL_INTERRUPT));
  write_field(PROCESSOR_CONTROLS,
              controls(MSR_VMX_PROCESSOR_CONTROLS, PROCESSOR_HLT | PROCESSOR_IO | PROCESSOR_SECONDARY));
  write_field(SECONDARY_CONTROLS, controls(MSR_VMX_SECONDARY_CONTROLS, SECONDARY_EPT | SECONDARY_VPID));
  write_field(EXIT_CONTROLS, controls(MSR_VMX_EXIT_CONTROLS, EXIT_HOST_64 | EXIT_SAVE_EFER | EXIT_LOAD_EFER));
  write_field(ENTRY_CONTROLS, controls(MSR_VMX_ENTRY_CONTROLS, ENTRY_IA32E | ENTRY_LOAD_EFER));
  write_field(EXCEPTION_BITMAP, 0);
  write_field(PAGE_FAULT_MASK, 0);
  write_field(PAGE_FAULT_MATCH, 0);
  write_field(CR3_TARGET_COUNT, 0);
  write_field(EXIT_MSR_STORE_COUNT, 0);
  write_field(EXIT_MSR_LOAD_COUNT, 0);
  write_field(ENTRY_MSR_LOAD_COUNT, 0);
  write_field(ENTRY_INTERRUPTION, 0);
  write_field(CR0_MASK, 0);
  write_field(CR4_MASK, CR4_VMXE); // VMX operation keeps CR4.VMXE set; the guest reads it as clear
  write_field(CR4_SHADOW, CR4_PAE);
  write_field(EPT_POINTER, ept_pointer(vm));
  write_field(VPID, GUEST_VPID);
  write_field(VMCS_LINK_POINTER, ~0ul);
}

// Where the processor goes on at a VM exit (24.5). vm_enter adds the host RSP.
static void
write_host_state(void)
{
  struct table_register gdtr, idtr;
  __asm__ volatile("sgdt %0" : "=m"(gdtr));
  __asm__ volatile("sidt %0" : "=m"(idtr));
  write_field(HOST_ES, DATA_SELECTOR);
  write_field(HOST_CS, CODE_SELECTOR);
  write_field(HOST_SS, DATA_SELECTOR);
  write_field(HOST_DS, DATA_SELECTOR);
  write_field(HOST_FS, 0);
  write_field(HOST_GS, 0);
  write_field(HOST_TR, TSS_SELECTOR);
  write_field(HOST_FS_BASE, 0);
  write_field(HOST_GS_BASE, 0);
  uint64_t tss_low = *(uint64_t *)(gdtr.base + TSS_SELECTOR), tss_high = *(uint64_t *)(gdtr.base + TSS_SELECTOR + 8);
  write_field(HOST_TR_BASE, (tss_low >> 16 & 0xffffff) | (tss_low >> 56) << 24 | tss_high << 32);
  write_field(HOST_GDTR_BASE, gdtr.base);
  write_field(HOST_IDTR_BASE, idtr.base);
  write_field(HOST_CR0, read_cr0());
  write_field(HOST_CR3, read_cr3());
  write_field(HOST_CR4, read_cr4());
  write_field(HOST_EFER, rdmsr(MSR_EFER));
  write_field(HOST_SYSENTER_CS, 0);
  write_field(HOST_SYSENTER_ESP, 0);
  write_field(HOST_SYSENTER_EIP, 0);
  write_field(HOST_RIP, (uint64_t)vm_exit);
}

static void
write_guest_segment(enum vmcs_field selector, uint16_t value, uint32_t limit, uint32_t rights)
{
  unsigned index = (selector - GUEST_ES) / 2;
  write_field(selector, value);
  write_field(GUEST_ES_LIMIT + 2 * index, limit);
  write_field(GUEST_ES_RIGHTS + 2 * index, rights);
  write_field(GUEST_ES_BASE + 2 * index, 0);
}

// A guest starts in 64-bit mode with flat segments, paging on, interrupts off.
static void
write_guest_state(uint64_t rip, uint64_t rsp, uint64_t cr3)
{
  write_guest_segment(GUEST_ES, DATA_SELECTOR, ~0u, RIGHTS_DATA);
  write_guest_segment(GUEST_CS, CODE_SELECTOR, ~0u, RIGHTS_CODE_64);
  write_guest_segment(GUEST_SS, DATA_SELECTOR, ~0u, RIGHTS_DATA);
  write_guest_segment(GUEST_DS, DATA_SELECTOR, ~0u, RIGHTS_DATA);
  write_guest_segment(GUEST_FS, 0, 0, RIGHTS_UNUSABLE);
  write_guest_segment(GUEST_GS, 0, 0, RIGHTS_UNUSABLE);
  write_guest_segment(GUEST_LDTR, 0, 0, RIGHTS_UNUSABLE);
  write_guest_segment(GUEST_TR, TSS_SELECTOR, 0x67, RIGHTS_TSS_BUSY);
  write_field(GUEST_GDTR_BASE, 0);
  write_field(GUEST_GDTR_LIMIT, 0);
  write_field(GUEST_IDTR_BASE, 0);
  write_field(GUEST_IDTR_LIMIT, 0);
  write_field(GUEST_CR0, (CR0_PG | CR0_WP | CR0_NE | CR0_PE | rdmsr(MSR_VMX_CR0_FIXED0)) & rdmsr(MSR_VMX_CR0_FIXED1));
  write_field(GUEST_CR3, cr3);
  write_field(GUEST_CR4, (CR4_PAE | rdmsr(MSR_VMX_CR4_FIXED0)) & rdmsr(MSR_VMX_CR4_FIXED1));
  write_field(GUEST_EFER, EFER_LME | EFER_LMA);
  write_field(GUEST_DR7, 0x400);
  write_field(GUEST_RIP, rip);
  write_field(GUEST_RSP, rsp);
  write_field(GUEST_RFLAGS, RFLAGS_FIXED);
  write_field(GUEST_INTERRUPTIBILITY, 0);
  write_field(GUEST_ACTIVITY, 0);
  write_field(GUEST_PENDING_DEBUG, 0);
  write_field(GUEST_DEBUGCTL, 0);
  write_field(GUEST_SYSENTER_CS, 0);
  write_field(GUEST_SYSENTER_ESP, 0);
  write_field(GUEST_SYSENTER_EIP, 0);
}

void
vmcs_create(struct vm *vm, uint64_t rip, uint64_t rsp, uint64_t cr3)
{
  vm->vmcs = region_create();
  if (!vmclear(vm->vmcs) || !vmptrld(vm->vmcs))
    panic("vmx: the VMCS cannot be made current");
  write_controls(vm);
  write_host_state();
  write_guest_state(rip, rsp, cr3);
}

// Runs the guest until it has finished.
void
vm_run(struct vm *vm)
{
  while (!vm->finished) {
    if (!vm_enter(&vm->registers, vm->launched)) {
      print("VM entry refused, VMX instruction error %lu\n", vmread(INSTRUCTION_ERROR));
      if (!adversary_withdraw())
        panic("vm_run: the guest cannot be entered");
      continue;
    }
    vm->launched = true;
    vm->exits++;
    vm_handle_exit(vm);
  }
}
