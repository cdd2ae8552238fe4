#pragma once
// A protected VM and its virtual CPU. The VMM knows a VCPU by the VMCS region that it gave; the monitor uses that
// region as the real VMCS and lets the VMM see a copy of the fields.
#include "fields.h"

#include <enter.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#define MAX_VMS 8
#define MAX_VCPUS 8
#define KEY_SIZE 16

struct vm {
  unsigned id;          // owner number of its pages, from 1 on; 0: this entry is free
  uint64_t vmm_root;    // EPT-vm as the VMM wrote it
  uint64_t shadow_root; // EPT-vm as the processor uses it
  struct vcpu *vcpu;    // its only one: a second could be started anywhere in the guest
  uint8_t *key;         // of its pages while the VMM has them: KEY_SIZE bytes
};

// What one exit shows to the VMM and takes back from it (disclosure.c). Registers as bit masks by number.
struct disclosure {
  uint32_t reason;
  uint16_t shown, accepted;
  bool advance;        // RIP may grow by the instruction's length
  uint64_t value_mask; // which part of each such register; 0: all
};

struct vcpu {
  uint64_t vmcs;   // the region, 0: this entry is free
  bool launched;   // of the real VMCS
  bool vmm_launched; // as the VMM knows it
  bool entered;    // the guest has run
  bool shadow;     // a shadow VMCS: the VMM lends it to a guest, and never enters it
  uint64_t lent_bitmaps[2]; // the monitor's copies of the VMREAD and VMWRITE bitmaps, physical; 0: not needed yet
  struct vm *vm;
  uint64_t visible[FIELD_COUNT]; // what the VMM reads, and what it has written
  uint64_t actual[FIELD_COUNT];  // guest state and exit information as the processor left them
  struct registers registers;    // actual
  struct disclosure last;        // of the last exit
};

// vms.c
struct vm *vm_of_root(uint64_t vmm_root);
void vms_destroy(void);
struct vm *vm_by_id(unsigned id);
struct vcpu *vcpu_find(uint64_t vmcs);
struct vcpu *vcpu_create(uint64_t vmcs, bool shadow);

// vcpu.c: runs the guest until an exit that the VMM must see. 0, or the VMX instruction error of a refused entry.
enum vmx_error vcpu_run(struct vcpu *vcpu, const struct registers *from_vmm);

// lent.c: shadow VMCSs
bool lending_possible(void);
bool lend(struct vcpu *vcpu);
void lent_load(const struct vcpu *vcpu);
void lent_store(const struct vcpu *vcpu);
bool lent_link_allowed(uint64_t link);

// controls.c
enum vmx_error controls_apply(struct vcpu *vcpu);
uint64_t controls_capability(uint32_t msr);
bool controls_is_capability(uint32_t msr);

// disclosure.c
void disclose(struct vcpu *vcpu);
void disclosed_registers(const struct vcpu *vcpu, struct registers *to_vmm);
bool take_back(struct vcpu *vcpu, const struct registers *from_vmm);
