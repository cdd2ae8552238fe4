#pragma once
#include <stdint.h>

// Continues as the guest of a minimal hypervisor, with EPT that maps the first GiB to itself. 0: the processor has no VT-x
// with EPT; nothing has changed then.
int vmx_become_guest(void);

// VMCALL round trips: `repeat` times 1000. Only as a guest.
uint64_t vm_exits(unsigned repeat);
