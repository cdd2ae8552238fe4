#pragma once
// The guest's EPT under the shadow policy: the VMM writes its own table freely; the processor uses this one, into which
// the monitor copies what it has validated. Entries come one by one at EPT violations, and go at INVEPT.
#include "vcpu.h"

// In an entry: the page is bound to this address, whether or not the guest may use it now.
#define SHADOW_BOUND (1ul << 52)

struct mapping {
  uint64_t hpa, rights;
};

uint64_t shadow_pointer(const struct vm *vm);
uint64_t *shadow_entry(struct vm *vm, uint64_t gpa);
void shadow_invalidate(const struct vm *vm);
void shadow_synchronize(struct vm *vm);
void shadow_each(struct vm *vm, void (*visit)(struct vm *vm, uint64_t gpa, uint64_t *entry));

bool vmm_mapping(const struct vm *vm, uint64_t gpa, struct mapping *mapping);
void vmm_mappings_each(struct vm *vm, void (*visit)(struct vm *vm, uint64_t gpa));
