/* Skiff: a hypervisor of one guest, with nothing in common with the samples. It uses VMCS shadowing where the processor
 * has it. It runs on a processor, and as it is under another hypervisor that emulates VT-x. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;
typedef unsigned long u64;
#define PAGE __attribute__((aligned(4096)))
#define GUEST 0x1000000ul
#define SHADOWING (1u << 14)

extern char landed[], passenger[], passenger_end[], tables[], table[];
int sail(u64 *registers, int resume);

static u8 vmxon_page[4096] PAGE, vmcs_page[4096] PAGE, lent_page[4096] PAGE, read_map[4096] PAGE, write_map[4096] PAGE;
static u64 ept[4][512] PAGE, idt[512] PAGE;

static void out8(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static u8 in8(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }

static void
put(const char *s)
{
  for (; *s; s++) {
    while (!(in8(0x3fd) & 0x20))
      ;
    out8(0x3f8, (u8)*s);
  }
}

static void
put_hex(u64 v)
{
  char text[17], *at = text + 16;
  *at = 0;
  do
    *--at = "0123456789abcdef"[v & 15];
  while (v >>= 4);
  put(at);
}

static void
end(u32 status)
{
  put("machine ends with status ");
  put_hex(status);
  put("\n");
  __asm__ volatile("outl %0, %1" : : "a"(status), "Nd"((u16)0xf4));
  for (;;)
    __asm__ volatile("cli; hlt");
}

static void
must(int good, const char *what)
{
  if (good)
    return;
  put("skiff sinks: ");
  put(what);
  put("\n");
  end(1);
}

static u64
msr(u32 index)
{
  u32 low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
  return (u64)high << 32 | low;
}

static u64
get(u64 field)
{
  u64 value = 0;
  u8 bad;
  __asm__ volatile("vmread %2, %0; setna %1" : "+r"(value), "=q"(bad) : "r"(field) : "cc");
  must(!bad, "VMREAD");
  return value;
}

static void
set(u64 field, u64 value)
{
  u8 bad;
  __asm__ volatile("vmwrite %2, %1; setna %0" : "=q"(bad) : "r"(field), "r"(value) : "cc");
  must(!bad, "VMWRITE");
}

static void
region(u8 *page, u32 mark)
{
  *(u32 *)page = ((u32)msr(0x480) & 0x7fffffff) | mark;
}

static void
use(u8 *page)
{
  u8 bad;
  u64 at = (u64)page;
  __asm__ volatile("vmptrld %1; setna %0" : "=q"(bad) : "m"(at) : "cc", "memory");
  must(!bad, "VMPTRLD");
}

static void
clear(u8 *page)
{
  u8 bad;
  u64 at = (u64)page;
  __asm__ volatile("vmclear %1; setna %0" : "=q"(bad) : "m"(at) : "cc", "memory");
  must(!bad, "VMCLEAR");
}

static void
control(u64 field, u32 index, u32 wanted)
{
  u64 may = msr(index);
  must((wanted & ~(u32)(may >> 32)) == 0, "a control is not there");
  set(field, wanted | (u32)may);
}

/* 2 MiB for the guest at guest-physical 0: its tables in the first pages, code at 64 KiB, stack below 128 KiB. */
static void
guest_memory(void)
{
  ept[0][0] = (u64)ept[1] | 7;
  ept[1][0] = (u64)ept[2] | 7;
  ept[2][0] = (u64)ept[3] | 7;
  for (u64 i = 0; i < 512; i++)
    ept[3][i] = (GUEST + (i << 12)) | 0x37;
  volatile u64 *memory = (volatile u64 *)GUEST;
  for (int i = 0; i < 0x40000; i++)
    memory[i] = 0;
  memory[0x1000 / 8] = 0x2003;
  memory[0x2000 / 8] = 0x3003;
  memory[0x3000 / 8] = 0x83;
  memory[0x4000 / 8 + 1] = 0x00af9b000000ffff;
  memory[0x4000 / 8 + 2] = 0x00cf93000000ffff;
  for (int i = 0; i < passenger_end - passenger; i++)
    ((volatile u8 *)GUEST)[0x10000 + i] = (u8)passenger[i];
}

static void
segment(u64 n, u64 selector, u64 base, u64 limit, u64 rights)
{
  set(0x800 + 2 * n, selector);
  set(0x6806 + 2 * n, base);
  set(0x4800 + 2 * n, limit);
  set(0x4814 + 2 * n, rights);
}

static void
guest_state(void)
{
  for (u64 n = 0; n < 6; n++)
    segment(n, n == 1 ? 8 : 16, 0, 0xffffffff, n == 1 ? 0xa09b : 0xc093);
  segment(6, 0, 0, 0, 0x10000);
  segment(7, 0, 0, 0x67, 0x8b);
  set(0x6816, 0x4000), set(0x4810, 23);
  set(0x6818, 0), set(0x4812, 0);
  set(0x6800, 0x80010033), set(0x6802, 0x1000), set(0x6804, 0x2020);
  set(0x2806, 0x500);
  set(0x681a, 0x400), set(0x681c, 0x20000), set(0x681e, 0x10000), set(0x6820, 2);
  set(0x6822, 0), set(0x4824, 0), set(0x4826, 0), set(0x482a, 0), set(0x6824, 0), set(0x6826, 0), set(0x2802, 0);
}

static void
host_state(void)
{
  u64 cr0, cr3, cr4;
  __asm__ volatile("mov %%cr0, %0; mov %%cr3, %1; mov %%cr4, %2" : "=r"(cr0), "=r"(cr3), "=r"(cr4));
  set(0x6c00, cr0), set(0x6c02, cr3), set(0x6c04, cr4);
  for (u64 s = 0xc00; s <= 0xc0a; s += 2)
    set(s, s == 0xc02 ? 8 : 16);
  set(0xc0c, 24);
  set(0x6c06, 0), set(0x6c08, 0), set(0x6c0a, 0x500), set(0x6c0c, (u64)table), set(0x6c0e, (u64)idt);
  set(0x6c10, 0), set(0x6c12, 0), set(0x4c00, 0), set(0x2c02, msr(0xc0000080));
  set(0x6c16, (u64)landed);
}

static void
lend(void)
{
  region(lent_page, 0x80000000);
  clear(lent_page);
  use(lent_page);
  set(0x681c, 0x5ca1ab1e);
  clear(lent_page);
  use(vmcs_page);
  set(0x2026, (u64)read_map);
  set(0x2028, (u64)write_map);
  set(0x2800, (u64)lent_page);
}

void
skiff_main(void)
{
  static u64 registers[16];
  out8(0x3fb, 0x80), out8(0x3f8, 1), out8(0x3f9, 0), out8(0x3fb, 3);
  if (!(msr(0x3a) & 1))
    __asm__ volatile("wrmsr" : : "c"(0x3a), "a"(5), "d"(0));
  __asm__ volatile("mov %0, %%cr4" : : "r"(0x20a0ul));
  region(vmxon_page, 0);
  u64 at = (u64)vmxon_page;
  u8 bad;
  __asm__ volatile("vmxon %1; setna %0" : "=q"(bad) : "m"(at) : "cc", "memory");
  must(!bad, "VMXON");
  region(vmcs_page, 0);
  clear(vmcs_page);
  use(vmcs_page);
  u32 base = msr(0x480) >> 55 & 1 ? 0x48d : 0x481;
  u32 shadowing = (u32)(msr(0x48b) >> 32) & SHADOWING;
  put(shadowing ? "skiff lends its guest a VMCS\n" : "skiff has no VMCS shadowing\n");
  control(0x4000, base, 0);
  control(0x4002, base + 1, 1u << 31);
  control(0x401e, 0x48b, 0x22 | shadowing);
  control(0x400c, base + 2, 0x200 | 0x300000);
  control(0x4012, base + 3, 0x8200);
  set(0x0000, 1);
  set(0x2800, ~0ul);
  set(0x4004, 0), set(0x4006, 0), set(0x4008, 0), set(0x400a, 0), set(0x400e, 0), set(0x4010, 0), set(0x4014, 0);
  set(0x4016, 0);
  set(0x6000, 0), set(0x6002, 0), set(0x6004, 0x80010033), set(0x6006, 0x2020);
  guest_memory();
  set(0x201a, (u64)ept[0] | 0x1e);
  guest_state();
  host_state();
  if (shadowing)
    lend();
  registers[7] = shadowing != 0;
  for (int resume = 0;; resume = 1) {
    must(!sail(registers, resume), "the guest cannot be entered");
    u64 reason = get(0x4402);
    if (reason == 10) {
      registers[0] = registers[1] = registers[2] = 0;
      registers[3] = 0x66696b73;
    } else if (reason == 18 && registers[0] == 1) {
      put("guest: ");
      put_hex(registers[3]);
      put("\n");
    } else if (reason == 18) {
      break;
    } else {
      put_hex(reason);
      must(0, " is an exit that nobody expected");
    }
    set(0x681e, get(0x681e) + get(0x440c));
  }
  if (shadowing) {
    use(lent_page);
    put("the VMCS comes back with ");
    put_hex(get(0x681c));
    put("\n");
  }
  end(0);
}
