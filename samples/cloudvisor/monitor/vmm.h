#pragma once
// The deprivileged VMM: it runs in VMX non-root operation under the monitor's own VMCS for it, and its VMX instructions
// act on what is recorded here.
#include "vcpu.h"

#include <enter.h>
#include <stdbool.h>
#include <stdint.h>

#define NO_VMCS (~0ul)

struct vmm {
  uint64_t vmcs;              // the monitor's VMCS for the VMM, physical
  struct registers registers; // of the VMM at its last exit
  bool vmx_operation;         // it has executed VMXON
  uint64_t vmxon_region;
  struct vcpu *current; // what it has made current by VMPTRLD
};

extern struct vmm vmm;

// demotion.c
bool vmx_begin(void);
void write_monitor_host_state(void);
void vmm_vmcs_create(void);

// vmm_exits.c
void vmm_run(void) __attribute__((noreturn));
void vmm_next_instruction(void);
void vmm_inject(unsigned vector, bool has_error_code, uint32_t error_code);

// vmm_memory.c
bool vmm_translate(uint64_t linear, uint64_t *hpa);
bool vmm_read(uint64_t linear, void *to, unsigned size);
bool vmm_write(uint64_t linear, const void *from, unsigned size);

// vmx_instructions.c
void emulate_vmx(uint32_t reason);

// forward.c
void vmm_load_host_state(const struct vcpu *vcpu);
