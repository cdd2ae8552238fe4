// The order of the attacks: the guest yields once in each of its rounds.
#include "attacks.h"

#include "../vmm/elf.h"
#include "../vmm/layout.h"
#include "../vmm/memory.h"

#include <print.h>
#include <vmx.h>
#include <x86.h>

#define GUEST_BASE 0xffffffffc0000000

static unsigned defeated_count, succeeded_count;

void
attack_ended(const char *name, bool defeated)
{
  print("attack: %s: %s\n", name, defeated ? "defeated" : "SUCCEEDED");
  *(defeated ? &defeated_count : &succeeded_count) += 1;
}

uint64_t
secret_gpa(const struct vm *vm, unsigned page)
{
  return elf_symbol(vm->image, "secret_pages") - GUEST_BASE + page * PAGE_SIZE;
}

void
adversary_act(struct vm *vm)
{
  switch (vm->yields) {
  case 1:
    attack_monitor_memory();
    attack_vmcs_memory(vm);
    attack_contexts(vm);
    attack_controls(vm);
    attack_by_own_page(vm);
    break;
  case 2:
    attack_second_vcpu(vm);
    attack_wrong_mode(vm);
    attack_by_second_address(vm);
    break;
  case 3:
    attack_page_of_another_vm(vm);
    attack_by_monitor_page(vm);
    break;
  case 4:
    attack_by_disk(vm);
    attack_by_old_version(vm);
    break;
  }
}

bool
adversary_withdraw(void)
{
  return false;
}

// Interrupted between two instructions: nothing of the registers may show.
void
adversary_look_at_registers(struct vm *vm)
{
  static bool looked;
  uint64_t seen = vmread(GUEST_RIP) | vmread(GUEST_RSP) | vmread(GUEST_CR3);
  for (unsigned i = 0; i < 16; i++)
    seen |= vm->registers.number[i];
  if (looked)
    return;
  looked = true;
  attack_ended("registers of an interrupted guest", seen == 0);
  attack_interrupted(vm);
}

// The guest is no more: of its memory nothing may be left.
void
adversary_look_at_leftovers(struct vm *vm)
{
  const uint64_t *words = direct(*ept_entry(vm, secret_gpa(vm, 3)) & EPT_ADDRESS);
  uint64_t seen = 0;
  for (unsigned i = 0; i < PAGE_SIZE / sizeof(*words); i++)
    seen |= words[i];
  attack_ended("memory of a guest that has ended", seen == 0);
}

bool
adversary_consistent(const struct vm *vm)
{
  print("%u attacks defeated, %u succeeded\n", defeated_count, succeeded_count);
  return vm->verdict == VERDICT_INTACT && succeeded_count == 0;
}

bool
pager_fault(struct vm *vm, uint64_t gpa)
{
  if (mapping_fault(vm, gpa))
    return true;
  if (*ept_entry(vm, gpa) & EPT_ALL)
    return false;
  ept_map(vm, gpa, page_allocate());
  return true;
}
