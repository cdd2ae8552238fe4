#include "keel.h"

extern const byte guest16[], guest16_end[], guest32[], guest32_end[];
extern const byte guest32_gate[], guest32_gate_at[];

static struct ept tables[3];
static byte regions[4][4096] __attribute__((aligned(4096)));
static byte guest_stack[16384] __attribute__((aligned(16)));
static struct guest guests[] = {
  {.name = "long", .kind = GUEST_LONG},
  {.name = "real", .kind = GUEST_REAL, .ram = REAL_RAM},
  {.name = "prot", .kind = GUEST_PROTECTED, .ram = PROT_RAM},
};

/* Entries that must be refused: one field changed, the outcome told, the field restored. */
static const struct refused {
  const char *what;
  word field;
  quad value;
} refused[] = {
  {"guest RFLAGS bit 1 clear", 0x6820, 0},
  {"CS not present", 0x4816, 0xa01b},
  {"SS of ring 3, CS of ring 0", 0x4818, 0xc0f3},
  {"TR available", 0x4822, 0x89},
  {"CR4 without VMXE", 0x6804, 0xa0},
  {"activity state 5", 0x4826, 5},
  {"VMCS link pointer 0x1234", 0x2800, 0x1234},
  {"pin-based controls without default1", 0x4000, 0},
  {"an I/O bitmap that is not aligned", 0x2000, 0x123},
  {"EPTP with memory type 5", 0x201a, 0x101d},
  {"VPID 0", 0x0000, 0},
  {"CR3-target count 9", 0x400a, 9},
  {"host CS 0", 0xc02, 0},
  {"host CR4 without PAE", 0x6c04, 0x2080},
  {"injection of vector 40 as hardware exception", 0x4016, 0x80000328},
};

static void
refusals(struct guest *g)
{
  for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++) {
    const struct refused *r = &refused[i];
    quad before = vmcs_get(r->field);
    vmcs_put(r->field, r->value);
    int bad = vt_go(&g->regs, 0);
    say("refused: %s: ", r->what);
    if (bad)
      say("fail %d error %d\n", (quad)bad, bad == 2 ? vmcs_get(0x4400) : 0ul);
    else
      say("exit %x q %x\n", vmcs_get(0x4402), vmcs_get(0x6400));
    vmcs_put(r->field, before);
  }
  int bad = vt_go(&g->regs, 1);
  say("refused: VMRESUME before VMLAUNCH: fail %d error %d\n", (quad)bad, vmcs_get(0x4400));
  vmcs_put(0x4402, 0);
  vmcs_put(0x7777, 0);
  say("VM-instruction error %d\n", vmcs_get(0x4400));
}

static void
place(struct guest *g, const byte *from, const byte *to)
{
  byte *ram = VIRT_OF(g->ram);
  fill(ram, 0, 0x200000);
  copy(ram + 0x8000, from, (quad)(to - from));
  if (g->kind == GUEST_PROTECTED) {
    quad entry = (quad)guest32_gate;
    half *gate = (half *)(ram + (quad)guest32_gate_at);
    gate[0] = (half)entry;
    gate[3] = (half)(entry >> 16);
  }
}

void
keel_main(void)
{
  port_out(0x3fb, 0x80);
  port_out(0x3f8, 1);
  port_out(0x3f9, 0);
  port_out(0x3fb, 3);
  port_out(0x21, 0xff);
  port_out(0xa1, 0xff);
  say("keel: three guests\n");
  trap_init();
  if (!vt_on()) {
    say("no VMX operation\n");
    quit(2);
  }
  for (unsigned i = 0; i < 3; i++) {
    struct guest *g = &guests[i];
    g->ept = &tables[i];
    g->vmcs = regions[i];
    if (g->kind == GUEST_LONG) {
      fill(VIRT_OF(YARD), 0, 0x200000);
      guest_prepare(g, (quad)long_guest, (quad)(guest_stack + sizeof guest_stack - 8));
      refusals(g);
    } else if (g->kind == GUEST_REAL) {
      place(g, guest16, guest16_end);
      guest_prepare(g, 0, 0x7000);
    } else {
      place(g, guest32, guest32_end);
      guest_prepare(g, 0, 0x7000);
    }
    guest_run(g, 200);
    say("%s ended after %d exits\n", g->name, (quad)g->exits);
  }
  vt_off();
  quit(0);
}
