// VM-entry and VM-exit controls, what is saved and loaded, VMCS shadowing (SDM vol. 3, 25.7, 25.8, 27.3, 28.3, 28.5, 31.3).
#include "vt.h"

#define PAT 0x277
#define EFER 0xc0000080
#define DEBUGCTL 0x1d9
#define PAT_RESET 0x0007040600070406ul
#define PAT_OTHER 0x0007040600070400ul

GUEST(nothing_special, "", "nop");

CASE(debug_controls, "\"load debug controls\" and \"save debug controls\"",
     "control.entry.LOAD_DEBUG_CONTROLS control.exit.SAVE_DEBUG_CONTROLS", "27.3.2.1, 28.3.1")
{
  GUEST(write_dr7, "movl $0x455, %eax", "movq %rax, %dr7");
  GUEST(read_dr7, "", "movq %dr7, %rbx");
  on(LOAD_DEBUG_CONTROLS);
  vmwrite(GUEST_DR7, 0x500);
  PASSES(read_dr7);
  expect("DR7 in the guest", registers[RBX], 0x500);
  PASSES(write_dr7);
  expect("guest DR7 without \"save\"", vmread(GUEST_DR7), 0x500);
  on(SAVE_DEBUG_CONTROLS);
  PASSES(write_dr7);
  expect("guest DR7 with \"save\"", vmread(GUEST_DR7), 0x455);
  u64 dr7;
  __asm__ volatile("movq %%dr7, %0" : "=r"(dr7));
  expect("DR7 in the host", dr7, 0x400);
}
CASE(debug_controls_kept, "without \"load debug controls\" the guest has the host's DR7", "control.entry.LOAD_DEBUG_CONTROLS", "27.3.2.1")
{
  GUEST(read_kept, "", "movq %dr7, %rbx");
  vmwrite(GUEST_DR7, 0x500);
  __asm__ volatile("movq %0, %%dr7" : : "r"(0x410ul));
  PASSES(read_kept);
  expect("DR7 in the guest", registers[RBX], 0x410);
}
CASE(pat, "IA32_PAT: loaded on VM entry, saved and loaded on VM exit",
     "control.entry.LOAD_PAT control.exit.SAVE_PAT control.exit.LOAD_PAT", "27.3.2.1, 28.3.1, 28.5.1")
{
  GUEST(swap_pat, "movl $0x277, %ecx\n rdmsr\n movl %eax, %ebx\n movl $0x00070400, %eax\n movl $0x00070406, %edx", "wrmsr");
  on(ENTRY_LOAD_PAT);
  on(SAVE_PAT);
  on(EXIT_LOAD_PAT);
  vmwrite(GUEST_PAT, PAT_OTHER);
  vmwrite(HOST_PAT, PAT_RESET);
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
  PASSES(swap_pat);
  expect("IA32_PAT as the guest read it, low half", registers[RBX], (u32)PAT_OTHER);
  expect("guest IA32_PAT", vmread(GUEST_PAT), 0x0007040600070400ul);
  expect("IA32_PAT in the host", rdmsr(PAT), PAT_RESET);
}
CASE(pat_kept, "without the controls IA32_PAT stays as it is", "control.entry.LOAD_PAT control.exit.LOAD_PAT", "28.5.1")
{
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
  u64 before = rdmsr(PAT);
  GUEST(write_pat, "movl $0x277, %ecx\n movl $0x00070405, %eax\n movl $0x00070406, %edx", "wrmsr");
  PASSES(write_pat);
  u64 after = rdmsr(PAT);
  wrmsr(PAT, before);
  expect("IA32_PAT in the host", after, 0x0007040600070405ul);
}
CASE(efer, "IA32_EFER: loaded on VM entry, saved and loaded on VM exit",
     "control.entry.LOAD_EFER control.exit.SAVE_EFER control.exit.LOAD_EFER", "27.3.2.1, 28.3.1, 28.5.1")
{
  GUEST(clear_sce, "movl $0xc0000080, %ecx\n rdmsr\n movl %eax, %ebx\n andl $~1, %eax", "wrmsr");
  on(ENTRY_LOAD_EFER);
  on(SAVE_EFER);
  on(EXIT_LOAD_EFER);
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
  u64 host = rdmsr(EFER);
  vmwrite(GUEST_EFER, host | 1);
  vmwrite(HOST_EFER, host);
  PASSES(clear_sce);
  expect("SCE as the guest read it", registers[RBX] & 1, 1);
  expect("guest IA32_EFER", vmread(GUEST_EFER), host & ~1ul);
  expect("IA32_EFER in the host", rdmsr(EFER), host);
}
CASE(efer_kept, "without the controls only LMA and LME follow the modes", "control.exit.LOAD_EFER control.entry.LOAD_EFER", "28.5.1")
{
  GUEST(clear_again, "movl $0xc0000080, %ecx\n rdmsr\n andl $~1, %eax", "wrmsr");
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
  u64 host = rdmsr(EFER);
  PASSES(clear_again);
  u64 after = rdmsr(EFER);
  wrmsr(EFER, host);
  expect("IA32_EFER in the host", after, host & ~1ul);
}
CASE(ia32e_guest, "\"IA-32e mode guest\" 0: a guest in 32-bit protected mode with 32-bit paging",
     "control.entry.IA32E_MODE_GUEST", "27.3.1.1")
{
  // One directory of 4 MiB pages, identity
  extern char protected_mode[];
  __asm__(".pushsection .text.guest\n .code32\n protected_mode: movl %esp, %edi\n movl $0x12345678, %ebx\n leal (%ebx,%ebx), %ecx\n vmcall\n .code64\n .popsection");
  u32 *directory = (u32 *)page_a;
  for (u32 i = 0; i < 1024; i++)
    directory[i] = i << 22 | 0x87;
  off(IA32E_MODE_GUEST);
  vmwrite(GUEST_CR3, (u64)page_a);
  vmwrite(GUEST_CR4, 0x2010);
  vmwrite(GUEST_CS, 0x18);
  vmwrite(GUEST_CS_RIGHTS, 0xc09b);
  vmwrite(GUEST_RIP, (u64)protected_mode);
  vmwrite(GUEST_RSP, 0x5000);
  go();
  expect_exit(18, 0);
  expect("EBX", registers[RBX], 0x12345678);
  expect("ECX", registers[RCX], 0x2468acf0);
}
CASE(host_state, "host state after the VM exit", "control.exit.HOST_ADDRESS_SPACE_SIZE", "28.5")
{
  vmwrite(HOST_FS_BASE, 0x1111000);
  vmwrite(HOST_GS_BASE, 0x2222000);
  vmwrite(HOST_SYSENTER_CS, 0x33);
  vmwrite(HOST_SYSENTER_ESP, 0x4444);
  vmwrite(HOST_SYSENTER_EIP, 0x5555);
  PASSES(nothing_special);
  expect("FS base", rdmsr(0xc0000100), 0x1111000);
  expect("GS base", rdmsr(0xc0000101), 0x2222000);
  expect("IA32_SYSENTER_CS", rdmsr(0x174), 0x33);
  expect("IA32_SYSENTER_ESP", rdmsr(0x175), 0x4444);
  expect("IA32_SYSENTER_EIP", rdmsr(0x176), 0x5555);
  struct __attribute__((packed)) {
    u16 limit;
    u64 base;
  } table;
  __asm__ volatile("sgdt %0" : "=m"(table));
  expect("GDTR limit", table.limit, 0xffff);
  expect("GDTR base", table.base, (u64)gdt);
  u64 flags;
  __asm__ volatile("pushfq\n popq %0" : "=r"(flags));
  expect("IF and the like", flags & 0x247700, 0);
}
CASE(host_size, "\"host address-space size\" 0 is refused by a processor in IA-32e mode", "control.exit.HOST_ADDRESS_SPACE_SIZE", "27.2.4")
{
  off(HOST_ADDRESS_SPACE_SIZE);
  START(nothing_special);
  expect_refused(8);
}
CASE(guest_state_saved, "guest state after the VM exit", "", "28.3")
{
  GUEST(change_state,
        "movl $16, %eax\n movl %eax, %es\n pushq $0x6\n popfq\n movl $0x174, %ecx\n movl $0x99, %eax\n xorl %edx, %edx\n wrmsr\n stc",
        "nop");
  on(USE_MSR_BITMAPS);
  vmwrite(MSR_BITMAP, (u64)msr_bitmap);
  PASSES(change_state);
  expect("RFLAGS", vmread(GUEST_RFLAGS), 0x47);
  expect("IA32_SYSENTER_CS", vmread(GUEST_SYSENTER_CS), 0x99);
  expect("CS selector", vmread(GUEST_CS), 8);
  expect("CS rights", vmread(GUEST_CS_RIGHTS), 0xa09b);
  expect("TR rights", vmread(GUEST_TR_RIGHTS), 0x8b);
}
CASE(sti_shadow, "blocking by STI is saved and loaded", "", "27.7.1, 28.3.4")
{
  GUEST(shadow, "sti", "vmcall");
  START(shadow);
  go();
  expect_exit(18, 0);
  expect("interruptibility", vmread(INTERRUPTIBILITY), 1);
  vmwrite(GUEST_RFLAGS, 2);
  vmwrite(INTERRUPTIBILITY, 0);
}
CASE(mov_ss_shadow, "blocking by MOV SS is saved", "", "28.3.4")
{
  GUEST(shadow_ss, "movl $16, %eax\n movl %eax, %ss", "vmcall");
  START(shadow_ss);
  go();
  expect_exit(18, 0);
  expect("interruptibility", vmread(INTERRUPTIBILITY), 2);
}
CASE(resume_flag, "RF in the saved RFLAGS: 1 after a fault", "exit.EXCEPTION_OR_NMI", "28.3.3")
{
  GUEST(undefined, "", "ud2");
  vmwrite(EXCEPTION_BITMAP, 1 << 6);
  START(undefined);
  go();
  expect_exit(0, 0);
  expect("RFLAGS", vmread(GUEST_RFLAGS), 0x10002);
}

// VMCS shadowing
static void
use_shadow(void)
{
  on(VMCS_SHADOWING);
  clear_page(page_b), clear_page(page_c), clear_page(page_a);
  // The shadow VMCS gets a value, as an ordinary VMCS that becomes a shadow one.
  u64 current, shadow = (u64)page_a;
  __asm__ volatile("vmptrst %0" : "=m"(current));
  *(u32 *)page_a = (u32)rdmsr(0x480) | 0x80000000;
  _Bool failed;
  __asm__ volatile("vmclear %1" : "=@ccna"(failed) : "m"(shadow) : "memory");
  expect("VMCLEAR of the shadow VMCS fails", failed, 0);
  __asm__ volatile("vmptrld %1" : "=@ccna"(failed) : "m"(shadow) : "memory");
  expect("VMPTRLD of the shadow VMCS fails", failed, 0);
  u64 written = try_vmwrite(GUEST_RIP, 0x123456789);
  __asm__ volatile("vmclear %0" : : "m"(shadow) : "cc", "memory");
  __asm__ volatile("vmptrld %0" : : "m"(current) : "cc", "memory");
  expect("VMWRITE to the shadow VMCS", written, 0);
  vmwrite(VMREAD_BITMAP, (u64)page_b);
  vmwrite(VMWRITE_BITMAP, (u64)page_c);
  vmwrite(LINK_POINTER, shadow);
}
GUEST(shadow_read, "movl $0x681e, %edx\n xorl %ebx, %ebx", "vmread %rdx, %rbx");
GUEST(shadow_write, "movl $0x681e, %edx\n movl $0x77, %ebx", "vmwrite %rbx, %rdx");
GUEST(shadow_far, "movl $0x10000, %edx\n shlq $16, %rdx", "vmread %rdx, %rbx");
CASE(shadow_passes, "VMREAD and VMWRITE reach the shadow VMCS where the bitmaps are 0", "control.secondary.VMCS_SHADOWING", "26.1.3, 31.3")
{
  use_shadow();
  PASSES(shadow_read);
  expect("what the guest reads", registers[RBX], 0x123456789);
  PASSES(shadow_write);
  PASSES(shadow_read);
  expect("what the guest reads after its VMWRITE", registers[RBX], 0x77);
}
CASE(shadow_exits, "they exit where the bitmaps are 1, and for encodings beyond 15 bits", "exit.VMREAD exit.VMWRITE control.secondary.VMCS_SHADOWING", "26.1.3")
{
  use_shadow();
  page_b[0x681e / 8] = 1 << 6;
  EXITS(shadow_read, 23);
  PASSES(shadow_write);
  page_c[0x681e / 8] = 1 << 6;
  EXITS(shadow_write, 25);
  EXITS(shadow_far, 23);
}
CASE(shadow_none, "without a shadow VMCS they end with VMfailInvalid in the guest", "control.secondary.VMCS_SHADOWING", "31.3")
{
  use_shadow();
  vmwrite(LINK_POINTER, -1ul);
  PASSES(shadow_read);
  expect("RFLAGS", vmread(GUEST_RFLAGS) & 0x8d5, 1);
}
CASE(shadow_unknown, "an unknown field: VMfailValid, the error goes to the shadow VMCS", "control.secondary.VMCS_SHADOWING", "31.3")
{
  GUEST(shadow_unknown_field, "movl $0x7ffe, %edx", "vmread %rdx, %rbx");
  use_shadow();
  PASSES(shadow_unknown_field);
  expect("RFLAGS", vmread(GUEST_RFLAGS) & 0x8d5, 0x40);
}
CASE(shadow_launch, "a shadow VMCS cannot be entered: VMfailInvalid", "", "31.3")
{
  use_shadow();
  u64 current, shadow = (u64)page_a, flags;
  __asm__ volatile("vmptrst %0" : "=m"(current));
  __asm__ volatile("vmptrld %0" : : "m"(shadow) : "cc", "memory");
  __asm__ volatile("vmlaunch\n pushfq\n popq %0" : "=r"(flags) : : "cc", "memory");
  __asm__ volatile("vmclear %0" : : "m"(shadow) : "cc", "memory");
  __asm__ volatile("vmptrld %0" : : "m"(current) : "cc", "memory");
  expect("RFLAGS", flags & 0x8d5, 1);
}
