// The VMX instructions of the VMM: none of them reaches the processor's VMX state, each acts on the monitor's records.
#include "console.h"
#include "layout.h"
#include "lifecycle.h"
#include "pages.h"
#include "shadow.h"
#include "vmm.h"
#include "vmx_operands.h"

#include <print.h>
#include <vmx.h>
#include <x86.h>

#define VECTOR_INVALID_OPCODE 6
#define STATUS_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

// --- How an instruction ends (SDM 3C 30.2) ---

static void
end_with(uint64_t flags)
{
  vmwrite(GUEST_RFLAGS, (vmread(GUEST_RFLAGS) & ~STATUS_FLAGS) | flags);
  vmm_next_instruction();
}

static void
succeed(void)
{
  end_with(0);
}

static void
fail_invalid(void)
{
  end_with(RFLAGS_CF);
}

static void
fail(enum vmx_error error)
{
  if (!vmm.current) {
    fail_invalid();
    return;
  }
  vmm.current->visible[AT_INSTRUCTION_ERROR] = error;
  end_with(RFLAGS_ZF);
}

// --- The instructions ---

static bool
read_region(uint64_t *region)
{
  return operand_read(region, sizeof(*region));
}

static bool
region_acceptable(uint64_t region)
{
  return region != 0 && !(region & PAGE_MASK) && page_of(region) && vmm_owns(region);
}

static void
emulate_vmxon(void)
{
  uint64_t region;
  if (!read_region(&region))
    return;
  if (vmm.vmx_operation) {
    fail(VMX_ERROR_VMXON_IN_ROOT);
  } else if (!region_acceptable(region)) {
    fail_invalid();
  } else {
    vmm.vmx_operation = true;
    vmm.vmxon_region = region;
    succeed();
  }
}

// The VMM leaves VMX operation: no guest can run any more, so every VM ends.
static void
emulate_vmxoff(void)
{
  vmm.vmx_operation = false;
  vmm.current = NULL;
  vms_destroy();
  succeed();
}

// Only the launch state counts: the data stay with the monitor, which keeps the region.
static void
emulate_vmclear(void)
{
  uint64_t region;
  if (!read_region(&region))
    return;
  struct vcpu *vcpu = region ? vcpu_find(region) : NULL;
  if (region == vmm.vmxon_region) {
    fail(VMX_ERROR_VMCLEAR_VMXON);
  } else if (!vcpu && !region_acceptable(region)) {
    fail(VMX_ERROR_VMCLEAR_ADDRESS);
  } else {
    if (vcpu)
      vcpu->vmm_launched = false;
    if (vcpu && vcpu == vmm.current)
      vmm.current = NULL;
    succeed();
  }
}

static void
emulate_vmptrld(void)
{
  uint64_t region;
  if (!read_region(&region))
    return;
  struct vcpu *vcpu = region ? vcpu_find(region) : NULL;
  if (!vcpu) {
    if (region == vmm.vmxon_region) {
      fail(VMX_ERROR_VMPTRLD_VMXON);
      return;
    }
    if (!region_acceptable(region)) {
      fail(VMX_ERROR_VMPTRLD_ADDRESS);
      return;
    }
    uint32_t revision = *(uint32_t *)direct(region);
    bool shadow = revision & SHADOW_VMCS;
    if ((revision & ~SHADOW_VMCS) != VMX_BASIC_REVISION(rdmsr(MSR_VMX_BASIC)) || (shadow && !lending_possible())) {
      fail(VMX_ERROR_VMPTRLD_REVISION);
      return;
    }
    vcpu = vcpu_create(region, shadow);
  }
  if (!vcpu) {
    fail(VMX_ERROR_VMPTRLD_ADDRESS);
    return;
  }
  vmm.current = vcpu;
  succeed();
}

static void
emulate_vmptrst(void)
{
  uint64_t region = vmm.current ? vmm.current->vmcs : NO_VMCS;
  if (operand_write(&region, sizeof(region)))
    succeed();
}

// The field that VMREAD or VMWRITE names by a register; -1: there is none such, and the instruction has ended.
static int
named_field(uint64_t information)
{
  if (!vmm.current) {
    fail_invalid();
    return -1;
  }
  int index = field_find(vmm.registers.number[OPERAND_REGISTER_2(information)]);
  if (index < 0)
    fail(VMX_ERROR_UNSUPPORTED_FIELD);
  return index;
}

static void
emulate_vmread(void)
{
  uint64_t information = vmread(EXIT_INSTRUCTION_INFORMATION);
  int index = named_field(information);
  if (index < 0)
    return;
  uint64_t value = vmm.current->visible[index];
  if (OPERAND_IS_REGISTER(information)) {
    unsigned number = OPERAND_REGISTER_1(information);
    vmm.registers.number[number] = value;
    if (number == 4)
      vmwrite(GUEST_RSP, value);
  } else if (!operand_write(&value, sizeof(value))) {
    return;
  }
  succeed();
}

static void
emulate_vmwrite(void)
{
  uint64_t information = vmread(EXIT_INSTRUCTION_INFORMATION);
  int index = named_field(information);
  uint64_t value;
  if (index < 0)
    return;
  if (OPERAND_IS_REGISTER(information))
    value = vmm.registers.number[OPERAND_REGISTER_1(information)];
  else if (!operand_read(&value, sizeof(value)))
    return;
  if (fields[index].kind == FIELD_INFORMATION) {
    fail(VMX_ERROR_READ_ONLY_FIELD);
    return;
  }
  vmm.current->visible[index] = value;
  succeed();
}

// VMLAUNCH and VMRESUME: the guest runs here, until an exit that the VMM must see.
static void
emulate_entry(bool resume)
{
  struct vcpu *vcpu = vmm.current;
  if (!vcpu || vcpu->shadow) {
    fail_invalid();
    return;
  }
  if (resume != vcpu->vmm_launched) {
    fail(resume ? VMX_ERROR_RESUME_NOT_LAUNCHED : VMX_ERROR_LAUNCH_NOT_CLEAR);
    return;
  }
  enum vmx_error error = vcpu_run(vcpu, &vmm.registers);
  if (error) {
    fail(error);
    return;
  }
  vcpu->vmm_launched = true;
  vmm_load_host_state(vcpu);
  disclosed_registers(vcpu, &vmm.registers);
}

// The VMM has changed a table of a guest: now the shadows must follow. The processor forgets all it knows.
static void
emulate_invept(void)
{
  struct invalidate_descriptor descriptor;
  uint64_t type = vmm.registers.number[OPERAND_REGISTER_2(vmread(EXIT_INSTRUCTION_INFORMATION))];
  if (!operand_read(&descriptor, sizeof(descriptor)))
    return;
  if (type != INVEPT_SINGLE && type != INVEPT_ALL) {
    fail(VMX_ERROR_INVALIDATE_OPERAND);
    return;
  }
  for (unsigned id = 1; id <= MAX_VMS; id++)
    if (vm_by_id(id))
      shadow_synchronize(vm_by_id(id));
  invept(INVEPT_ALL, 0);
  succeed();
}

static void
emulate_invvpid(void)
{
  struct invalidate_descriptor descriptor;
  if (!operand_read(&descriptor, sizeof(descriptor)))
    return;
  invvpid(INVVPID_ALL, 0); // more than asked for is always correct
  succeed();
}

void
emulate_vmx(uint32_t reason)
{
  bool privileged = (vmread(GUEST_SS_RIGHTS) >> 5 & 3) == 0;
  if (!privileged) {
    vmm_inject(VECTOR_GENERAL_PROTECTION, true, 0);
    return;
  }
  if (!vmm.vmx_operation && reason != EXIT_VMXON) {
    vmm_inject(VECTOR_INVALID_OPCODE, false, 0);
    return;
  }
  switch (reason) {
  case EXIT_VMXON:
    emulate_vmxon();
    break;
  case EXIT_VMXOFF:
    emulate_vmxoff();
    break;
  case EXIT_VMCLEAR:
    emulate_vmclear();
    break;
  case EXIT_VMPTRLD:
    emulate_vmptrld();
    break;
  case EXIT_VMPTRST:
    emulate_vmptrst();
    break;
  case EXIT_VMREAD:
    emulate_vmread();
    break;
  case EXIT_VMWRITE:
    emulate_vmwrite();
    break;
  case EXIT_VMLAUNCH:
    emulate_entry(false);
    break;
  case EXIT_VMRESUME:
    emulate_entry(true);
    break;
  case EXIT_INVEPT:
    emulate_invept();
    break;
  case EXIT_INVVPID:
    emulate_invvpid();
    break;
  }
}
