/* Static probes as <sys/sdt.h> writes them, spelled out. */
#define STRING(x) #x
#define PROBE(provider, name, arguments, ...)                                  \
  __asm__ volatile("990: nop\n"                                                \
                   ".pushsection .note.stapsdt,\"\",\"note\"\n"                \
                   ".balign 4\n"                                               \
                   ".4byte 992f-991f, 994f-993f, 3\n"                          \
                   "991: .asciz \"stapsdt\"\n"                                 \
                   "992: .balign 4\n"                                          \
                   "993: .8byte 990b\n"                                        \
                   ".8byte _.stapsdt.base\n"                                   \
                   ".8byte 0\n"                                                \
                   ".asciz \"" STRING(provider) "\"\n"                         \
                   ".asciz \"" STRING(name) "\"\n"                             \
                   ".asciz \"" arguments "\"\n"                                \
                   "994: .balign 4\n"                                          \
                   ".popsection\n" ::__VA_ARGS__)

__asm__(".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
        ".weak _.stapsdt.base\n"
        ".hidden _.stapsdt.base\n"
        "_.stapsdt.base: .space 1\n"
        ".size _.stapsdt.base, 1\n"
        ".popsection\n");

long counter = 0x1122334455667788;

__attribute__((noinline)) int work(long a, int b)
{
  volatile long here = a * 3;
  PROBE(undervisor, page_owner, "8@%0 -4@%1 8@%2 -4@%3", "r"(a), "r"(b), "i"(5), "i"(-7));
  PROBE(undervisor, page_refused, "8@%0", "m"(here));
  PROBE(undervisor, counted, "4@counter(%%rip) 2@counter+2(%%rip)");
  PROBE(other, empty, "");
  return (int)here + b;
}

int main(void)
{
  return work(14, -2) == 40 ? 0 : 1;
}
