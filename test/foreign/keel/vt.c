#include "keel.h"

extern byte trap_stubs[], vt_back[];
extern quad gdt[];
extern byte tss[104];
extern quad boot_pml4[];

struct gate {
  half low, selector, flags, middle;
  word high, zero;
};
static struct gate idt[256] __attribute__((aligned(16)));
static byte vmxon_page[4096] __attribute__((aligned(4096)));
static byte io_bitmaps[2][4096] __attribute__((aligned(4096)));
static byte msr_bitmap[4096] __attribute__((aligned(4096)));
quad trap_count[256];

struct trap_frame {
  quad vector, error, rip, cs, rflags, rsp, ss;
};

quad
msr_get(word index)
{
  word low, high;
  asm_("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
  return (quad)high << 32 | low;
}

void
msr_put(word index, quad value)
{
  asm_("wrmsr" : : "c"(index), "a"((word)value), "d"((word)(value >> 32)));
}

void trap(struct trap_frame *frame) __attribute__((used));
void
trap(struct trap_frame *frame)
{
  trap_count[frame->vector & 255]++;
  if (frame->vector >= 32 || frame->vector == 2) {
    if (frame->vector >= 32)
      apic_eoi();
    return;
  }
  quad cr2;
  asm_("mov %%cr2, %0" : "=r"(cr2));
  say("host exception %d error %x rip %x cr2 %x\n", frame->vector, frame->error, frame->rip, cr2);
  quit(3);
}

void
trap_init(void)
{
  for (int i = 0; i < 256; i++) {
    quad at = (quad)trap_stubs + 16 * (quad)i;
    idt[i] = (struct gate){(half)at, 0x38, 0x8e00, (half)(at >> 16), (word)(at >> 32), 0};
  }
  struct {
    half limit;
    quad base;
  } __attribute__((packed)) pointer = {sizeof idt - 1, (quad)idt};
  asm_("lidt %0" : : "m"(pointer));
}

static quad volatile *const apic = (quad volatile *)0xfee00000ul;
static void apic_put(word offset, word value) { *(word volatile *)((byte volatile *)apic + offset) = value; }
void apic_eoi(void) { apic_put(0xb0, 0); }

void
timer_arm(byte vector, word count)
{
  apic_put(0xf0, 0x1ff);
  apic_put(0x80, 0);
  apic_put(0x3e0, 0xb); /* divide by 1 */
  apic_put(0x320, vector);
  apic_put(0x380, count);
}

void
timer_stop(void)
{
  apic_put(0x320, 0x10000);
  apic_put(0x380, 0);
}

static quad get_cr0(void) { quad v; asm_("mov %%cr0, %0" : "=r"(v)); return v; }
static quad get_cr3(void) { quad v; asm_("mov %%cr3, %0" : "=r"(v)); return v; }
static quad get_cr4(void) { quad v; asm_("mov %%cr4, %0" : "=r"(v)); return v; }
static void set_cr4(quad v) { asm_("mov %0, %%cr4" : : "r"(v)); }

int
vt_on(void)
{
  word a = 1, b, c = 0, d;
  asm_("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  if (!(c & 0x20))
    return 0;
  if (!(msr_get(0x3a) & 1))
    msr_put(0x3a, 5);
  set_cr4(get_cr4() | 0x2000);
  *(word *)vmxon_page = (word)msr_get(0x480);
  quad at = PHYS_OF(vmxon_page);
  byte bad;
  asm_("vmxon %1; setna %0" : "=q"(bad) : "m"(at) : "cc", "memory");
  return !bad;
}

void
vt_off(void)
{
  asm_("vmxoff");
  set_cr4(get_cr4() & ~0x2000ul);
}

quad
vmcs_get(word field)
{
  quad value = 0;
  asm_("vmread %1, %0" : "+r"(value) : "r"((quad)field) : "cc");
  return value;
}

void
vmcs_put(word field, quad value)
{
  byte bad;
  asm_("vmwrite %2, %1; setna %0" : "=q"(bad) : "r"((quad)field), "rm"(value) : "cc");
  if (bad)
    say("no field %x\n", (quad)field);
}

void
vmcs_use(byte *region)
{
  quad at = PHYS_OF(region);
  asm_("vmptrld %0" : : "m"(at) : "cc", "memory");
}

void
flush_ept(struct ept *ept)
{
  struct {
    quad eptp, zero;
  } descriptor = {PHYS_OF(ept->pml4) | 0x1e, 0};
  asm_("invept %0, %1" : : "m"(descriptor), "r"(1ul) : "cc", "memory");
}

/* All that is wanted must be there, and what the processor insists on is added. */
static quad
control(word index, word wanted)
{
  quad allowed = msr_get(index);
  word result = (wanted | (word)allowed) & (word)(allowed >> 32);
  if ((result & wanted) != wanted)
    say("controls %x lack %x\n", (quad)index, (quad)(wanted & ~result));
  return result;
}

static void
ept_fill(struct guest *g)
{
  struct ept *e = g->ept;
  fill(e, 0, sizeof *e);
  e->pml4[0] = PHYS_OF(e->pdpt) | 7;
  e->pdpt[0] = PHYS_OF(e->pd) | 7;
  if (g->kind != GUEST_LONG) {
    e->pd[0] = g->ram | 0xb7; /* one page of 2 MiB, write-back */
    return;
  }
  for (quad i = 0; i < 32; i++)
    e->pd[i] = i << 21 | 0xb7;
  e->pd[YARD >> 21] = PHYS_OF(e->yard) | 7;
  for (quad i = 0; i < 512; i++)
    e->yard[i] = (YARD + i * 4096) | 0x37;
  e->yard[1] = 0;                        /* missing */
  e->yard[2] = (YARD + 0x2000) | 0x31;   /* read-only */
  e->yard[3] = (YARD + 0x3000) | 0x33;   /* not executable */
  e->yard[4] = (YARD + 0x4000) | 0x32;   /* write-only: misconfigured */
  e->yard[5] = (YARD + 0x5000) | 0x34;   /* execute-only */
}

static void
bit(byte *map, quad n)
{
  map[n >> 3] |= (byte)(1 << (n & 7));
}

static void
bitmaps(void)
{
  bit(io_bitmaps[0], 0x80);
  bit(io_bitmaps[0], 0x60);
  for (quad port = 0x5550; port < 0x5560; port++)
    bit(io_bitmaps[0], port);
  bit(io_bitmaps[1], 0xc000 - 0x8000);
  bit(msr_bitmap, 0x174);                /* reads of IA32_SYSENTER_CS */
  bit(msr_bitmap + 2048, 0x175);         /* writes of IA32_SYSENTER_ESP */
  bit(msr_bitmap + 1024, 0x82);          /* reads of IA32_LSTAR */
}

static void
segment(word index, word selector, quad base, word limit, word rights)
{
  vmcs_put(0x800 + index * 2, selector);
  vmcs_put(0x6806 + index * 2, base);
  vmcs_put(0x4800 + index * 2, limit);
  vmcs_put(0x4814 + index * 2, rights);
}

static void
host_state(void)
{
  quad tr = (quad)tss;
  vmcs_put(0x6c00, get_cr0());
  vmcs_put(0x6c02, get_cr3());
  vmcs_put(0x6c04, get_cr4());
  for (word s = 0xc00; s <= 0xc0a; s += 2)
    vmcs_put(s, s == 0xc02 ? 0x38 : s == 0xc04 ? 0x40 : 0);
  vmcs_put(0xc0c, 0x48);
  vmcs_put(0x6c06, 0);
  vmcs_put(0x6c08, 0);
  vmcs_put(0x6c0a, tr);
  vmcs_put(0x6c0c, (quad)gdt);
  vmcs_put(0x6c0e, (quad)idt);
  vmcs_put(0x6c10, 0);
  vmcs_put(0x6c12, 0);
  vmcs_put(0x4c00, 0);
  vmcs_put(0x2c02, msr_get(0xc0000080));
}

#define CR0_GUEST 0x80010031ul

void
guest_prepare(struct guest *g, quad rip, quad rsp)
{
  *(word *)g->vmcs = (word)msr_get(0x480);
  quad at = PHYS_OF(g->vmcs);
  asm_("vmclear %0" : : "m"(at) : "cc", "memory");
  vmcs_use(g->vmcs);
  ept_fill(g);
  bitmaps();
  int shift = msr_get(0x480) >> 55 & 1 ? 12 : 0; /* the TRUE capability registers */
  word base = 0x481 + (word)shift;
  if (shift)
    base = 0x48d;
  int is_long = g->kind == GUEST_LONG;
  vmcs_put(0x4000, control(base, 0x01));
  /* HLT INVLPG RDPMC RDTSC CR8 MOV-DR I/O bitmaps, MSR bitmaps, PAUSE, secondary; CR3 for the long guest */
  word primary = 0x80 | 0x200 | 0x800 | 0x1000 | 0x180000 | 0x800000 | 0x2000000 | 0x10000000 | 0x40000000 | 0x80000000;
  vmcs_put(0x4002, control(base + 1, primary | (is_long ? 0x18000 : 0)) & ~(is_long ? 0u : 0x18000u));
  /* EPT, descriptor tables, VPID, WBINVD, unrestricted */
  vmcs_put(0x401e, control(0x48b, 0x2 | 0x20 | 0x40 | (is_long ? 0x4 : 0x80)));
  vmcs_put(0x400c, control(base + 2, 0x200 | 0x8000 | 0x100000 | 0x200000));
  vmcs_put(0x4012, control(base + 3, 0x8000 | (is_long ? 0x200 : 0)));
  vmcs_put(0x0000, 1u + (word)g->kind); /* VPID */
  vmcs_put(0x201a, PHYS_OF(g->ept->pml4) | 0x1e);
  vmcs_put(0x2000, PHYS_OF(io_bitmaps[0]));
  vmcs_put(0x2002, PHYS_OF(io_bitmaps[1]));
  vmcs_put(0x2004, PHYS_OF(msr_bitmap));
  vmcs_put(0x4004, is_long ? 1u << 6 | 1u << 14 | 1u << 3 : 1u << 6); /* #UD; for the long guest #PF and #BP too */
  vmcs_put(0x4006, 2);                                               /* #PF: writes only */
  vmcs_put(0x4008, 2);
  vmcs_put(0x400a, is_long ? 1 : 0);
  if (is_long)
    vmcs_put(0x6008, get_cr3() | 0x18); /* a CR3 target that loads without an exit */
  vmcs_put(0x2800, ~0ul);
  vmcs_put(0x2010, 0x100000000ul); /* TSC offset */
  host_state();

  vmcs_put(0x6000, is_long ? 0x80000021 | 0x8 : g->kind == GUEST_REAL ? 0x20 : 0x20);
  vmcs_put(0x6002, is_long ? 0x2000 : 0x2000);
  vmcs_put(0x6004, is_long ? CR0_GUEST : 0x10);
  vmcs_put(0x6006, 0);
  if (is_long) {
    vmcs_put(0x6800, CR0_GUEST);
    vmcs_put(0x6802, get_cr3());
    vmcs_put(0x6804, 0x20a0);
    vmcs_put(0x2806, 0x500);
    for (word i = 0; i < 6; i++)
      segment(i, 0x40, 0, ~0u, 0xc093);
    segment(1, 0x38, 0, ~0u, 0xa09b);
    segment(7, 0x48, (quad)tss, 103, 0x8b);
    vmcs_put(0x6816, (quad)gdt);
    vmcs_put(0x4810, 87);
  } else {
    vmcs_put(0x6800, 0x30);
    vmcs_put(0x6802, 0);
    vmcs_put(0x6804, 0x2000);
    vmcs_put(0x2806, 0);
    for (word i = 0; i < 6; i++)
      segment(i, 0, 0, 0xffff, 0x93);
    segment(1, 0x800, 0x8000, 0xffff, 0x9b);
    segment(7, 0, 0, 0xffff, 0x8b);
    vmcs_put(0x6816, 0);
    vmcs_put(0x4810, 0xffff);
  }
  segment(6, 0, 0, 0, 0x10000);
  vmcs_put(0x6818, 0);
  vmcs_put(0x4812, is_long ? 0 : 0x3ff);
  vmcs_put(0x681a, 0x400);
  vmcs_put(0x681c, rsp);
  vmcs_put(0x681e, rip);
  vmcs_put(0x6820, 2);
  vmcs_put(0x6822, 0);
  vmcs_put(0x4824, 0);
  vmcs_put(0x4826, 0);
  vmcs_put(0x482a, 0);
  vmcs_put(0x6824, 0);
  vmcs_put(0x6826, 0);
  vmcs_put(0x2802, 0);
}
