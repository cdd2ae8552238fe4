#pragma once
// Static probes: a one-byte NOP in the code and a note in the file that tells a debugger where it is and where the
// arguments are at that moment. Form: version 3 of the SystemTap notes (.note.stapsdt), provider "undervisor".
// A probe costs the NOP; nothing happens when nobody looks.
//
// Each argument is 64 bits wide. Text and digests are passed as pointers, in the address space of the prober.
#include <stdint.h>

// One base address a file: tools find out by it how far the file was moved after linking.
__asm__(".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n"
        ".weak _.stapsdt.base\n"
        ".hidden _.stapsdt.base\n"
        "_.stapsdt.base: .space 1\n"
        ".size _.stapsdt.base, 1\n"
        ".popsection\n");

#define PROBE_NOTE(name, arguments)                                                                                    \
  "990: nop\n"                                                                                                         \
  ".pushsection .note.stapsdt, \"\", \"note\"\n"                                                                       \
  ".balign 4\n"                                                                                                        \
  ".4byte 992f-991f, 994f-993f, 3\n"                                                                                   \
  "991: .asciz \"stapsdt\"\n"                                                                                          \
  "992: .balign 4\n"                                                                                                   \
  "993: .8byte 990b, _.stapsdt.base, 0\n"                                                                              \
  ".asciz \"undervisor\"\n"                                                                                            \
  ".asciz \"" name "\"\n"                                                                                              \
  ".asciz \"" arguments "\"\n"                                                                                         \
  "994: .balign 4\n"                                                                                                   \
  ".popsection\n"

#define PROBE_ARGUMENT(value) "nr"((uint64_t)(value))

#define PROBE1(name, a) __asm__ volatile(PROBE_NOTE(#name, "8@%0") : : PROBE_ARGUMENT(a))
#define PROBE2(name, a, b)                                                                                             \
  __asm__ volatile(PROBE_NOTE(#name, "8@%0 8@%1") : : PROBE_ARGUMENT(a), PROBE_ARGUMENT(b))
#define PROBE3(name, a, b, c)                                                                                          \
  __asm__ volatile(PROBE_NOTE(#name, "8@%0 8@%1 8@%2")                                                                 \
                   :                                                                                                   \
                   : PROBE_ARGUMENT(a), PROBE_ARGUMENT(b), PROBE_ARGUMENT(c))
#define PROBE4(name, a, b, c, d)                                                                                       \
  __asm__ volatile(PROBE_NOTE(#name, "8@%0 8@%1 8@%2 8@%3")                                                            \
                   :                                                                                                   \
                   : PROBE_ARGUMENT(a), PROBE_ARGUMENT(b), PROBE_ARGUMENT(c), PROBE_ARGUMENT(d))
#define PROBE6(name, a, b, c, d, e, f)                                                                                 \
  __asm__ volatile(PROBE_NOTE(#name, "8@%0 8@%1 8@%2 8@%3 8@%4 8@%5")                                                  \
                   :                                                                                                   \
                   : PROBE_ARGUMENT(a), PROBE_ARGUMENT(b), PROBE_ARGUMENT(c), PROBE_ARGUMENT(d), PROBE_ARGUMENT(e),    \
                     PROBE_ARGUMENT(f))
