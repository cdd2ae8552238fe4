#pragma once
// VM entry as a function call: it returns at the next VM exit (enter.S).
#include <stdbool.h>
#include <stdint.h>

// General registers, by the number that instructions and exits give them. VM entries and exits leave them alone, so
// software carries them. RSP is in the VMCS; its place here keeps the numbering.
struct registers {
  union {
    struct {
      uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi;
    };
    uint64_t number[16];
  };
};

// Enters the guest of the current VMCS with these registers, and returns with its registers at the VM exit.
// False: VMLAUNCH or VMRESUME failed and no guest instruction was executed.
bool vm_enter(struct registers *registers, bool launched);

// Host RIP of every VMCS.
void vm_exit(void);
