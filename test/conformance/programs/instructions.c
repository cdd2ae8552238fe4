// Instructions that exit always or by one control (SDM vol. 3, 26.1.2 and 26.1.3). The preemption timer ends a guest that
// would wait for ever.
#include "vt.h"

GUEST(cpuid, "xorl %eax, %eax\n xorl %ecx, %ecx", "cpuid");
CASE(cpuid_exits, "CPUID exits", "exit.CPUID", "26.1.2") { EXITS(cpuid, 10); }

GUEST(invd, "", "invd");
CASE(invd_exits, "INVD exits", "exit.INVD", "26.1.2") { EXITS(invd, 13); }

GUEST(xsetbv, "xorl %ecx, %ecx\n movl $1, %eax\n xorl %edx, %edx", "xsetbv");
CASE(xsetbv_exits, "XSETBV exits", "exit.XSETBV", "26.1.2")
{
  u32 a = 1, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  need_that(c >> 26 & 1, "XSAVE");
  vmwrite(GUEST_CR4, vmread(GUEST_CR4) | 1ul << 18);
  EXITS(xsetbv, 55);
}
CASE(xsetbv_undefined, "XSETBV without CR4.OSXSAVE is #UD", "", "26.1.1") { TRAPS(xsetbv, 6, 0); }

GUEST(getsec, "xorl %eax, %eax\n xorl %ebx, %ebx", "getsec");
CASE(getsec_exits, "GETSEC exits", "exit.GETSEC", "26.1.2")
{
  u32 a = 1, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  need_that(c >> 6 & 1, "SMX");
  vmwrite(GUEST_CR4, vmread(GUEST_CR4) | 1ul << 14);
  EXITS(getsec, 11);
}

GUEST(rsm, "", "rsm");
CASE(rsm_undefined, "RSM outside SMM is #UD", "", "26.1.3") { TRAPS(rsm, 6, 0); }

GUEST(hlt, "", "hlt");
CASE(hlt_exits, "HLT exits by \"HLT exiting\"", "exit.HLT control.primary.HLT_EXITING", "26.1.3")
{
  on(HLT_EXITING);
  EXITS(hlt, 12);
}
CASE(hlt_waits, "HLT without \"HLT exiting\" waits", "control.primary.HLT_EXITING exit.PREEMPTION_TIMER", "26.1.3")
{
  on(ACTIVATE_PREEMPTION_TIMER);
  vmwrite(PREEMPTION_TIMER, 100);
  START(hlt);
  go();
  expect_exit(52, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)hlt_next);
  expect("activity state", vmread(ACTIVITY), 1);
}

GUEST(invlpg, "movl $0x123456, %ebx", "invlpg 8(%rbx)");
CASE(invlpg_exits, "INVLPG exits by \"INVLPG exiting\"", "exit.INVLPG control.primary.INVLPG_EXITING", "26.1.3")
{
  on(INVLPG_EXITING);
  EXITS_Q(invlpg, 14, 0x12345e);
}
CASE(invlpg_passes, "INVLPG runs without it", "control.primary.INVLPG_EXITING", "26.1.3") { PASSES(invlpg); }

GUEST(rdpmc, "xorl %ecx, %ecx", "rdpmc");
CASE(rdpmc_exits, "RDPMC exits by \"RDPMC exiting\"", "exit.RDPMC control.primary.RDPMC_EXITING", "26.1.3")
{
  on(RDPMC_EXITING);
  EXITS(rdpmc, 15);
}

GUEST(rdtsc, "", "rdtsc");
CASE(rdtsc_exits, "RDTSC exits by \"RDTSC exiting\"", "exit.RDTSC control.primary.RDTSC_EXITING", "26.1.3")
{
  on(RDTSC_EXITING);
  EXITS(rdtsc, 16);
}
CASE(rdtsc_passes, "RDTSC runs without it", "control.primary.RDTSC_EXITING", "26.1.3") { PASSES(rdtsc); }

GUEST(rdtscp, "", "rdtscp");
CASE(rdtscp_exits, "RDTSCP exits by \"RDTSC exiting\"", "exit.RDTSCP control.secondary.ENABLE_RDTSCP", "26.1.3")
{
  on(ENABLE_RDTSCP);
  on(RDTSC_EXITING);
  EXITS(rdtscp, 51);
}
CASE(rdtscp_passes, "RDTSCP runs with \"enable RDTSCP\"", "control.secondary.ENABLE_RDTSCP", "26.1.3")
{
  on(ENABLE_RDTSCP);
  PASSES(rdtscp);
}
CASE(rdtscp_undefined, "RDTSCP without \"enable RDTSCP\" is #UD, also with \"RDTSC exiting\"",
     "control.secondary.ENABLE_RDTSCP", "26.3")
{
  need(ENABLE_RDTSCP);
  on(RDTSC_EXITING);
  TRAPS(rdtscp, 6, 0);
}

GUEST(monitor, "movl $page_a, %eax\n xorl %ecx, %ecx\n xorl %edx, %edx", "monitor");
GUEST(mwait, "movl $page_a, %eax\n xorl %ecx, %ecx\n xorl %edx, %edx\n monitor\n xorl %eax, %eax", "mwait");
static _Bool
has_monitor(void)
{
  u32 a = 1, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return c >> 3 & 1;
}
CASE(monitor_exits, "MONITOR exits by \"MONITOR exiting\"", "exit.MONITOR control.primary.MONITOR_EXITING", "26.1.3")
{
  need_that(has_monitor(), "MONITOR");
  on(MONITOR_EXITING);
  EXITS(monitor, 39);
}
CASE(monitor_passes, "MONITOR runs without it", "control.primary.MONITOR_EXITING", "26.1.3")
{
  need_that(has_monitor(), "MONITOR");
  PASSES(monitor);
}
CASE(mwait_exits, "MWAIT exits by \"MWAIT exiting\", its qualification tells whether the monitor is armed",
     "exit.MWAIT control.primary.MWAIT_EXITING", "26.1.3")
{
  need_that(has_monitor(), "MONITOR");
  on(MWAIT_EXITING);
  EXITS_Q(mwait, 36, 1);
}

GUEST(pause, "", "pause");
CASE(pause_exits, "PAUSE exits by \"PAUSE exiting\"", "exit.PAUSE control.primary.PAUSE_EXITING", "26.1.3")
{
  on(PAUSE_EXITING);
  EXITS(pause, 40);
}
CASE(pause_passes, "PAUSE runs without it", "control.primary.PAUSE_EXITING", "26.1.3") { PASSES(pause); }
GUEST(pause_loop, "movl $1000000, %ecx\n 1: pause\n loop 1b", "nop");
CASE(pause_loop_exits, "a loop of PAUSE exits by \"PAUSE-loop exiting\"", "exit.PAUSE control.secondary.PAUSE_LOOP_EXITING",
     "26.1.3")
{
  on(PAUSE_LOOP_EXITING);
  vmwrite(PLE_GAP, 10000);
  vmwrite(PLE_WINDOW, 100000);
  START(pause_loop);
  go();
  expect_exit(40, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)pause_loop + 5);
}
CASE(pause_loop_priority, "\"PAUSE-loop exiting\" waits for the window to pass", "control.secondary.PAUSE_LOOP_EXITING",
     "26.1.3")
{
  on(PAUSE_LOOP_EXITING);
  vmwrite(PLE_GAP, 10000);
  vmwrite(PLE_WINDOW, 100000);
  PASSES(pause);
}

GUEST(wbinvd, "", "wbinvd");
CASE(wbinvd_exits, "WBINVD exits by \"WBINVD exiting\"", "exit.WBINVD control.secondary.WBINVD_EXITING", "26.1.3")
{
  on(WBINVD_EXITING);
  EXITS(wbinvd, 54);
}
CASE(wbinvd_passes, "WBINVD runs without it", "control.secondary.WBINVD_EXITING", "26.1.3") { PASSES(wbinvd); }

GUEST(rdrand, "", "rdrand %r9");
GUEST(rdseed, "", "rdseed %ebx");
CASE(rdrand_exits, "RDRAND exits by \"RDRAND exiting\"", "exit.RDRAND control.secondary.RDRAND_EXITING", "26.1.3")
{
  on(RDRAND_EXITING);
  EXITS(rdrand, 57);
  expect("instruction information", vmread(EXIT_INFORMATION) & 0x1878, 9 << 3 | 2 << 11);
}
CASE(rdrand_passes, "RDRAND runs without it", "control.secondary.RDRAND_EXITING", "26.1.3")
{
  need(RDRAND_EXITING);
  PASSES(rdrand);
}
CASE(rdseed_exits, "RDSEED exits by \"RDSEED exiting\"", "exit.RDSEED control.secondary.RDSEED_EXITING", "26.1.3")
{
  on(RDSEED_EXITING);
  EXITS(rdseed, 61);
  expect("instruction information", vmread(EXIT_INFORMATION) & 0x1878, 3 << 3 | 1 << 11);
}
CASE(rdseed_passes, "RDSEED runs without it", "control.secondary.RDSEED_EXITING", "26.1.3")
{
  need(RDSEED_EXITING);
  PASSES(rdseed);
}

GUEST(invpcid, "movl $page_a, %ebx\n movl $2, %eax", "invpcid 0x10(%rbx), %rax");
CASE(invpcid_exits, "INVPCID exits by \"INVLPG exiting\"", "exit.INVPCID control.secondary.ENABLE_INVPCID", "26.1.3")
{
  on(ENABLE_INVPCID);
  on(INVLPG_EXITING);
  EXITS_Q(invpcid, 58, 0x10);
}
CASE(invpcid_passes, "INVPCID runs with \"enable INVPCID\"", "control.secondary.ENABLE_INVPCID", "26.1.3")
{
  on(ENABLE_INVPCID);
  PASSES(invpcid);
}
CASE(invpcid_undefined, "INVPCID without it is #UD, also with \"INVLPG exiting\"", "control.secondary.ENABLE_INVPCID", "26.3")
{
  need(ENABLE_INVPCID);
  on(INVLPG_EXITING);
  TRAPS(invpcid, 6, 0);
}

// Descriptor-table exiting
GUEST(sgdt, "movl $page_a, %ebx\n movl $2, %esi", "sgdt 4(%rbx,%rsi,2)");
GUEST(sidt, "movl $page_a, %ebx", "sidt (%rbx)");
GUEST(lgdt, "movl $page_a, %ebx\n sgdt (%rbx)", "lgdt (%rbx)");
GUEST(lidt, "movl $page_a, %ebx\n sidt (%rbx)", "lidt (%rbx)");
GUEST(sldt, "", "sldt %ecx");
GUEST(str, "", "str %r10d");
GUEST(lldt, "xorl %eax, %eax", "lldt %ax");
GUEST(ltr, "movl $0x30, %eax\n movb $0x89, gdt + 0x35", "ltr %ax");
CASE(sgdt_exits, "SGDT exits by \"descriptor-table exiting\"",
     "exit.GDTR_IDTR_ACCESS control.secondary.DESCRIPTOR_TABLE_EXITING", "26.1.3")
{
  on(DESCRIPTOR_TABLE_EXITING);
  EXITS_Q(sgdt, 46, 4);
  // Scaling 2, address size 64, DS, index RSI, base RBX, SGDT
  // (bit 11, the operand size, is undefined in 64-bit mode)
  expect("instruction information", vmread(EXIT_INFORMATION) & ~0x800ul, 1 | 2 << 7 | 3 << 15 | 6 << 18 | 3 << 23);
}
CASE(sidt_exits, "SIDT exits by it", "exit.GDTR_IDTR_ACCESS", "26.1.3")
{
  on(DESCRIPTOR_TABLE_EXITING);
  EXITS(sidt, 46);
  expect("instruction identity", vmread(EXIT_INFORMATION) >> 28 & 3, 1);
}
GUEST(lgdt_only, "movl $page_a, %ebx", "lgdt (%rbx)");
GUEST(lidt_only, "movl $page_a, %ebx", "lidt (%rbx)");
CASE(lgdt_exits, "LGDT exits by it", "exit.GDTR_IDTR_ACCESS", "26.1.3")
{
  on(DESCRIPTOR_TABLE_EXITING);
  EXITS(lgdt_only, 46);
  expect("instruction identity", vmread(EXIT_INFORMATION) >> 28 & 3, 2);
}
CASE(lidt_exits, "LIDT exits by it", "exit.GDTR_IDTR_ACCESS", "26.1.3")
{
  on(DESCRIPTOR_TABLE_EXITING);
  EXITS(lidt_only, 46);
  expect("instruction identity", vmread(EXIT_INFORMATION) >> 28 & 3, 3);
}
CASE(sldt_exits, "SLDT exits by it", "exit.LDTR_TR_ACCESS", "26.1.3")
{
  on(DESCRIPTOR_TABLE_EXITING);
  EXITS(sldt, 47);
  expect("register form, RCX, SLDT", vmread(EXIT_INFORMATION) & 0x30000478, 1 << 10 | 1 << 3);
}
CASE(str_exits, "STR exits by it", "exit.LDTR_TR_ACCESS", "26.1.3")
{
  on(DESCRIPTOR_TABLE_EXITING);
  EXITS(str, 47);
  expect("register form, R10, STR", vmread(EXIT_INFORMATION) & 0x30000478, 1 << 28 | 1 << 10 | 10 << 3);
}
CASE(lldt_exits, "LLDT exits by it", "exit.LDTR_TR_ACCESS", "26.1.3")
{
  on(DESCRIPTOR_TABLE_EXITING);
  EXITS(lldt, 47);
  expect("instruction identity", vmread(EXIT_INFORMATION) >> 28 & 3, 2);
}
GUEST(ltr_only, "movl $0x30, %eax", "ltr %ax");
CASE(ltr_exits, "LTR exits by it", "exit.LDTR_TR_ACCESS", "26.1.3")
{
  on(DESCRIPTOR_TABLE_EXITING);
  EXITS(ltr_only, 47);
  expect("instruction identity", vmread(EXIT_INFORMATION) >> 28 & 3, 3);
}
CASE(tables_pass, "SGDT, SIDT, LGDT, LIDT run without it", "control.secondary.DESCRIPTOR_TABLE_EXITING", "26.1.3")
{
  PASSES(sgdt);
  PASSES(sidt);
  PASSES(lgdt);
  PASSES(lidt);
}
CASE(selectors_pass, "SLDT, STR, LLDT, LTR run without it", "control.secondary.DESCRIPTOR_TABLE_EXITING", "26.1.3")
{
  PASSES(sldt);
  PASSES(str);
  PASSES(lldt);
  PASSES(ltr);
}

// The XSAVE feature set. page_c is the area; XMM registers are reached by FXRSTOR and FXSAVE alone.
#define OSFXSR (1ul << 9)
#define OSXSAVE (1ul << 18)
static _Bool
has_xsave(void)
{
  u32 a = 1, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return c >> 26 & 1;
}
static void
use_xsave(void)
{
  need_that(has_xsave(), "XSAVE");
  vmwrite(GUEST_CR4, vmread(GUEST_CR4) | OSFXSR | OSXSAVE);
}
GUEST(xsaves, "movl $3, %eax\n xorl %edx, %edx\n movl $page_c, %ebx", "xsaves (%rbx)");
GUEST(xrstors, "movl $3, %eax\n xorl %edx, %edx\n movl $page_c, %ebx\n xsaves (%rbx)", "xrstors (%rbx)");
CASE(xsaves_passes, "XSAVES and XRSTORS run with \"enable XSAVES/XRSTORS\"", "control.secondary.ENABLE_XSAVES_XRSTORS", "26.3")
{
  use_xsave();
  on(ENABLE_XSAVES_XRSTORS);
  vmwrite(XSS_EXITING, -1ul);
  PASSES(xsaves);
  expect("bit 63 of XCOMP_BV", ((u64 *)page_c)[65] >> 63, 1);
  PASSES(xrstors);
}
CASE(xsaves_undefined, "without it they are #UD", "control.secondary.ENABLE_XSAVES_XRSTORS", "26.3")
{
  use_xsave();
  need(ENABLE_XSAVES_XRSTORS);
  TRAPS(xsaves, 6, 0);
}
GUEST(xgetbv, "xorl %ecx, %ecx", "xgetbv");
CASE(xsave_off, "XGETBV and XSAVE without CR4.OSXSAVE are #UD", "", "26.3") { TRAPS(xgetbv, 6, 0); }
CASE(xgetbv_passes, "XGETBV reads XCR0", "", "26.3")
{
  use_xsave();
  PASSES(xgetbv);
  expect("x87 in XCR0", registers[RAX] & 1, 1);
}
GUEST(fxsave, "movl $page_c, %ebx\n fxrstor (%rbx)\n addl $512, %ebx", "fxsave64 (%rbx)");
GUEST(fxsave_unaligned, "movl $page_c + 8, %ebx", "fxsave (%rbx)");
GUEST(xsave_round,
      "movl $page_c, %ebx\n fxrstor (%rbx)\n xorl %edx, %edx\n movl $3, %eax\n xsave 1024(%rbx)\n"
      "movl $3, %eax\n xrstor 2048(%rbx)\n xsave 3072(%rbx)",
      "xrstor 1024(%rbx)\n fxsave (%rbx)");
static void
fill_legacy(void)
{
  for (int i = 160; i < 416; i++)
    page_c[i] = (u8)i;
  *(u32 *)(page_c + 24) = 0x1fa0;
  *(u16 *)page_c = 0x27f;
}
CASE(fxsave_keeps, "FXRSTOR and FXSAVE keep XMM registers, MXCSR and the control word", "", "26.3")
{
  use_xsave();
  fill_legacy();
  PASSES(fxsave);
  expect("XMM0", *(u64 *)(page_c + 512 + 160), *(u64 *)(page_c + 160));
  expect("XMM15", *(u64 *)(page_c + 512 + 408), *(u64 *)(page_c + 408));
  expect("MXCSR", *(u32 *)(page_c + 512 + 24), 0x1fa0);
  expect("MXCSR_MASK", *(u32 *)(page_c + 512 + 28) & 0xffff, 0xffff);
  expect("FCW", *(u16 *)(page_c + 512), 0x27f);
}
CASE(fxsave_alignment, "FXSAVE of an area that is not aligned is #GP(0)", "", "26.3")
{
  use_xsave();
  TRAPS(fxsave_unaligned, 13, 0);
}
CASE(xsave_keeps, "XSAVE and XRSTOR: components, their initial configuration, XSTATE_BV", "", "26.3")
{
  use_xsave();
  // XCR0 of the host counts for the guest too.
  u64 cr4;
  __asm__ volatile("movq %%cr4, %0\n movq %0, %%rax\n orq $0x40200, %%rax\n movq %%rax, %%cr4" : "=&r"(cr4) : : "rax");
  __asm__ volatile("xsetbv" : : "c"(0), "a"(3), "d"(0));
  fill_legacy();
  *(u32 *)(page_c + 2048 + 24) = 0x1f80;
  PASSES(xsave_round);
  expect("XSTATE_BV", *(u64 *)(page_c + 1024 + 512) & 3, 3);
  expect("XSTATE_BV after XRSTOR of nothing", *(u64 *)(page_c + 3072 + 512) & 3, 0);
  expect("XMM3", *(u64 *)(page_c + 1024 + 208), 0xd7d6d5d4d3d2d1d0);
  expect("XMM3 in its initial configuration", *(u64 *)(page_c + 3072 + 208), 0);
  expect("FCW in its initial configuration", *(u16 *)(page_c + 3072), 0x37f);
  expect("XMM3 again", *(u64 *)(page_c + 208), 0xd7d6d5d4d3d2d1d0);
  expect("MXCSR again", *(u32 *)(page_c + 24), 0x1fa0);
  __asm__ volatile("movq %0, %%cr4" : : "r"(cr4));
}
