// What the VMM does at each VM exit of a guest.
#include "console.h"
#include "layout.h"
#include "memory.h"
#include "traps.h"
#include "vm.h"

#include <print.h>
#include <vmx.h>
#include <x86.h>

#define COM1 0x3f8
#define COM1_PORTS 8
#define CPUID_LEAF_VERSION 1
#define CPUID_VMX (1u << 5)
#define CPUID_HYPERVISOR (1u << 31)

static void
next_instruction(void)
{
  vmwrite(GUEST_RIP, vmread(GUEST_RIP) + vmread(EXIT_INSTRUCTION_LENGTH));
}

// The guest sees the processor without VT-x, and is told that it runs under a hypervisor.
static void
handle_cpuid(struct vm *vm)
{
  struct registers *r = &vm->registers;
  uint32_t leaf = (uint32_t)r->rax;
  struct cpuid_result result = cpuid(leaf, (uint32_t)r->rcx);
  if (leaf == CPUID_LEAF_VERSION)
    result.ecx = (result.ecx & ~CPUID_VMX) | CPUID_HYPERVISOR;
  r->rax = result.eax;
  r->rbx = result.ebx;
  r->rcx = result.ecx;
  r->rdx = result.edx;
  next_instruction();
}

// Only the first serial port exists; other ports read as all ones.
static void
handle_io(struct vm *vm)
{
  uint64_t qualification = vmread(EXIT_QUALIFICATION);
  if ((uint16_t)(IO_PORT(qualification) - COM1) < COM1_PORTS)
    serial_access(vm, qualification);
  else if (qualification & IO_IN)
    vm->registers.rax |= IO_SIZE(qualification) == 4 ? 0xffffffff : (1ul << 8 * IO_SIZE(qualification)) - 1;
  next_instruction();
}

// Lets the interrupt that ended the guest's time reach the VMM's own handler.
static void
handle_external_interrupt(struct vm *vm)
{
  __asm__ volatile("sti; nop; cli");
  adversary_look_at_registers(vm);
}

// The guest waits for an interrupt: so does the VMM, for the next tick of its timer.
static void
handle_hlt(struct vm *vm)
{
  next_instruction();
  vmwrite(GUEST_INTERRUPTIBILITY, 0);
  while (timer_ticks == vm->timer_seen)
    __asm__ volatile("sti; hlt; cli");
}

static void
handle_vmcall(struct vm *vm)
{
  struct registers *r = &vm->registers;
  uint64_t number = r->rax, argument = r->rbx;
  r->rax = 0;
  next_instruction();
  switch (number) {
  case HYPERCALL_YIELD:
    vm->yields++;
    adversary_act(vm);
    break;
  case HYPERCALL_BALLOON: {
    uint64_t page = argument < GUEST_MEMORY ? ept_unmap(vm, argument & ~PAGE_MASK) : 0;
    if (page)
      page_release(page);
    print("balloon: guest page %lx came back\n", argument);
    break;
  }
  case HYPERCALL_FINISH:
    vm->verdict = (enum verdict)argument;
    vm->finished = true;
    break;
  default:
    r->rax = ~0ul;
  }
}

static void
handle_ept_violation(struct vm *vm)
{
  uint64_t gpa = vmread(GUEST_PHYSICAL_ADDRESS) & ~PAGE_MASK;
  if (gpa >= GUEST_MEMORY || !pager_fault(vm, gpa)) {
    print("guest touched %lx, qualification %lx\n", gpa, vmread(EXIT_QUALIFICATION));
    panic("handle_ept_violation: no memory there");
  }
  // A fault during the delivery of an event: the event is delivered again (27.2.4, 26.6.1.2).
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
  print("exit reason %u, qualification %lx, RIP %lx\n", reason, vmread(EXIT_QUALIFICATION), vmread(GUEST_RIP));
  panic("vm_handle_exit: no handler");
}

// Gives the guest a tick of its timer when one is due: now if it can take it, else as soon as it can.
static void
deliver_timer(struct vm *vm)
{
  uint64_t processor_controls = vmread(PROCESSOR_CONTROLS) & ~(uint64_t)PROCESSOR_INTERRUPT_WINDOW;
  bool due = timer_ticks != vm->timer_seen && !(vmread(ENTRY_INTERRUPTION) & INTERRUPTION_VALID);
  bool open = (vmread(GUEST_RFLAGS) & RFLAGS_IF) &&
              !(vmread(GUEST_INTERRUPTIBILITY) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
  if (due && open) {
    vmwrite(ENTRY_INTERRUPTION, INTERRUPTION_VALID | INTERRUPTION_EXTERNAL | GUEST_TIMER_VECTOR);
    vm->timer_seen = timer_ticks;
  } else if (due) {
    processor_controls |= PROCESSOR_INTERRUPT_WINDOW;
  }
  vmwrite(PROCESSOR_CONTROLS, processor_controls);
}

void
vm_handle_exit(struct vm *vm)
{
  uint32_t reason = (uint32_t)vmread(EXIT_REASON);
  switch (reason) {
  case EXIT_EXTERNAL_INTERRUPT:
    handle_external_interrupt(vm);
    break;
  case EXIT_INTERRUPT_WINDOW:
    break;
  case EXIT_CPUID:
    handle_cpuid(vm);
    break;
  case EXIT_HLT:
    handle_hlt(vm);
    break;
  case EXIT_VMCALL:
    handle_vmcall(vm);
    break;
  case EXIT_IO:
    handle_io(vm);
    break;
  case EXIT_EPT_VIOLATION:
    handle_ept_violation(vm);
    break;
  default:
    handle_unknown(reason);
  }
  deliver_timer(vm);
}
