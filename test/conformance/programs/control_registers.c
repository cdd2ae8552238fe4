// Accesses to control and debug registers (SDM vol. 3, 25.6.6 to 25.6.8, 26.1.3, 26.3, table 28-3).
#include "vt.h"

#define PE 1ul
#define MP 2ul
#define TS 8ul
#define NE 0x20ul
#define PSE 0x10ul
#define PGE 0x80ul

GUEST(mov_cr0_rbx, "movq %cr0, %rbx", "movq %rbx, %cr0");
GUEST(read_cr0, "", "movq %cr0, %rbx");
CASE(cr0_mask_same, "MOV to CR0 of the shadow's values passes", "exit.CR_ACCESS", "26.1.3")
{
  vmwrite(CR0_MASK, -1ul);
  PASSES(mov_cr0_rbx);
}
GUEST(cr0_set_ts, "movq %cr0, %r9\n orq $8, %r9", "movq %r9, %cr0");
CASE(cr0_mask_exits, "MOV to CR0 that differs from the shadow in an owned bit exits", "exit.CR_ACCESS", "26.1.3")
{
  vmwrite(CR0_MASK, TS);
  vmwrite(CR0_SHADOW, 0);
  EXITS_Q(cr0_set_ts, 28, 9 << 8);
}
CASE(cr0_unowned, "MOV to CR0 changes bits that the guest owns", "", "26.3")
{
  PASSES(cr0_set_ts);
  expect("guest CR0.TS", vmread(GUEST_CR0) & TS, TS);
}
CASE(cr0_read_shadow, "MOV from CR0 reads owned bits from the shadow", "", "26.3")
{
  vmwrite(CR0_MASK, TS | MP);
  vmwrite(CR0_SHADOW, TS | MP);
  PASSES(read_cr0);
  expect("the bits read", registers[RBX] & (TS | MP), TS | MP);
}
GUEST(clts, "", "clts");
CASE(clts_exits, "CLTS exits when TS is owned and its shadow is 1", "exit.CR_ACCESS", "26.1.3")
{
  vmwrite(CR0_MASK, TS);
  vmwrite(CR0_SHADOW, TS);
  EXITS_Q(clts, 28, 2 << 4);
}
CASE(clts_owned, "CLTS with TS owned and its shadow 0 leaves CR0.TS", "", "26.3")
{
  vmwrite(CR0_MASK, TS);
  vmwrite(CR0_SHADOW, 0);
  vmwrite(GUEST_CR0, vmread(GUEST_CR0) | TS);
  PASSES(clts);
  expect("guest CR0.TS", vmread(GUEST_CR0) & TS, TS);
}
GUEST(lmsw_register, "movl $0xb, %ecx", "lmsw %cx");
GUEST(lmsw_memory, "movl $page_a, %ecx\n movl $0xb, (%rcx)", "lmsw (%rcx)");
CASE(lmsw_exits, "LMSW exits by an owned bit among PE, MP, EM, TS", "exit.CR_ACCESS", "26.1.3")
{
  vmwrite(CR0_MASK, MP);
  vmwrite(CR0_SHADOW, 0);
  EXITS_Q(lmsw_register, 28, 0xb << 16 | 3 << 4);
  EXITS_Q(lmsw_memory, 28, 0xb << 16 | 1 << 6 | 3 << 4);
  expect("guest-linear address", vmread(GUEST_LINEAR), (u64)page_a);
}
GUEST(smsw, "", "smsw %rbx");
CASE(smsw_shadow, "SMSW reads owned bits from the shadow", "", "26.3")
{
  vmwrite(CR0_MASK, TS);
  vmwrite(CR0_SHADOW, TS);
  PASSES(smsw);
  expect("TS as read", registers[RBX] & TS, TS);
}
GUEST(cr0_fixed, "movq %cr0, %rbx\n andq $~0x20, %rbx", "movq %rbx, %cr0");
CASE(cr0_fixed_faults, "MOV to CR0 of a value that VMX operation does not allow is #GP(0)", "", "24.8")
{
  TRAPS(cr0_fixed, 13, 0);
}

GUEST(mov_to_cr3, "movq %cr3, %r14", "movq %r14, %cr3");
GUEST(mov_from_cr3, "", "movq %cr3, %r13");
CASE(cr3_load_exits, "MOV to CR3 exits by \"CR3-load exiting\"", "exit.CR_ACCESS control.primary.CR3_LOAD_EXITING", "26.1.3")
{
  on(CR3_LOAD_EXITING);
  EXITS_Q(mov_to_cr3, 28, 14 << 8 | 3);
}
CASE(cr3_target, "MOV to CR3 of a CR3-target value passes", "control.primary.CR3_LOAD_EXITING", "26.1.3")
{
  on(CR3_LOAD_EXITING);
  vmwrite(CR3_TARGET_0 + 2, vmread(GUEST_CR3));
  vmwrite(CR3_TARGET_COUNT, 2);
  PASSES(mov_to_cr3);
  vmwrite(CR3_TARGET_COUNT, 1);
  vmwrite(CR3_TARGET_0, 0);
  EXITS_Q(mov_to_cr3, 28, 14 << 8 | 3);
}
CASE(cr3_load_passes, "MOV to CR3 runs without it", "control.primary.CR3_LOAD_EXITING", "26.1.3")
{
  PASSES(mov_to_cr3);
}
CASE(cr3_store_exits, "MOV from CR3 exits by \"CR3-store exiting\"", "exit.CR_ACCESS control.primary.CR3_STORE_EXITING", "26.1.3")
{
  on(CR3_STORE_EXITING);
  EXITS_Q(mov_from_cr3, 28, 13 << 8 | 1 << 4 | 3);
}
CASE(cr3_store_passes, "MOV from CR3 runs without it", "control.primary.CR3_STORE_EXITING", "26.1.3")
{
  PASSES(mov_from_cr3);
}

GUEST(cr4_pge, "movq %cr4, %rdx\n orq $0x80, %rdx", "movq %rdx, %cr4");
CASE(cr4_mask_exits, "MOV to CR4 that differs from the shadow in an owned bit exits", "exit.CR_ACCESS", "26.1.3")
{
  vmwrite(CR4_MASK, PGE);
  vmwrite(CR4_SHADOW, 0);
  EXITS_Q(cr4_pge, 28, 2 << 8 | 4);
}
CASE(cr4_owned, "MOV to CR4 leaves owned bits and changes the others", "", "26.3")
{
  vmwrite(CR4_MASK, PSE);
  vmwrite(CR4_SHADOW, 0);
  vmwrite(GUEST_CR4, (vmread(GUEST_CR4) | PSE) & ~PGE);
  PASSES(cr4_pge);
  expect("guest CR4", vmread(GUEST_CR4) & (PSE | PGE), PSE | PGE);
}
GUEST(read_cr4, "", "movq %cr4, %rbx");
CASE(cr4_read_shadow, "MOV from CR4 reads owned bits from the shadow", "", "26.3")
{
  vmwrite(CR4_MASK, 0x2000);
  vmwrite(CR4_SHADOW, 0);
  PASSES(read_cr4);
  expect("VMXE as read", registers[RBX] & 0x2000, 0);
}
GUEST(cr4_fixed, "movq %cr4, %rbx\n andq $~0x2000, %rbx", "movq %rbx, %cr4");
CASE(cr4_fixed_faults, "MOV to CR4 of a value that VMX operation does not allow is #GP(0)", "", "24.8")
{
  TRAPS(cr4_fixed, 13, 0);
}
GUEST(cr4_reserved, "movq %cr4, %rbx\n btsq $63, %rbx", "movq %rbx, %cr4");
CASE(cr4_reserved_faults, "MOV to CR4 with a reserved bit is #GP(0), and not a VM exit when the bit is not owned", "", "26.1.1")
{
  TRAPS(cr4_reserved, 13, 0);
}

GUEST(mov_to_cr8, "movl $5, %ecx", "movq %rcx, %cr8");
GUEST(mov_from_cr8, "", "movq %cr8, %rdx");
CASE(cr8_load_exits, "MOV to CR8 exits by \"CR8-load exiting\"", "exit.CR_ACCESS control.primary.CR8_LOAD_EXITING", "26.1.3")
{
  on(CR8_LOAD_EXITING);
  EXITS_Q(mov_to_cr8, 28, 1 << 8 | 8);
}
CASE(cr8_store_exits, "MOV from CR8 exits by \"CR8-store exiting\"", "exit.CR_ACCESS control.primary.CR8_STORE_EXITING", "26.1.3")
{
  on(CR8_STORE_EXITING);
  EXITS_Q(mov_from_cr8, 28, 2 << 8 | 1 << 4 | 8);
}
CASE(cr8_passes, "MOV to and from CR8 reach the local APIC without them",
     "control.primary.CR8_LOAD_EXITING control.primary.CR8_STORE_EXITING", "26.1.3")
{
  PASSES(mov_to_cr8);
  PASSES(mov_from_cr8);
  expect("CR8", registers[RDX], 5);
  expect("TPR of the local APIC", APIC[0x80 / 4], 0x50);
}

GUEST(mov_to_dr, "movl $0x1234, %edi", "movq %rdi, %dr3");
GUEST(mov_from_dr, "", "movq %dr7, %r8");
CASE(dr_exits, "MOV DR exits by \"MOV-DR exiting\"", "exit.MOV_DR control.primary.MOV_DR_EXITING", "26.1.3")
{
  on(MOV_DR_EXITING);
  EXITS_Q(mov_to_dr, 29, 7 << 8 | 3);
  EXITS_Q(mov_from_dr, 29, 8 << 8 | 1 << 4 | 7);
}
CASE(dr_passes, "MOV DR runs without it", "control.primary.MOV_DR_EXITING", "26.1.3")
{
  PASSES(mov_to_dr);
  u64 dr3;
  __asm__ volatile("movq %%dr3, %0" : "=r"(dr3));
  expect("DR3 after the VM exit", dr3, 0x1234);
}
