// Reaching for memory that is neither the VMM's nor a guest's.
#include "attacks.h"

#include "../vmm/elf.h"
#include "../vmm/layout.h"
#include "../vmm/traps.h"

// Loads, where the machine may refuse it. False: the load raised an exception.
bool
try_load(const volatile uint64_t *from)
{
  bool loaded;
  uint64_t value;
  __asm__ volatile("xorl %k0, %k0\n"
                   "1: movq %2, %1\n"
                   "incl %k0\n"
                   "2:\n"
                   ".pushsection .fixup_table, \"a\"\n"
                   ".quad 1b, 2b\n"
                   ".popsection"
                   : "=&r"(loaded), "=&r"(value)
                   : "m"(*from)
                   : "cc");
  return loaded;
}

// The operator loaded the monitor, so he knows where it is.
void
attack_monitor_memory(void)
{
  unsigned count;
  const struct elf_segment *segments = elf_segments(direct(find_module("monitor")->start), &count);
  uint64_t *word = direct(segments[count - 1].physical);
  attack_ended("read of the monitor's memory", !try_load(word));
  attack_ended("write to the monitor's memory", !try_store(word, 0));
}

void
attack_vmcs_memory(const struct vm *vm)
{
  uint64_t *word = direct(vm->vmcs);
  attack_ended("read of a guest's VMCS", !try_load(word));
  attack_ended("write to a guest's VMCS", !try_store(word, 0));
}
