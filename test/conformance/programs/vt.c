// One hypervisor, one guest, and a case at a time: each begins with a VMCS that can be entered, in which the guest runs
// 64-bit code at CPL 0 in the host's address space. A case prints "case NAME: ok", "case NAME: absent WHAT" or
// "case NAME: fail WHAT: got X, wanted Y", always on one line; its coverage and section follow "list NAME".
#include "vt.h"

#define MSR_FEATURE_CONTROL 0x3a
#define MSR_BASIC 0x480
#define CR4_VMXE 0x2000
#define COM1 0x3f8
#define COM1_LINE_STATUS 0x3fd
#define TRANSMITTER_READY 0x20
#define EXIT_PORT 0xf4
#define ENTRY_FAILED 0x80000000u
#define PAGE __attribute__((aligned(4096)))

extern u64 vt_enter(u64 resume);
extern int case_begin(void) __attribute__((returns_twice));
extern void case_end(int value) __attribute__((noreturn));
extern char vt_exit[], host_stubs[], guest_stubs[], gdt_end[], tss[], pml4[];
extern const struct testcase cases_begin[], cases_end[];

u64 registers[16];
volatile struct trap trap;
volatile u32 host_interrupts, host_nmis, host_interrupt_vector;

u8 vmxon_region[4096] PAGE;
static u8 vmcs_region[4096] PAGE;
u8 page_a[4096] PAGE, page_b[4096] PAGE, page_c[4096] PAGE, page_d[4096] PAGE, io_bitmaps[8192] PAGE,
    msr_bitmap[4096] PAGE;
static u8 guest_stack[8192] PAGE;
static u8 host_stack[16384] PAGE;
u64 guest_pml4[512] PAGE, guest_pt[512] PAGE, ept_pml4[512] PAGE, ept_pdpt[512] PAGE, ept_pd[512] PAGE, ept_pt[512] PAGE;
static u64 guest_pdpt[512] PAGE, guest_pd[512] PAGE;
u64 guest_idt[512] PAGE;
static u64 host_idt[512] PAGE;
static _Bool launched;
static u32 controls[5];
static const u32 word_fields[5] = {PIN_CONTROLS, PRIMARY_CONTROLS, SECONDARY_CONTROLS, EXIT_CONTROLS, ENTRY_CONTROLS};
static const u32 word_msrs[5] = {0x48d, 0x48e, 0x48b, 0x48f, 0x490};

enum { RUNNING, OK, ABSENT, FAILED };

static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static void outl(u16 port, u32 value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }
static u8
inb(u16 port)
{
  u8 value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

u64
rdmsr(u32 index)
{
  u32 low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
  return (u64)high << 32 | low;
}

void
wrmsr(u32 index, u64 value)
{
  __asm__ volatile("wrmsr" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)));
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
end(u32 status)
{
  put("machine ends with status ");
  put_hex(status);
  put("\n");
  outl(EXIT_PORT, status);
  for (;;)
    __asm__ volatile("cli; hlt");
}

void
fail_case(const char *what, u64 got, u64 wanted)
{
  put("fail ");
  put(what);
  put(": got ");
  put_hex(got);
  put(", wanted ");
  put_hex(wanted);
  case_end(FAILED);
}

void
expect(const char *what, u64 got, u64 wanted)
{
  if (got != wanted)
    fail_case(what, got, wanted);
}

void
need_that(_Bool there, const char *what)
{
  if (there)
    return;
  put("absent ");
  put(what);
  case_end(ABSENT);
}

struct frame {
  u64 vector, error, rip, cs, rflags, rsp, ss;
};

void host_trap(const struct frame *frame) __attribute__((used));
void
host_trap(const struct frame *frame)
{
  if (frame->vector == 2) {
    host_nmis++;
    return;
  }
  if (frame->vector >= 32) {
    host_interrupts++;
    host_interrupt_vector = (u32)frame->vector;
    APIC[0xb0 / 4] = 0;
    return;
  }
  put("fail exception in the host, RIP ");
  put_hex(frame->rip);
  put(", error code ");
  put_hex(frame->error);
  put(": got ");
  put_hex(frame->vector);
  put(", wanted none");
  case_end(FAILED);
}

static void
set_gate(u64 *idt, int vector, u64 handler)
{
  idt[vector * 2] = (handler & 0xffff) | 0x8ul << 16 | 0x8eul << 40 | (handler >> 16 & 0xffff) << 48;
  idt[vector * 2 + 1] = handler >> 32;
}

void
set_guest_trap(int vector, void *handler)
{
  set_gate(guest_idt, vector, (u64)handler);
}

u64
try_vmread(u64 field, u64 *value)
{
  u64 flags;
  u64 read = *value;
  __asm__ volatile("vmread %2, %1\n pushfq\n popq %0" : "=r"(flags), "+r"(read) : "r"(field) : "cc");
  *value = read;
  return flags & 0x41;
}

u64
try_vmwrite(u64 field, u64 value)
{
  u64 flags;
  __asm__ volatile("vmwrite %2, %1\n pushfq\n popq %0" : "=r"(flags) : "r"(field), "r"(value) : "cc");
  return flags & 0x41;
}

u64
vmread(u64 field)
{
  u64 value = 0;
  if (try_vmread(field, &value))
    fail_case("VMREAD of a field that should exist", field, 0);
  return value;
}

void
vmwrite(u64 field, u64 value)
{
  if (try_vmwrite(field, value))
    fail_case("VMWRITE of a field that should exist", field, 0);
}

void
clear_page(void *page)
{
  for (int i = 0; i < 512; i++)
    ((volatile u64 *)page)[i] = 0;
}

_Bool
can(enum control control)
{
  u32 word = control >> 8;
  if (word == 2 && !can(ACTIVATE_SECONDARY_CONTROLS))
    return 0;
  return rdmsr(word_msrs[word]) >> 32 >> (control & 31) & 1;
}

void
need(enum control control)
{
  if (can(control))
    return;
  put("absent control ");
  put_hex(control);
  case_end(ABSENT);
}

static void
set_control(enum control control, _Bool value)
{
  u32 word = control >> 8, bit = 1u << (control & 31);
  controls[word] = value ? controls[word] | bit : controls[word] & ~bit;
  vmwrite(word_fields[word], controls[word]);
}

void
on(enum control control)
{
  need(control);
  if (control >> 8 == 2)
    set_control(ACTIVATE_SECONDARY_CONTROLS, 1);
  set_control(control, 1);
}

void off(enum control control) { set_control(control, 0); }

static u64
enter(void)
{
  trap.vector = -1ul;
  u64 outcome = vt_enter(launched);
  if (outcome == 0 && !(vmread(EXIT_REASON) & ENTRY_FAILED))
    launched = 1;
  return outcome;
}

void
go(void)
{
  u64 outcome = enter();
  if (outcome == 1)
    fail_case("VM entry ends with VMfailInvalid", outcome, 0);
  if (outcome == 2)
    fail_case("VM entry ends with VMfailValid, error", vmread(INSTRUCTION_ERROR), 0);
  u64 reason = vmread(EXIT_REASON);
  if (reason & ENTRY_FAILED)
    fail_case("VM-entry failure, exit reason", reason, 0);
}

void
expect_exit(u32 reason, u64 qualification)
{
  expect("exit reason", vmread(EXIT_REASON), reason);
  expect("exit qualification", vmread(QUALIFICATION), qualification);
}

void
expect_refused(u32 error)
{
  expect("outcome of the VM entry (2: VMfailValid)", enter(), 2);
  expect("VM-instruction error", vmread(INSTRUCTION_ERROR), error);
}

void
expect_failed_entry(u32 reason, u64 qualification)
{
  expect("outcome of the VM entry (0: an exit)", enter(), 0);
  expect_exit(reason | ENTRY_FAILED, qualification);
}

void
invept(u64 type, u64 eptp)
{
  struct {
    u64 eptp, zero;
  } descriptor = {eptp, 0};
  __asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(type) : "cc", "memory");
}

void
invvpid(u64 type, u64 vpid, u64 linear)
{
  struct {
    u64 vpid, linear;
  } descriptor = {vpid, linear};
  __asm__ volatile("invvpid %0, %1" : : "m"(descriptor), "r"(type) : "cc", "memory");
}

// The guest gets page tables of its own: as the host's, but the paging area has pages of 4 KiB, each mapped to itself.
void
use_guest_paging(void)
{
  for (u64 i = 0; i < 512; i++) {
    guest_pml4[i] = i == 0 ? (u64)guest_pdpt | 7 : 0;
    guest_pdpt[i] = i == 0 ? (u64)guest_pd | 7 : i < 4 ? i << 30 | 0x87 : 0;
    guest_pd[i] = i == PAGING_AREA >> 21 ? (u64)guest_pt | 7 : i << 21 | 0x87;
    guest_pt[i] = PAGING_AREA | i << 12 | 7;
  }
  vmwrite(GUEST_CR3, (u64)guest_pml4);
}

#define EPT_RWX 7ul
#define EPT_WB (6ul << 3)
#define EPT_LARGE 0x80ul

// Identity, write-back; the EPT area has pages of 4 KiB.
void
use_ept(void)
{
  on(ENABLE_EPT);
  for (u64 i = 0; i < 512; i++) {
    ept_pml4[i] = i == 0 ? (u64)ept_pdpt | EPT_RWX : 0;
    ept_pdpt[i] = i == 0 ? (u64)ept_pd | EPT_RWX : 0;
    ept_pd[i] = i == EPT_AREA >> 21 ? (u64)ept_pt | EPT_RWX : i << 21 | EPT_LARGE | EPT_WB | EPT_RWX;
    ept_pt[i] = EPT_AREA | i << 12 | EPT_WB | EPT_RWX;
  }
  // The local APIC's page lies in the fourth GiB.
  ept_pdpt[3] = (u64)page_d | EPT_RWX;
  for (u64 i = 0; i < 512; i++)
    ((u64 *)page_d)[i] = 3ul << 30 | i << 21 | EPT_LARGE | EPT_RWX;
  vmwrite(EPTP, (u64)ept_pml4 | 3 << 3 | 6);
  invept(1, (u64)ept_pml4 | 3 << 3 | 6);
}

static u64 get_cr0(void) { u64 v; __asm__ volatile("movq %%cr0, %0" : "=r"(v)); return v; }
static u64 get_cr3(void) { u64 v; __asm__ volatile("movq %%cr3, %0" : "=r"(v)); return v; }
static u64 get_cr4(void) { u64 v; __asm__ volatile("movq %%cr4, %0" : "=r"(v)); return v; }

static void
load_idt(void)
{
  struct __attribute__((packed)) {
    u16 limit;
    u64 base;
  } pointer = {sizeof host_idt - 1, (u64)host_idt};
  for (int i = 0; i < 256; i++)
    set_gate(host_idt, i, (u64)host_stubs + 16 * (u64)i);
  __asm__ volatile("lidt %0" : : "m"(pointer));
}

static void
write_segments(void)
{
  static const u16 selectors[8] = {16, 8, 16, 16, 16, 16, 0, 0x30};
  static const u32 rights[8] = {0xc093, 0xa09b, 0xc093, 0xc093, 0xc093, 0xc093, 0x10000, 0x8b};
  for (u32 i = 0; i < 8; i++) {
    vmwrite(GUEST_ES + 2 * i, selectors[i]);
    vmwrite(GUEST_ES_LIMIT + 2 * i, i < 6 ? 0xffffffff : i == 7 ? 0x67 : 0);
    vmwrite(GUEST_ES_RIGHTS + 2 * i, rights[i]);
    vmwrite(GUEST_ES_BASE + 2 * i, i == 7 ? (u64)tss : 0);
    if (i != 6)
      vmwrite(HOST_ES + (i == 7 ? 12 : 2 * i), i == 4 || i == 5 ? 0 : selectors[i]);
  }
  vmwrite(GUEST_GDTR_BASE, (u64)gdt);
  vmwrite(GUEST_GDTR_LIMIT, (u64)(gdt_end - gdt - 1));
  vmwrite(GUEST_IDTR_BASE, (u64)guest_idt);
  vmwrite(GUEST_IDTR_LIMIT, sizeof guest_idt - 1);
  vmwrite(HOST_GDTR_BASE, (u64)gdt);
  vmwrite(HOST_IDTR_BASE, (u64)host_idt);
  vmwrite(HOST_TR_BASE, (u64)tss);
  vmwrite(HOST_FS_BASE, 0);
  vmwrite(HOST_GS_BASE, 0);
}

static void
write_registers(void)
{
  u64 cr0 = get_cr0(), cr3 = get_cr3(), cr4 = get_cr4();
  vmwrite(GUEST_CR0, cr0), vmwrite(HOST_CR0, cr0);
  vmwrite(GUEST_CR3, cr3), vmwrite(HOST_CR3, cr3);
  vmwrite(GUEST_CR4, cr4), vmwrite(HOST_CR4, cr4);
  vmwrite(CR0_MASK, 0), vmwrite(CR0_SHADOW, cr0);
  vmwrite(CR4_MASK, 0), vmwrite(CR4_SHADOW, cr4);
  vmwrite(GUEST_DR7, 0x400);
  vmwrite(GUEST_DEBUGCTL, 0);
  vmwrite(GUEST_RFLAGS, 2);
  vmwrite(GUEST_RSP, (u64)guest_stack + sizeof guest_stack - 64);
  vmwrite(GUEST_SYSENTER_CS, 0), vmwrite(HOST_SYSENTER_CS, 0);
  vmwrite(GUEST_SYSENTER_ESP, 0), vmwrite(HOST_SYSENTER_ESP, 0);
  vmwrite(GUEST_SYSENTER_EIP, 0), vmwrite(HOST_SYSENTER_EIP, 0);
  vmwrite(HOST_RSP, (u64)host_stack + sizeof host_stack - 64);
  vmwrite(HOST_RIP, (u64)vt_exit);
  vmwrite(INTERRUPTIBILITY, 0);
  vmwrite(ACTIVITY, 0);
  vmwrite(PENDING_DEBUG, 0);
  vmwrite(LINK_POINTER, -1ul);
}

static void
write_controls(void)
{
  for (u32 word = 0; word < 5; word++) {
    controls[word] = word == 2 ? 0 : (u32)rdmsr(word_msrs[word]);
    vmwrite(word_fields[word], controls[word]);
  }
  off(LOAD_DEBUG_CONTROLS), off(SAVE_DEBUG_CONTROLS);
  off(CR3_LOAD_EXITING), off(CR3_STORE_EXITING);
  on(HOST_ADDRESS_SPACE_SIZE);
  on(IA32E_MODE_GUEST);
  vmwrite(EXCEPTION_BITMAP, 0);
  vmwrite(PF_MASK, 0), vmwrite(PF_MATCH, 0);
  vmwrite(CR3_TARGET_COUNT, 0);
  vmwrite(EXIT_MSR_STORE_COUNT, 0), vmwrite(EXIT_MSR_LOAD_COUNT, 0), vmwrite(ENTRY_MSR_LOAD_COUNT, 0);
  vmwrite(ENTRY_EVENT, 0);
}

// A VMCS and memory as at the beginning
static void
prepare(void)
{
  u64 region = (u64)vmcs_region;
  clear_page(vmcs_region);
  *(u32 *)vmcs_region = (u32)rdmsr(MSR_BASIC) & 0x7fffffff;
  _Bool failed;
  __asm__ volatile("vmclear %1" : "=@ccna"(failed) : "m"(region) : "memory");
  expect("VMCLEAR fails", failed, 0);
  __asm__ volatile("vmptrld %1" : "=@ccna"(failed) : "m"(region) : "memory");
  expect("VMPTRLD fails", failed, 0);
  launched = 0;
  for (int i = 0; i < 16; i++)
    registers[i] = 0;
  for (int i = 0; i < 256; i++)
    set_guest_trap(i, guest_stubs + 16 * i);
  clear_page(page_a), clear_page(page_b), clear_page(page_c), clear_page(page_d);
  clear_page(io_bitmaps), clear_page(io_bitmaps + 4096), clear_page(msr_bitmap);
  host_interrupts = host_nmis = host_interrupt_vector = 0;
  write_controls();
  write_segments();
  write_registers();
}

static void
enter_vmx_operation(void)
{
  if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
    wrmsr(MSR_FEATURE_CONTROL, 5);
  __asm__ volatile("movq %0, %%cr4" : : "r"(get_cr4() | CR4_VMXE));
  *(u32 *)vmxon_region = (u32)rdmsr(MSR_BASIC) & 0x7fffffff;
  u64 region = (u64)vmxon_region;
  _Bool failed;
  __asm__ volatile("vmxon %1" : "=@ccna"(failed) : "m"(region) : "memory");
  if (failed) {
    put("VMXON failed\n");
    end(1);
  }
}

// The state that the next case must not inherit from one that ended early
static void
settle(void)
{
  __asm__ volatile("cli\n movq %0, %%dr7" : : "r"(0x400ul));
  // From x2APIC mode the way back to memory leads through a disabled APIC.
  if (rdmsr(0x1b) & 0x400) {
    wrmsr(0x1b, 0xfee00100);
    wrmsr(0x1b, 0xfee00900);
  }
  APIC[0xf0 / 4] = 0x1ff;
  APIC[0x80 / 4] = 0;
  APIC[0x320 / 4] = 0x10000;
  APIC[0x380 / 4] = 0;
  // IRET ends blocking by NMI.
  __asm__ volatile("movq %%rsp, %%rax\n pushq $16\n pushq %%rax\n pushfq\n pushq $8\n"
                   "leaq 1f(%%rip), %%rax\n pushq %%rax\n iretq\n1:"
                   : : : "rax", "memory");
  // Whatever interrupt is still pending is taken by the host.
  __asm__ volatile("sti\n nop\n nop\n cli");
}

void
conformance_main(void)
{
  set_line_speed();
  outb(0x21, 0xff); // no interrupt of the interrupt controllers may disturb
  outb(0xa1, 0xff);
  load_idt();
  enter_vmx_operation();
  for (const struct testcase *c = cases_begin; c < cases_end; c++) {
    put("list ");
    put(c->name);
    put("|");
    put(c->covers);
    put("|");
    put(c->section);
    put("\ncase ");
    put(c->name);
    put(": ");
    settle();
    if (case_begin() == RUNNING) {
      prepare();
      c->run();
      put("ok");
    }
    put("\n");
  }
  end(0);
}
