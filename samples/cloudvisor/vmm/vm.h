#pragma once
// A virtual machine with one virtual CPU, as the VMM knows it.
#include "boot_info.h"

#include <enter.h>
#include <hypercall.h>
#include <stdbool.h>
#include <stdint.h>

#define GUEST_LINE_SIZE 128
// Guest-physical memory that the VMM gives to a guest: [0, GUEST_MEMORY)
#define GUEST_MEMORY (8ul << 20)

struct vm {
  uint64_t vmcs;     // physical address of the region
  uint64_t ept_root; // physical address of the top EPT table
  bool launched;
  struct registers registers;
  const void *image; // the guest's ELF file

  uint64_t timer_seen;  // timer_ticks that the guest has been told of
  unsigned yields;
  bool finished;
  enum verdict verdict;
  unsigned exits;

  char line[GUEST_LINE_SIZE]; // what the guest's serial port has received since the last line feed
  unsigned line_length;
};

// vmx.c
void vmx_enable(void);
void vmx_disable(void);
void vmcs_create(struct vm *vm, uint64_t rip, uint64_t rsp, uint64_t cr3);
void vm_run(struct vm *vm);

// ept.c
uint64_t *ept_entry(struct vm *vm, uint64_t gpa);
void ept_map(struct vm *vm, uint64_t gpa, uint64_t page);
uint64_t ept_unmap(struct vm *vm, uint64_t gpa);
uint64_t ept_pointer(const struct vm *vm);

// guest.c
void vm_create(struct vm *vm, const struct module *module);

// exits.c
void vm_handle_exit(struct vm *vm);

// serial.c
void serial_access(struct vm *vm, uint64_t qualification);

// pager.c
bool pager_fault(struct vm *vm, uint64_t gpa);
void pager_swap_out(struct vm *vm, uint64_t gpa);
bool pager_change_accepted(void);

// adversary.c
void adversary_act(struct vm *vm);
bool adversary_withdraw(void);
bool adversary_consistent(const struct vm *vm);
void adversary_look_at_registers(struct vm *vm);
void adversary_look_at_leftovers(struct vm *vm);
