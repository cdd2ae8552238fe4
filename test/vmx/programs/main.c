// Tries VM entries and reports each on the serial port: "case N: fail E", "case N: invalid", "case N: exit REASON
// QUALIFICATION". What is tried comes in the module "cases": a VMCS that can be entered, and for each case the fields
// and the memory that differ. Addresses and tables are those of the bench that made the cases.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define VMXON_REGION 0x1000
#define VMCS_REGION 0x2000
#define OTHER_VMCS 0x3000
#define SCRATCH 0x4000
#define SCRATCH_END 0xa000
#define PML4 0xa000
#define PDPT 0xb000
#define GUEST_CODE 0x200000
#define LARGEST_MODULE 0x20000

#define FIELD_EXIT_REASON 0x4402
#define FIELD_QUALIFICATION 0x6400
#define FIELD_INSTRUCTION_ERROR 0x4400
#define FIELD_HOST_RSP 0x6c14
#define FIELD_HOST_RIP 0x6c16

#define MSR_FEATURE_CONTROL 0x3a
#define MSR_VMX_BASIC 0x480
#define CR4_VMXE 0x2000
#define COM1 0x3f8
#define COM1_LINE_STATUS 0x3fd
#define TRANSMITTER_READY 0x20
#define EXIT_PORT 0xf4

struct write {
  u64 where, value;
};

struct list {
  u32 fields, memory;
  struct write writes[];
};

static u8 module[LARGEST_MODULE] __attribute__((aligned(8)));

extern unsigned check_launch(void);
extern char check_exit[];

static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static void outl(u16 port, u32 value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }

static u64
rdmsr(u32 index)
{
  u32 low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
  return (u64)high << 32 | low;
}

static void
wrmsr(u32 index, u64 value)
{
  __asm__ volatile("wrmsr" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)));
}

static u8
inb(u16 port)
{
  u8 value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static void
put_char(u8 c)
{
  while (!(inb(COM1_LINE_STATUS) & TRANSMITTER_READY))
    ;
  outb(COM1, c);
}

// 115200 baud, 8 data bits: the slower default is what a run on an exact emulator would spend its time with.
static void
set_line_speed(void)
{
  outb(COM1 + 3, 0x80);
  outb(COM1, 1);
  outb(COM1 + 1, 0);
  outb(COM1 + 3, 3);
}

static void
put(const char *text)
{
  for (; *text; text++)
    put_char((u8)*text);
}

static void
put_hex(u64 value)
{
  int shift = 60;
  while (shift > 0 && !(value >> shift))
    shift -= 4;
  for (; shift >= 0; shift -= 4)
    put_char((u8) "0123456789abcdef"[value >> shift & 15]);
}

static void
put_number(u32 value)
{
  if (value >= 10)
    put_number(value / 10);
  put_char((u8)('0' + value % 10));
}

static void
end(u32 status)
{
  put("machine ends with status ");
  put_number(status);
  put("\n");
  outl(EXIT_PORT, status);
  for (;;)
    __asm__ volatile("cli; hlt");
}

static void
fail(const char *why)
{
  put(why);
  put("\n");
  end(1);
}

static u64
vmread(u64 field)
{
  u64 value = 0;
  __asm__ volatile("vmread %1, %0" : "+r"(value) : "r"(field) : "cc");
  return value;
}

// A field that the processor lacks is not written: that is no failure of the case.
static void
vmwrite(u64 field, u64 value)
{
  __asm__ volatile("vmwrite %1, %0" : : "r"(field), "r"(value) : "cc");
}

static _Bool
vmxon(u64 region)
{
  _Bool failed;
  __asm__ volatile("vmxon %1" : "=@ccna"(failed) : "m"(region) : "memory");
  return !failed;
}

static void
make_current(u64 region)
{
  __asm__ volatile("vmclear %0" : : "m"(region) : "cc", "memory");
  __asm__ volatile("vmptrld %0" : : "m"(region) : "cc", "memory");
}

static void
clear(u64 from, u64 to)
{
  for (u64 at = from; at < to; at += 8)
    *(volatile u64 *)at = 0;
}

struct tag {
  u32 type, size;
  u32 start, end;
};

static void
find_module(u32 magic, u32 information)
{
  u64 start = 0, size = 0;
  if (magic == 0x36d76289) {
    const struct tag *tag = (const void *)(u64)(information + 8);
    for (; tag->type != 0; tag = (const void *)((u64)tag + ((tag->size + 7) & ~7ul)))
      if (tag->type == 3) {
        start = tag->start;
        size = tag->end - tag->start;
      }
  } else {
    const u64 *modules = (const void *)*(const u64 *)(u64)(information + 16);
    start = modules[0];
    size = modules[1];
  }
  if (size == 0 || size > LARGEST_MODULE)
    fail("no module with cases, or one that is too large");
  for (u64 i = 0; i < size; i++)
    module[i] = ((const u8 *)start)[i];
}

static void
enter_vmx_operation(void)
{
  if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
    wrmsr(MSR_FEATURE_CONTROL, 5);
  u64 cr4;
  __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
  __asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | CR4_VMXE));
  clear(VMXON_REGION, SCRATCH);
  u32 revision = rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
  *(volatile u32 *)VMXON_REGION = revision;
  *(volatile u32 *)VMCS_REGION = revision;
  *(volatile u32 *)OTHER_VMCS = revision;
  if (!vmxon(VMXON_REGION))
    fail("VMXON failed");
}

// The guest's page tables are the host's too: a page of 1 GiB, mapped to itself. Its code is VMCALL.
static void
make_guest(void)
{
  clear(PML4, PDPT + 0x1000);
  *(volatile u64 *)PML4 = PDPT | 7;
  *(volatile u64 *)PDPT = 0x87;
  *(volatile u32 *)GUEST_CODE = 0xc1010f;
}

static void
apply(const struct list *list)
{
  const struct write *write = list->writes;
  for (u32 i = 0; i < list->fields; i++, write++)
    vmwrite(write->where, write->value);
  for (u32 i = 0; i < list->memory; i++, write++)
    *(volatile u64 *)write->where = write->value;
}

static void
run_case(u32 number, const struct list *base, const struct list *differences)
{
  clear(SCRATCH, SCRATCH_END);
  clear(VMCS_REGION + 8, VMCS_REGION + 0x1000);
  make_current(VMCS_REGION);
  apply(base);
  vmwrite(FIELD_HOST_RSP, 0);
  vmwrite(FIELD_HOST_RIP, (u64)check_exit);
  apply(differences);
  unsigned outcome = check_launch();
  put("case ");
  put_number(number);
  if (outcome == 2) {
    put(": fail ");
    put_number((u32)vmread(FIELD_INSTRUCTION_ERROR));
  } else if (outcome == 1) {
    put(": invalid");
  } else {
    put(": exit ");
    put_hex(vmread(FIELD_EXIT_REASON));
    put(" ");
    put_hex(vmread(FIELD_QUALIFICATION));
  }
  put("\n");
}

static const struct list *
next(const struct list *list)
{
  return (const void *)&list->writes[list->fields + list->memory];
}

void
check_main(u32 magic, u32 information)
{
  set_line_speed();
  outb(0x21, 0xff); // no interrupt of the interrupt controllers may disturb
  outb(0xa1, 0xff);
  find_module(magic, information);
  enter_vmx_operation();
  make_guest();
  u64 count = *(const u64 *)module;
  const struct list *base = (const void *)(module + 8);
  const struct list *list = next(base);
  for (u32 i = 0; i < count; i++, list = next(list))
    run_case(i, base, list);
  end(0);
}
