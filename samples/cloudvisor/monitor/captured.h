#pragma once
// The launcher's state at the moment of the launch call: what the monitor enters it with, one layer further up.
#define CAPTURED_RBX 0
#define CAPTURED_RBP 8
#define CAPTURED_R12 16
#define CAPTURED_R13 24
#define CAPTURED_R14 32
#define CAPTURED_R15 40
#define CAPTURED_RSP 48
#define CAPTURED_RIP 56
#define CAPTURED_RFLAGS 64
#define CAPTURED_CR3 72
#define CAPTURED_GDTR 80
#define CAPTURED_IDTR 90
#define CAPTURED_SELECTORS 100
#define CAPTURED_SIZE 120

#ifndef __ASSEMBLER__
#include <launch.h>
#include <stddef.h>
#include <stdint.h>
#include <x86.h>

struct captured {
  uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip, rflags, cr3;
  struct table_register gdtr, idtr;
  uint16_t es, cs, ss, ds, fs, gs, ldtr, tr; // in the order of the VMCS
} __attribute__((packed));

_Static_assert(offsetof(struct captured, gdtr) == CAPTURED_GDTR, "layout for boot.S");
_Static_assert(offsetof(struct captured, es) == CAPTURED_SELECTORS, "layout for boot.S");

extern struct captured captured;
extern struct launch launch;
#endif
