// Entries that must not happen. Each attempt is a VM entry with something wrong; a refused one leaves the guest where
// it was, so the true values are put back and the next one is tried.
#include "attacks.h"

#include "../vmm/layout.h"
#include "../vmm/memory.h"

#include <print.h>
#include <vmx.h>
#include <x86.h>

#define IO_BITMAPS (1u << 25)
#define TPR_SHADOW (1u << 21)
#define VMFUNC (1u << 13)
#define PAGE_MODIFICATION_LOG (1u << 17)
#define EPT_VIOLATION_EXCEPTION (1u << 18)
#define IO_BITMAP_A 0x2000
#define MONITOR_LOAD 0x2000000 // monitor.ld
#define EXIT_MSR_STORE_ADDRESS 0x2006

static bool
refused(struct vm *vm)
{
  struct registers registers = vm->registers;
  return !vm_enter(&registers, vm->launched);
}

static void
attack_field(struct vm *vm, const char *name, enum vmcs_field field, uint64_t flip)
{
  uint64_t before = vmread(field);
  bool written = vmwrite(field, before ^ flip);
  attack_ended(name, !written || refused(vm));
  vmwrite(field, before);
}

// Between two instructions there is nothing that the VMM would have to complete.
void
attack_interrupted(struct vm *vm)
{
  attack_field(vm, "changed RIP of an interrupted guest", GUEST_RIP, 8);
}

void
attack_contexts(struct vm *vm)
{
  attack_field(vm, "changed RIP", GUEST_RIP, 0x10000);
  attack_field(vm, "changed RSP", GUEST_RSP, 0x1000);
  attack_field(vm, "changed RFLAGS", GUEST_RFLAGS, RFLAGS_IF);
  attack_field(vm, "changed CR0", GUEST_CR0, CR0_WP);
  attack_field(vm, "changed CR3", GUEST_CR3, 0x2000);
  attack_field(vm, "changed IDTR", GUEST_IDTR_BASE, 0x1000);
  attack_field(vm, "changed EFER", GUEST_EFER, EFER_SCE);
  attack_field(vm, "changed CS rights", GUEST_CS_RIGHTS, 1u << 13);
  vm->registers.rbp ^= 8;
  attack_ended("changed RBP", refused(vm));
  vm->registers.rbp ^= 8;
}

// A VMCS that is lent to the guest, and its bitmaps, must be the VMM's own.
static void
attack_lending(struct vm *vm)
{
  uint64_t secondary = vmread(SECONDARY_CONTROLS), secret = *ept_entry(vm, secret_gpa(vm, 3)) & EPT_ADDRESS;
  vmwrite(SECONDARY_CONTROLS, secondary | SECONDARY_SHADOWING);
  attack_field(vm, "VMREAD bitmap in the monitor", VMREAD_BITMAP, MONITOR_LOAD);
  attack_field(vm, "VMWRITE bitmap in the guest", VMWRITE_BITMAP, secret);
  attack_field(vm, "page of the guest as shadow VMCS", VMCS_LINK_POINTER, ~secret);
  vmwrite(SECONDARY_CONTROLS, secondary);
}

void
attack_controls(struct vm *vm)
{
  const uint64_t forged = INTERRUPTION_VALID | INTERRUPTION_HARDWARE_EXCEPTION | INTERRUPTION_ERROR_CODE | 13;
  attack_field(vm, "no EPT", SECONDARY_CONTROLS, SECONDARY_EPT);
  attack_field(vm, "no VPID", SECONDARY_CONTROLS, SECONDARY_VPID);
  attack_field(vm, "VMFUNC", SECONDARY_CONTROLS, VMFUNC);
  attack_lending(vm);
  attack_field(vm, "page-modification log", SECONDARY_CONTROLS, PAGE_MODIFICATION_LOG);
  attack_field(vm, "EPT violation as exception", SECONDARY_CONTROLS, EPT_VIOLATION_EXCEPTION);
  attack_field(vm, "I/O bitmaps", PROCESSOR_CONTROLS, IO_BITMAPS);
  attack_field(vm, "MSR bitmaps", PROCESSOR_CONTROLS, PROCESSOR_MSR_BITMAPS);
  attack_field(vm, "virtual-APIC page", PROCESSOR_CONTROLS, TPR_SHADOW);
  attack_field(vm, "MSR list stored at exit", EXIT_MSR_STORE_COUNT, 1);
  attack_field(vm, "MSR list loaded at exit", EXIT_MSR_LOAD_COUNT, 1);
  attack_field(vm, "MSR list loaded at entry", ENTRY_MSR_LOAD_COUNT, 1);
  attack_field(vm, "32-bit host", EXIT_CONTROLS, EXIT_HOST_64);
  attack_field(vm, "forged exception", ENTRY_INTERRUPTION, forged);
  attack_field(vm, "another EPT", EPT_POINTER, vm->ept_root ^ page_allocate());
  attack_ended("address of an I/O bitmap", !vmwrite(IO_BITMAP_A, 0x1000));
  attack_ended("address of an MSR list", !vmwrite(EXIT_MSR_STORE_ADDRESS, 0x1000));
  attack_ended("write to exit information", !vmwrite(EXIT_REASON, 0));
}

// A second virtual CPU in the same guest, started where the VMM likes.
void
attack_second_vcpu(struct vm *vm)
{
  struct vm second = { .ept_root = vm->ept_root, .image = vm->image };
  vmcs_create(&second, 0x100000, 0x80000, 0x1000);
  attack_ended("second VCPU in the guest", refused(&second));
  vmptrld(vm->vmcs);
}

// A guest that starts in 32-bit mode without paging, while its image was measured to start in 64-bit mode.
void
attack_wrong_mode(struct vm *vm)
{
  struct vm other = { .ept_root = page_allocate() };
  vmcs_create(&other, 0, 0, 0);
  vmwrite(SECONDARY_CONTROLS, vmread(SECONDARY_CONTROLS) | SECONDARY_UNRESTRICTED);
  vmwrite(GUEST_CS_RIGHTS, RIGHTS_CODE_32);
  vmwrite(GUEST_CR0, CR0_PE | CR0_NE);
  vmwrite(GUEST_EFER, 0);
  vmwrite(ENTRY_CONTROLS, vmread(ENTRY_CONTROLS) & ~(uint64_t)ENTRY_IA32E);
  attack_ended("wrong execution mode at launch", refused(&other));
  vmptrld(vm->vmcs);
}

// Runs a guest until an exit that is not for the VMM's own interrupts. False: its entry was refused.
static bool
run_past_interrupts(struct vm *vm)
{
  do {
    if (!vm_enter(&vm->registers, vm->launched))
      return false;
    vm->launched = true;
    __asm__ volatile("sti; nop; cli");
  } while (vmread(EXIT_REASON) == EXIT_EXTERNAL_INTERRUPT);
  return true;
}

// A guest of the VMM's own whose page table is a secret page of the first, at the same address: touching it must not work.
void
attack_page_of_another_vm(struct vm *vm)
{
  struct vm spy = { .ept_root = page_allocate() };
  uint64_t gpa = secret_gpa(vm, 3);
  ept_map(&spy, gpa, *ept_entry(vm, gpa) & EPT_ADDRESS);
  vmcs_create(&spy, 0x100000, 0x80000, gpa);
  bool stopped = run_past_interrupts(&spy) && vmread(EXIT_REASON) == EXIT_EPT_VIOLATION &&
                 (vmread(GUEST_PHYSICAL_ADDRESS) & ~PAGE_MASK) == gpa;
  attack_ended("page of another guest", stopped);
  vmptrld(vm->vmcs);
}
