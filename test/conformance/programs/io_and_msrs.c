// I/O instructions and MSR accesses (SDM vol. 3, 25.6.4, 25.6.9, 26.1.3, table 28-5).
#include "vt.h"

GUEST(in_immediate, "", "inb $0x80, %al");
GUEST(out_dx, "movl $0x80, %edx\n movl $1, %eax", "outl %eax, %dx");
GUEST(in_word, "movl $0x7ffe, %edx", "inw %dx, %ax");
GUEST(outs, "cld\n movl $page_a, %esi\n movl $3, %ecx\n movl $0x80, %edx", "rep outsb");
GUEST(ins, "cld\n movl $page_a, %edi\n movl $0x80, %edx", "insw");
GUEST(out_wrap, "movl $0xffff, %edx", "outw %ax, %dx");

CASE(io_all, "I/O instructions exit by \"unconditional I/O exiting\"",
     "exit.IO_INSTRUCTION control.primary.UNCONDITIONAL_IO_EXITING", "26.1.3")
{
  on(UNCONDITIONAL_IO_EXITING);
  EXITS_Q(in_immediate, 30, 0x80ul << 16 | 1 << 6 | 1 << 3);
  EXITS_Q(out_dx, 30, 0x80ul << 16 | 3);
  EXITS_Q(in_word, 30, 0x7ffeul << 16 | 1 << 3 | 1);
}
CASE(io_strings, "INS and OUTS report linear address, REP and the instruction information", "exit.IO_INSTRUCTION", "28.2.1")
{
  on(UNCONDITIONAL_IO_EXITING);
  EXITS_Q(outs, 30, 0x80ul << 16 | 1 << 5 | 1 << 4);
  expect("guest-linear address", vmread(GUEST_LINEAR), (u64)page_a);
  if (rdmsr(0x480) >> 54 & 1)
    expect("address size and segment", vmread(EXIT_INFORMATION) & 0x38380, 2 << 7 | 3 << 15);
  EXITS_Q(ins, 30, 0x80ul << 16 | 1 << 4 | 1 << 3 | 1);
  expect("guest-linear address", vmread(GUEST_LINEAR), (u64)page_a);
}
CASE(io_passes, "I/O runs without a control", "control.primary.UNCONDITIONAL_IO_EXITING control.primary.USE_IO_BITMAPS", "26.1.3")
{
  PASSES(out_dx);
}
static void
use_bitmaps(void)
{
  on(USE_IO_BITMAPS);
  vmwrite(IO_BITMAP_A, (u64)io_bitmaps);
  vmwrite(IO_BITMAP_B, (u64)io_bitmaps + 4096);
}
CASE(io_bitmap, "the I/O bitmaps decide, \"unconditional I/O exiting\" is ignored",
     "exit.IO_INSTRUCTION control.primary.USE_IO_BITMAPS", "26.1.3")
{
  use_bitmaps();
  on(UNCONDITIONAL_IO_EXITING);
  PASSES(out_dx);
  io_bitmaps[0x80 / 8] = 1;
  EXITS_Q(out_dx, 30, 0x80ul << 16 | 3);
  io_bitmaps[0x80 / 8] = 8;
  EXITS_Q(out_dx, 30, 0x80ul << 16 | 3);
  io_bitmaps[0x80 / 8] = 0x10;
  PASSES(out_dx);
}
CASE(io_bitmap_edge, "the last port of bitmap A, and an access that wraps around the ports", "control.primary.USE_IO_BITMAPS",
     "26.1.3")
{
  use_bitmaps();
  io_bitmaps[0x7fff / 8] = 0x80;
  EXITS_Q(in_word, 30, 0x7ffeul << 16 | 1 << 3 | 1);
  EXITS_Q(out_wrap, 30, 0xfffful << 16 | 1);
}

GUEST(rdmsr_efer, "movl $0xc0000080, %ecx", "rdmsr");
GUEST(rdmsr_sysenter, "movl $0x174, %ecx", "rdmsr");
GUEST(wrmsr_sysenter, "movl $0x174, %ecx\n movl $0x77, %eax\n xorl %edx, %edx", "wrmsr");
GUEST(wrmsr_lstar, "movl $0xc0000082, %ecx\n xorl %eax, %eax\n xorl %edx, %edx", "wrmsr");
GUEST(rdmsr_far, "movl $0x12345, %ecx", "rdmsr");
CASE(msr_all, "RDMSR and WRMSR exit without MSR bitmaps", "exit.RDMSR exit.WRMSR", "26.1.3")
{
  off(USE_MSR_BITMAPS);
  EXITS(rdmsr_sysenter, 31);
  EXITS(wrmsr_sysenter, 32);
}
CASE(msr_bitmap_decides, "the MSR bitmaps decide",
     "exit.RDMSR exit.WRMSR control.primary.USE_MSR_BITMAPS", "26.1.3")
{
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
  PASSES(rdmsr_sysenter);
  PASSES(wrmsr_sysenter);
  expect("guest IA32_SYSENTER_CS", vmread(GUEST_SYSENTER_CS), 0x77);
  PASSES(rdmsr_efer);
  msr_bitmap[0x174 / 8] = 1 << 4;
  EXITS(rdmsr_sysenter, 31);
  PASSES(wrmsr_sysenter);
  clear_page(msr_bitmap);
  msr_bitmap[0x800 + 0x174 / 8] = 1 << 4;
  PASSES(rdmsr_sysenter);
  EXITS(wrmsr_sysenter, 32);
  clear_page(msr_bitmap);
  msr_bitmap[0x400 + 0x80 / 8] = 1;
  EXITS(rdmsr_efer, 31);
  msr_bitmap[0xc00 + 0x82 / 8] = 4;
  EXITS(wrmsr_lstar, 32);
}
CASE(msr_bitmap_range, "an MSR outside the bitmaps' ranges exits", "exit.RDMSR control.primary.USE_MSR_BITMAPS", "26.1.3")
{
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
  EXITS(rdmsr_far, 31);
}
CASE(msr_absent, "RDMSR of an MSR that is not there is #GP(0)", "", "26.3")
{
  GUEST(rdmsr_absent, "movl $0x1fff, %ecx", "rdmsr");
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
  TRAPS(rdmsr_absent, 13, 0);
}

struct msr_entry {
  u32 index, zero;
  u64 value;
};
CASE(msr_areas, "MSR areas: stored and loaded at the VM exit, loaded at the VM entry", "", "27.4, 28.4, 28.6")
{
  GUEST(nothing, "", "nop");
  struct msr_entry *entry_load = (void *)page_a, *exit_store = (void *)page_b, *exit_load = (void *)page_c;
  entry_load[0] = (struct msr_entry){0xc0000082, 0, 0x1111};
  entry_load[1] = (struct msr_entry){0xc0000084, 0, 0x2200};
  exit_store[0] = (struct msr_entry){0xc0000084, 0, 0};
  exit_store[1] = (struct msr_entry){0xc0000082, 0, 0};
  exit_load[0] = (struct msr_entry){0xc0000082, 0, 0x3333};
  vmwrite(ENTRY_MSR_LOAD, (u64)entry_load), vmwrite(ENTRY_MSR_LOAD_COUNT, 2);
  vmwrite(EXIT_MSR_STORE, (u64)exit_store), vmwrite(EXIT_MSR_STORE_COUNT, 2);
  vmwrite(EXIT_MSR_LOAD, (u64)exit_load), vmwrite(EXIT_MSR_LOAD_COUNT, 1);
  PASSES(nothing);
  expect("stored IA32_FMASK", exit_store[0].value, 0x2200);
  expect("stored IA32_LSTAR", exit_store[1].value, 0x1111);
  expect("IA32_LSTAR in the host", rdmsr(0xc0000082), 0x3333);
  expect("IA32_FMASK in the host", rdmsr(0xc0000084), 0x2200);
}
CASE(msr_area_fails, "VM entry fails by an MSR that cannot be loaded, and says which", "exit.ENTRY_FAILURE_MSR_LOADING", "27.4")
{
  struct msr_entry *entry_load = (void *)page_a;
  entry_load[0] = (struct msr_entry){0xc0000082, 0, 0x1111};
  entry_load[1] = (struct msr_entry){0xc0000100, 0, 0};
  vmwrite(ENTRY_MSR_LOAD, (u64)entry_load), vmwrite(ENTRY_MSR_LOAD_COUNT, 2);
  vmwrite(GUEST_RIP, (u64)in_immediate);
  expect_failed_entry(34, 2);
}
CASE(entry_failure_guest, "VM entry fails by invalid guest state", "exit.ENTRY_FAILURE_GUEST_STATE", "27.3.1")
{
  vmwrite(GUEST_RFLAGS, 0);
  vmwrite(GUEST_RIP, (u64)in_immediate);
  expect_failed_entry(33, 0);
}
CASE(entry_failure_link, "VM entry fails by the VMCS link pointer", "exit.ENTRY_FAILURE_GUEST_STATE", "27.3.1.5")
{
  vmwrite(LINK_POINTER, 5);
  vmwrite(GUEST_RIP, (u64)in_immediate);
  expect_failed_entry(33, 4);
}
