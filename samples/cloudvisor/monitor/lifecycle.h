#pragma once
// The life of a guest's page: the VMM's, the guest's, ciphertext in the VMM's hands, and back.
#include "vcpu.h"

bool page_touched_by_guest(struct vm *vm, uint64_t gpa, uint64_t access);
bool page_touched_by_vmm(uint64_t hpa, bool writes);
void page_take_away(struct vm *vm, uint64_t gpa, const char *reason);
void vm_measure(struct vm *vm);
void vm_scrub(struct vm *vm);
