// The exits of the VMM. Only three classes of its events come here: EPT-x faults, VMX instructions, and what VT-x forces.
#include "console.h"
#include "eptx.h"
#include "iommu.h"
#include "lifecycle.h"
#include "pages.h"
#include "vmm.h"

#include <print.h>
#include <vmx.h>
#include <x86.h>

#define CR_ACCESS_NUMBER(qualification) ((qualification) & 15)
#define CR_ACCESS_TYPE(qualification) ((qualification) >> 4 & 3)
#define CR_ACCESS_REGISTER(qualification) ((qualification) >> 8 & 15)
#define CR_ACCESS_MOV_TO 0
#define VECTOR_INVALID_OPCODE 6

void
vmm_next_instruction(void)
{
  vmwrite(GUEST_RIP, vmread(GUEST_RIP) + vmread(EXIT_INSTRUCTION_LENGTH));
  vmwrite(GUEST_INTERRUPTIBILITY, vmread(GUEST_INTERRUPTIBILITY) & ~(uint64_t)(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
}

// The VMM gets an exception at its next entry.
void
vmm_inject(unsigned vector, bool has_error_code, uint32_t error_code)
{
  uint32_t information = INTERRUPTION_VALID | INTERRUPTION_HARDWARE_EXCEPTION | vector;
  vmwrite(ENTRY_INTERRUPTION, information | (has_error_code ? INTERRUPTION_ERROR_CODE : 0));
  vmwrite(ENTRY_ERROR_CODE, error_code);
}

static void
handle_cpuid(void)
{
  struct registers *r = &vmm.registers;
  struct cpuid_result result = cpuid((uint32_t)r->rax, (uint32_t)r->rcx);
  r->rax = result.eax;
  r->rbx = result.ebx;
  r->rcx = result.ecx;
  r->rdx = result.edx;
  vmm_next_instruction();
}

// MOV to CR0 or CR4 that changes a bit which VMX operation fixes: the VMM sees its own value, the processor keeps its.
static void
handle_cr_access(void)
{
  uint64_t qualification = vmread(EXIT_QUALIFICATION);
  uint64_t number = CR_ACCESS_NUMBER(qualification);
  if (CR_ACCESS_TYPE(qualification) != CR_ACCESS_MOV_TO || (number != 0 && number != 4)) {
    vmm_inject(VECTOR_GENERAL_PROTECTION, true, 0);
    return;
  }
  uint64_t value = vmm.registers.number[CR_ACCESS_REGISTER(qualification)];
  vmwrite(number == 0 ? CR0_SHADOW : CR4_SHADOW, value);
  vmwrite(number == 0 ? GUEST_CR0 : GUEST_CR4, value | (number == 0 ? CR0_NE : CR4_VMXE));
  vmm_next_instruction();
}

static void
handle_rdmsr(void)
{
  uint32_t msr = (uint32_t)vmm.registers.rcx;
  if (!controls_is_capability(msr)) {
    vmm_inject(VECTOR_GENERAL_PROTECTION, true, 0);
    return;
  }
  uint64_t value = controls_capability(msr);
  vmm.registers.rax = (uint32_t)value;
  vmm.registers.rdx = value >> 32;
  vmm_next_instruction();
}

static void
handle_xsetbv(void)
{
  struct registers *r = &vmm.registers;
  __asm__ volatile("xsetbv" : : "c"((uint32_t)r->rcx), "a"((uint32_t)r->rax), "d"((uint32_t)r->rdx));
  vmm_next_instruction();
}

// An EPT-x fault: the VMM reached for a page that is not its own.
static void
handle_ept_violation(void)
{
  uint64_t hpa = vmread(GUEST_PHYSICAL_ADDRESS) & ~PAGE_MASK;
  uint64_t qualification = vmread(EXIT_QUALIFICATION);
  bool writes = qualification & (EPT_VIOLATION_WRITE | EPT_VIOLATION_EXECUTE);
  if (!page_touched_by_vmm(hpa, writes)) {
    vmm_inject(VECTOR_GENERAL_PROTECTION, true, 0);
    return;
  }
  // Now it may read. If the fault was on the way to an exception or interrupt, that is delivered again (27.2.4).
  uint64_t vectoring = vmread(IDT_VECTORING);
  if (vectoring & INTERRUPTION_VALID) {
    vmwrite(ENTRY_INTERRUPTION, vectoring & ~(1ul << 12));
    vmwrite(ENTRY_ERROR_CODE, vmread(IDT_VECTORING_ERROR_CODE));
    vmwrite(ENTRY_INSTRUCTION_LENGTH, vmread(EXIT_INSTRUCTION_LENGTH));
  }
}

static void
handle_unknown(uint32_t reason)
{
  print("exit reason %x of the VMM, qualification %lx, RIP %lx\n", reason, vmread(EXIT_QUALIFICATION),
        vmread(GUEST_RIP));
  panic("vmm_run: no handler");
}

static void
handle_exit(void)
{
  uint32_t reason = (uint32_t)vmread(EXIT_REASON);
  switch (reason) {
  case EXIT_CPUID:
    handle_cpuid();
    break;
  case EXIT_INVD: // as WBINVD: the monitor's own lines must reach memory
    __asm__ volatile("wbinvd" : : : "memory");
    vmm_next_instruction();
    break;
  case EXIT_XSETBV:
    handle_xsetbv();
    break;
  case EXIT_GETSEC:
  case EXIT_VMCALL:
    vmm_inject(VECTOR_INVALID_OPCODE, false, 0);
    break;
  case EXIT_CR_ACCESS:
    handle_cr_access();
    break;
  case EXIT_RDMSR:
    handle_rdmsr();
    break;
  case EXIT_WRMSR:
    vmm_inject(VECTOR_GENERAL_PROTECTION, true, 0);
    break;
  case EXIT_EPT_VIOLATION:
    handle_ept_violation();
    break;
  case EXIT_VMCLEAR:
  case EXIT_VMLAUNCH:
  case EXIT_VMPTRLD:
  case EXIT_VMPTRST:
  case EXIT_VMREAD:
  case EXIT_VMRESUME:
  case EXIT_VMWRITE:
  case EXIT_VMXOFF:
  case EXIT_VMXON:
  case EXIT_INVEPT:
  case EXIT_INVVPID:
    emulate_vmx(reason);
    break;
  default:
    handle_unknown(reason);
  }
}

// The monitor's life from the demotion on.
void
vmm_run(void)
{
  for (bool launched = false;; launched = true) {
    if (!vm_enter(&vmm.registers, launched)) {
      print("VMX instruction error %lu\n", vmread(INSTRUCTION_ERROR));
      panic("vmm_run: the VMM cannot be entered");
    }
    vmm.registers.rsp = vmread(GUEST_RSP);
    iommu_report_faults();
    handle_exit();
  }
}
