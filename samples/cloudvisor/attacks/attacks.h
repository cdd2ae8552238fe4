#pragma once
// Attacks of a hostile VMM, in the place of vmm/adversary.c and vmm/pager.c. Each one tells whether it was defeated.
#include "../vmm/vm.h"

void attack_ended(const char *name, bool defeated);
uint64_t secret_gpa(const struct vm *vm, unsigned page);

// entries.c
void attack_interrupted(struct vm *vm);
void attack_contexts(struct vm *vm);
void attack_controls(struct vm *vm);
void attack_second_vcpu(struct vm *vm);
void attack_wrong_mode(struct vm *vm);
void attack_page_of_another_vm(struct vm *vm);

// memory.c
void attack_monitor_memory(void);
void attack_vmcs_memory(const struct vm *vm);
bool try_load(const volatile uint64_t *from);

// dma.c
void attack_by_disk(struct vm *vm);

// mappings.c: these end when the guest touches the page
void attack_by_own_page(struct vm *vm);
void attack_by_second_address(struct vm *vm);
void attack_by_monitor_page(struct vm *vm);
void attack_by_old_version(struct vm *vm);
bool mapping_fault(struct vm *vm, uint64_t gpa);
