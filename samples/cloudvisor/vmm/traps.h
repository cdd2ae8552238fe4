#pragma once
#include <stdint.h>

#define TIMER_VECTOR 0x20
#define SPURIOUS_VECTOR 0x2f

// What trap.S leaves on the stack, from low to high addresses.
struct trap_frame {
  uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
  uint64_t vector, error_code;
  uint64_t rip, cs, rflags, rsp, ss;
};

extern volatile uint64_t timer_ticks;

void traps_init(void);
void timer_start(void);
_Bool try_store(volatile uint64_t *to, uint64_t value);
