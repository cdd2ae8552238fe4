#include "keel.h"

enum {
  EXCEPTION = 0, EXTERNAL = 1, TRIPLE = 2, WINDOW = 7, TASK = 9, CPUID = 10, HLT = 12, CALL = 18, CR = 28, IO = 30,
  RDMSR = 31, WRMSR = 32, TRAP_FLAG = 37, GDTR_IDTR = 46, LDTR_TR = 47, VIOLATION = 48, MISCONFIGURATION = 49,
  PREEMPTED = 52
};

#define IF 0x200
static word mtf_left;
static byte pending_vector;

static void
next_instruction(void)
{
  vmcs_put(0x681e, vmcs_get(0x681e) + vmcs_get(0x440c));
  quad blocking = vmcs_get(0x4824);
  if (blocking & 3)
    vmcs_put(0x4824, blocking & ~3ul);
}

static void
inject(word information, word error)
{
  vmcs_put(0x4016, information);
  if (information & 0x800)
    vmcs_put(0x4018, error);
}

static void
change(word field, word clear, word set)
{
  vmcs_put(field, (vmcs_get(field) & ~(quad)clear) | set);
}

/* Now when the guest can take it, else as soon as the window opens. */
static void
deliver(byte vector)
{
  if ((vmcs_get(0x6820) & IF) && !(vmcs_get(0x4824) & 3)) {
    inject(0x80000000u | vector, 0);
    return;
  }
  pending_vector = vector;
  change(0x4002, 0, 4);
}

/* RF depends on how exact an emulator is, OF and AF are undefined after most shifts and logic. */
#define TOLD_FLAGS 0xfffffffffffef7eful

static void
report(struct guest *g, word reason)
{
  quad qualification = vmcs_get(0x6400);
  if (reason == TRAP_FLAG)
    say("only ");
  say("%s %d: exit %d", g->name, (quad)g->exits, (quad)reason & 0xffff);
  if (reason & 0x80000000)
    say(" entry failed");
  byte plain = (byte)reason;
  if (plain == EXCEPTION || plain == EXTERNAL)
    say(" event %x", vmcs_get(0x4404));
  if (plain == EXCEPTION && (vmcs_get(0x4404) & 0x800))
    say(" error %x", vmcs_get(0x4406));
  if (plain != EXTERNAL && plain != MISCONFIGURATION && plain != PREEMPTED && plain != WINDOW)
    say(" q %x", qualification);
  if (plain == VIOLATION || plain == MISCONFIGURATION)
    say(" gpa %x", vmcs_get(0x2400));
  if (plain == VIOLATION)
    say(" gla %x", vmcs_get(0x640a));
  if ((plain >= CPUID && plain <= WRMSR) || (plain >= GDTR_IDTR && plain != VIOLATION && plain != MISCONFIGURATION && plain != PREEMPTED))
    say(" len %x", vmcs_get(0x440c));
  if ((plain >= 19 && plain <= 27 && plain != 20 && plain != 24 && plain != 26) || plain == GDTR_IDTR || plain == LDTR_TR || (plain == IO && (qualification & 0x10)))
    say(" info %x", vmcs_get(0x440e) & ~(plain == GDTR_IDTR ? 0x800ul : 0)); /* undefined in 64-bit mode */
  if (plain != EXTERNAL && plain != PREEMPTED)
    say(" ip %x rax %x flags %x", vmcs_get(0x681e), g->regs.rax, vmcs_get(0x6820) & TOLD_FLAGS);
  if (vmcs_get(0x4408) & 0x80000000)
    say(" vectoring %x", vmcs_get(0x4408));
  if (vmcs_get(0x4824))
    say(" blocking %x", vmcs_get(0x4824));
  say("\n");
}

static quad *
reg(struct guest *g, word number)
{
  return &((quad *)&g->regs)[number & 15];
}

static void
control_register(struct guest *g)
{
  quad q = vmcs_get(0x6400);
  word number = (word)q >> 8 & 15, cr = q & 15;
  quad value = number == 4 ? vmcs_get(0x681c) : *reg(g, number);
  switch (q >> 4 & 3) {
  case 0:
    if (cr == 0) {
      vmcs_put(0x6800, (value | 0x20) & ~8ul);
      vmcs_put(0x6004, value);
      if (g->kind != GUEST_LONG)
        break;
    }
    if (cr == 3)
      vmcs_put(0x6802, value & ~(1ul << 63));
    if (cr == 4) {
      vmcs_put(0x6804, value | 0x2000);
      vmcs_put(0x6006, value);
    }
    break;
  case 1:
    *reg(g, number) = cr == 3 ? vmcs_get(0x6802) : 0;
    break;
  case 2:
    vmcs_put(0x6004, vmcs_get(0x6004) & ~8ul);
    vmcs_put(0x6800, vmcs_get(0x6800) & ~8ul);
    break;
  case 3:
    vmcs_put(0x6004, (vmcs_get(0x6004) & ~0xeul) | (q >> 16 & 0xe));
    break;
  }
  next_instruction();
}

static void
exception(struct guest *g)
{
  word event = (word)vmcs_get(0x4404);
  switch (event & 0xff) {
  case 6:
    next_instruction();
    vmcs_put(0x681e, vmcs_get(0x681e) + (vmcs_get(0x440c) ? 0 : 2));
    break;
  case 14:
    asm_("mov %0, %%cr2" : : "r"(vmcs_get(0x6400)));
    inject(event & 0x80000fff, (word)vmcs_get(0x4406));
    break;
  default:
    inject(event & 0x80000fff, 0);
    vmcs_put(0x401a, vmcs_get(0x440c));
  }
  (void)g;
}

/* Gives the guest the page, and tells whoever watches. */
static void
repair(struct guest *g)
{
  quad gpa = vmcs_get(0x2400), index = (gpa - YARD) >> 12;
  if (g->kind != GUEST_LONG || gpa < YARD || index >= 512) {
    say("%s touched %x\n", g->name, gpa);
    g->finished = 1;
    return;
  }
  g->ept->yard[index] = (gpa & ~0xffful) | 0x37;
  ANNOUNCE("page_owner", gpa & ~0xffful, gpa & ~0xffful, 0, (quad)g->exits);
}

static void
hypercall(struct guest *g)
{
  next_instruction();
  quad at = g->ram + g->regs.rsi, count = g->regs.rcx & 0xffff;
  switch (g->regs.rax & 0xff) {
  case 1:
    say("%s says", g->name);
    for (quad i = 0; i < count; i++)
      say(" %x", (quad)((word *)at)[i]);
    say("\n");
    break;
  case 2:
    g->finished = 1;
    break;
  case 3:
    timer_arm(0x50, (word)g->regs.rcx);
    break;
  case 4: /* page 8 now shows what page 9 holds; the manual asks for INVEPT, and there is none */
    g->ept->yard[8] = (YARD + 0x9000) | 0x37;
    break;
  case 5:
    flush_ept(g->ept);
    break;
  case 6:
    deliver((byte)g->regs.rbx);
    break;
  case 7:
    if (!(msr_get(0x482) >> 59 & 1))
      break; /* not every processor has it: what it tells begins with "only" */
    mtf_left = (word)count;
    change(0x4002, 0, 1u << 27);
    break;
  case 8:
    change(0x4000, 0, 1u << 6);
    vmcs_put(0x482e, g->regs.rcx);
    break;
  case 9: /* an event in a guest that halts */
    inject(0x80000000u | (byte)g->regs.rbx, 0);
    vmcs_put(0x4826, 1);
    break;
  default:
    say("unknown call\n");
  }
}

static void
in_out(struct guest *g)
{
  quad q = vmcs_get(0x6400);
  if ((q & 0x18) == 8) {
    static const quad mask[] = {0xff, 0xffff, 0, ~0u};
    quad m = mask[q & 3];
    g->regs.rax = q & 4 ? 0x5a5a5a5a : (g->regs.rax & ~m) | (0x5a5a5a5a & m);
  }
  next_instruction();
}

static void
dispatch(struct guest *g, word reason)
{
  switch (reason) {
  case EXCEPTION:
    exception(g);
    break;
  case EXTERNAL:
    apic_eoi();
    timer_stop();
    g->regs.r15++;
    deliver((byte)vmcs_get(0x4404));
    break;
  case WINDOW:
    change(0x4002, 4, 0);
    inject(0x80000000u | pending_vector, 0);
    break;
  case CPUID:
    g->regs.rax = 0x6b65656c;
    g->regs.rbx += 1;
    g->regs.rcx = g->regs.rdx = 0;
    next_instruction();
    break;
  case CALL:
    hypercall(g);
    break;
  case CR:
    control_register(g);
    break;
  case IO:
    in_out(g);
    break;
  case RDMSR:
    if ((word)g->regs.rcx == 0x4b564d00) {
      inject(0x80000b0d, 0);
      break;
    }
    g->regs.rax = 0x1234;
    g->regs.rdx = 0x5678;
    next_instruction();
    break;
  case WRMSR:
    if ((word)g->regs.rcx == 0x175)
      vmcs_put(0x6824, g->regs.rdx << 32 | (word)g->regs.rax);
    next_instruction();
    break;
  case TRAP_FLAG:
    if (--mtf_left == 0)
      change(0x4002, 1u << 27, 0);
    break;
  case VIOLATION:
  case MISCONFIGURATION:
    repair(g);
    break;
  case PREEMPTED:
    change(0x4000, 1u << 6, 0);
    g->regs.rax = 1;
    break;
  case GDTR_IDTR:
    if ((vmcs_get(0x440e) >> 28 & 3) == 3)
      change(0x401e, 4, 0); /* LIDT: let it through, and all that follow */
    else
      next_instruction();
    break;
  case TRIPLE:
  case TASK:
    g->finished = 1;
    break;
  default:
    next_instruction();
  }
}

/* Runs a guest until it ends or has exited `limit` times. */
void
guest_run(struct guest *g, word limit)
{
  vmcs_use(g->vmcs);
  while (!g->finished && g->exits < limit) {
    int bad = vt_go(&g->regs, g->launched);
    if (bad) {
      say("%s: entry refused %d error %d\n", g->name, (quad)bad, bad == 2 ? vmcs_get(0x4400) : 0ul);
      return;
    }
    word reason = (word)vmcs_get(0x4402);
    g->exits += reason != TRAP_FLAG;
    report(g, reason);
    if (reason & 0x80000000)
      return;
    g->launched = 1;
    vmcs_put(0x4016, 0);
    dispatch(g, reason);
  }
}
