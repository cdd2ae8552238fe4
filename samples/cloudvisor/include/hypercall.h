#pragma once
// What a guest can ask of the VMM by VMCALL: number in RAX, argument in RBX, result in RAX.
enum hypercall {
  HYPERCALL_YIELD = 0,   // lets the VMM do other work
  HYPERCALL_BALLOON = 1, // gives the page at this guest-physical address back for good
  HYPERCALL_FINISH = 2,  // ends the guest; argument: enum verdict
};

// How the guest found its secret when it ended.
enum verdict {
  VERDICT_INTACT = 1,
  VERDICT_DAMAGED = 2,
};

// Vector of the timer interrupt that the VMM gives to a guest
#define GUEST_TIMER_VECTOR 0x20
