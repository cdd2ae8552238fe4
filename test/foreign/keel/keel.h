/* Keel: a hypervisor for three small guests, built after the manual's chapters and nothing else. */
typedef unsigned char byte;
typedef unsigned short half;
typedef unsigned int word;
typedef unsigned long quad;

#define asm_ __asm__ volatile
#define PHYS_OF(pointer) ((quad)(pointer) - LINK_BASE)
#define VIRT_OF(physical) ((void *)((quad)(physical) + LINK_BASE))

/* Host-physical places of guests' memory, each 2 MiB */
#define REAL_RAM 0x2800000ul
#define PROT_RAM 0x2a00000ul
/* Where the long-mode guest meets missing, read-only and strange pages; 4 KiB pages, 2 MiB in all */
#define YARD 0x3000000ul

struct gprs {
  quad rax, rcx, rdx, rbx, rsp_unused, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

enum guest_kind { GUEST_LONG, GUEST_REAL, GUEST_PROTECTED };

struct ept {
  quad pml4[512], pdpt[512], pd[512], yard[512];
} __attribute__((aligned(4096)));

struct guest {
  const char *name;
  enum guest_kind kind;
  struct gprs regs;
  struct ept *ept;
  byte *vmcs;
  int launched, finished;
  word exits;
  quad ram; /* host-physical address of guest-physical 0 */
  word tick_goal;
};

/* print.c */
void say(const char *format, ...);
void quit(word status) __attribute__((noreturn));

/* vt.c */
extern quad trap_count[256];
void trap_init(void);
int vt_on(void);
void vt_off(void);
quad vmcs_get(word field);
void vmcs_put(word field, quad value);
void vmcs_use(byte *region);
void guest_prepare(struct guest *g, quad rip, quad rsp);
void flush_ept(struct ept *ept);
void timer_arm(byte vector, word count);
void timer_stop(void);
void apic_eoi(void);
quad msr_get(word index);
void msr_put(word index, quad value);
int vt_go(struct gprs *regs, int resume);

/* exits.c */
void guest_run(struct guest *g, word limit);

/* guest64.c */
void long_guest(void);

static inline void port_out(half port, byte value) { asm_("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline byte
port_in(half port)
{
  byte value;
  asm_("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline void
fill(void *to, byte with, quad count)
{
  asm_("rep stosb" : "+D"(to), "+c"(count) : "a"(with) : "memory");
}
static inline void
copy(void *to, const void *from, quad count)
{
  asm_("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

/* A static probe of our own making: SystemTap note version 3, provider "undervisor". */
#define ANNOUNCE(name, a, b, c, d)                                                                                     \
  asm_("77: nop\n"                                                                                                     \
       "  .pushsection .note.stapsdt,\"\",@note\n  .balign 4\n  .long 8, 79f-78f, 3\n  .asciz \"stapsdt\"\n"          \
       "78: .quad 77b, 0, 0\n  .asciz \"undervisor\"\n  .asciz \"" name "\"\n  .asciz \"8@%0 8@%1 -4@%2 8@%3\"\n"      \
       "79: .balign 4\n  .popsection"                                                                                  \
       :                                                                                                               \
       : "nor"((quad)(a)), "nor"((quad)(b)), "nor"((int)(c)), "nor"((quad)(d)))
