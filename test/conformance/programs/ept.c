// EPT and VPID (SDM vol. 3, chapter 29), page-modification logging, mode-based execute control, #VE, EPTP switching.
#include "vt.h"

#define R 1ul
#define W 2ul
#define X 4ul
#define WB (6ul << 3)
#define LARGE 0x80ul
#define ACCESSED 0x100ul
#define DIRTY 0x200ul
#define XU 0x400ul
#define SUPPRESS_VE (1ul << 63)
// Qualification: access, rights, linear address valid, translation done
#define LINEAR (1 << 7)
#define TRANSLATED (1 << 8)
#define ADVANCED 0xe00ul
#define TARGET (EPT_AREA + 0x1000)

static u64 eptp(void) { return (u64)ept_pml4 | 3 << 3 | 6; }
static void
set_entry(u64 value)
{
  ept_pt[1] = value;
  invept(1, eptp());
}
static void
expect_violation(u32 qualification, u64 physical, u64 linear)
{
  expect("exit reason", vmread(EXIT_REASON), 48);
  expect("exit qualification", vmread(QUALIFICATION) & ~ADVANCED, qualification);
  expect("guest-physical address", vmread(GUEST_PHYSICAL), physical);
  if (qualification & LINEAR)
    expect("guest-linear address", vmread(GUEST_LINEAR), linear);
}

GUEST(load, "movl $0x801008, %ebx", "movq (%rbx), %rax");
GUEST(store, "movl $0x801008, %ebx", "movq %rax, (%rbx)");
GUEST(modify, "movl $0x801008, %ebx", "incq (%rbx)");
GUEST(fetch, "movl $0x801008, %eax", "jmp *%rax");

CASE(ept_translates, "EPT translates", "control.secondary.ENABLE_EPT", "29.3")
{
  use_ept();
  *(u64 *)page_a = 0;
  ((u64 *)page_a)[1] = 0x1122334455667788;
  set_entry((u64)page_a | WB | R);
  PASSES(load);
  expect("what the guest loads", registers[RAX], 0x1122334455667788);
}
CASE(ept_not_present, "violation by an entry that is not present", "exit.EPT_VIOLATION control.secondary.ENABLE_EPT", "28.2.1")
{
  use_ept();
  set_entry(0);
  START(load);
  go();
  expect_violation(1 | LINEAR | TRANSLATED, TARGET + 8, TARGET + 8);
  expect("guest RIP", vmread(GUEST_RIP), (u64)load_at);
  START(store);
  go();
  expect_violation(2 | LINEAR | TRANSLATED, TARGET + 8, TARGET + 8);
  START(fetch);
  go();
  expect_violation(4 | LINEAR | TRANSLATED, TARGET + 8, TARGET + 8);
}
CASE(ept_rights, "violation by rights: read, write, execute", "exit.EPT_VIOLATION", "28.2.1")
{
  use_ept();
  set_entry((u64)page_a | WB | R);
  START(store);
  go();
  expect_violation(2 | 1 << 3 | LINEAR | TRANSLATED, TARGET + 8, TARGET + 8);
  START(modify);
  go();
  expect("write bit of a read-modify-write", vmread(QUALIFICATION) & 2, 2);
  START(fetch);
  go();
  expect_violation(4 | 1 << 3 | LINEAR | TRANSLATED, TARGET + 8, TARGET + 8);
  set_entry((u64)page_a | WB | R | W);
  START(fetch);
  go();
  expect_violation(4 | 3 << 3 | LINEAR | TRANSLATED, TARGET + 8, TARGET + 8);
}
CASE(ept_execute_only, "execute-only pages", "exit.EPT_VIOLATION", "29.3.2")
{
  need_that(rdmsr(0x48c) & 1, "execute-only translations");
  use_ept();
  ((u32 *)page_a)[2] = 0xc1010f; // VMCALL
  set_entry((u64)page_a | WB | X);
  START(load);
  go();
  expect_violation(1 | 4 << 3 | LINEAR | TRANSLATED, TARGET + 8, TARGET + 8);
  START(fetch);
  go();
  expect_exit(18, 0);
  expect("guest RIP", vmread(GUEST_RIP), TARGET + 8);
}
CASE(ept_combined, "rights are the AND of all levels", "exit.EPT_VIOLATION", "29.3.2")
{
  use_ept();
  set_entry((u64)page_a | WB | R | W | X);
  ept_pd[EPT_AREA >> 21] = (u64)ept_pt | R;
  invept(1, eptp());
  START(store);
  go();
  expect_violation(2 | 1 << 3 | LINEAR | TRANSLATED, TARGET + 8, TARGET + 8);
}
GUEST(load_paged, "movl $0x603010, %ebx", "movb (%rbx), %al");
CASE(ept_table_access, "violation by an access to the guest's page tables", "exit.EPT_VIOLATION", "28.2.1")
{
  // The guest's own page table for the paging area moves to the EPT area, of which EPT maps nothing here.
  use_ept();
  use_guest_paging();
  u64 *guest_pd = (u64 *)(((u64 *)(guest_pml4[0] & ~0xffful))[0] & ~0xffful);
  guest_pd[PAGING_AREA >> 21] = TARGET | 7;
  set_entry(0);
  START(load_paged);
  go();
  expect_violation(1 | LINEAR, TARGET + 3 * 8, PAGING_AREA + 0x3010);
}
CASE(ept_table_write, "violation by setting a flag in the guest's page tables without the right to write", "exit.EPT_VIOLATION", "29.3.3.2")
{
  use_ept();
  use_guest_paging();
  u64 *guest_pd = (u64 *)(((u64 *)(guest_pml4[0] & ~0xffful))[0] & ~0xffful);
  guest_pd[PAGING_AREA >> 21] = TARGET | 7;
  ((u64 *)page_a)[3] = PAGING_AREA | 7;
  set_entry((u64)page_a | WB | R);
  START(load_paged);
  go();
  expect("exit reason", vmread(EXIT_REASON), 48);
  expect("write access, R, linear address valid, not translated",
         vmread(QUALIFICATION) & (2 | 7 << 3 | LINEAR | TRANSLATED), 2 | 1 << 3 | LINEAR);
  expect("guest-physical address", vmread(GUEST_PHYSICAL), TARGET + 3 * 8);
}
CASE(ept_large, "2 MiB pages", "control.secondary.ENABLE_EPT", "29.3.2")
{
  need_that(rdmsr(0x48c) >> 16 & 1, "EPT pages of 2 MiB");
  use_ept();
  ept_pd[EPT_AREA >> 21] = 0xa00000 | LARGE | WB | R;
  invept(1, eptp());
  *(volatile u64 *)0xa01008 = 0xabcdef;
  PASSES(load);
  expect("what the guest loads", registers[RAX], 0xabcdef);
  START(store);
  go();
  expect_violation(2 | 1 << 3 | LINEAR | TRANSLATED, TARGET + 8, TARGET + 8);
}
#define MISCONFIGURED(what, entry)                                                                                     \
  do {                                                                                                                 \
    set_entry(entry);                                                                                                  \
    START(load);                                                                                                       \
    go();                                                                                                              \
    expect("exit reason by " what, vmread(EXIT_REASON), 49);                                                           \
    expect("guest-physical address", vmread(GUEST_PHYSICAL), TARGET + 8);                                              \
  } while (0)
CASE(ept_misconfigured, "misconfigurations", "exit.EPT_MISCONFIGURATION", "29.3.3.1")
{
  use_ept();
  MISCONFIGURED("W without R", (u64)page_a | WB | W);
  MISCONFIGURED("W and X without R", (u64)page_a | WB | W | X);
  MISCONFIGURED("memory type 2", (u64)page_a | 2 << 3 | R);
  MISCONFIGURED("memory type 3", (u64)page_a | 3 << 3 | R);
  MISCONFIGURED("memory type 7", (u64)page_a | 7 << 3 | R);
  MISCONFIGURED("an address beyond the physical-address width", (u64)page_a | 1ul << 51 | WB | R);
}
CASE(ept_misconfigured_table, "misconfigurations of an entry that refers to a table", "exit.EPT_MISCONFIGURATION", "29.3.3.1")
{
  use_ept();
  ept_pd[EPT_AREA >> 21] = (u64)ept_pt | R | 8;
  invept(1, eptp());
  START(load);
  go();
  expect("exit reason by a reserved bit", vmread(EXIT_REASON), 49);
  ept_pd[EPT_AREA >> 21] = 0x801000 | LARGE | WB | R;
  invept(1, eptp());
  START(load);
  go();
  expect("exit reason by the low bits of a 2 MiB page", vmread(EXIT_REASON), 49);
}
CASE(ept_accessed_dirty, "accessed and dirty flags", "control.secondary.ENABLE_EPT", "29.3.5")
{
  need_that(rdmsr(0x48c) >> 21 & 1, "accessed and dirty flags for EPT");
  use_ept();
  vmwrite(EPTP, eptp() | 1 << 6);
  set_entry((u64)page_a | WB | R | W | X);
  invept(2, 0);
  PASSES(load);
  expect("accessed after a load", ept_pt[1] & (ACCESSED | DIRTY), ACCESSED);
  expect("accessed in the directory", ept_pd[EPT_AREA >> 21] & ACCESSED, ACCESSED);
  PASSES(store);
  expect("accessed and dirty after a store", ept_pt[1] & (ACCESSED | DIRTY), ACCESSED | DIRTY);
}
CASE(ept_no_accessed_dirty, "without EPTP bit 6 the flags stay", "", "29.3.5")
{
  use_ept();
  set_entry((u64)page_a | WB | R | W | X);
  PASSES(store);
  expect("accessed and dirty", ept_pt[1] & (ACCESSED | DIRTY), 0);
}
CASE(ept_stale_single, "INVEPT makes a change of the tables visible, single context", "", "29.4.3.1")
{
  use_ept();
  ((u64 *)page_a)[1] = 1, ((u64 *)page_b)[1] = 2;
  set_entry((u64)page_a | WB | R);
  PASSES(load);
  expect("first page", registers[RAX], 1);
  ept_pt[1] = (u64)page_b | WB | R;
  invept(1, eptp());
  PASSES(load);
  expect("second page", registers[RAX], 2);
  ept_pt[1] = (u64)page_a | WB | R;
  invept(2, 0);
  PASSES(load);
  expect("first page again, by the global type", registers[RAX], 1);
}
CASE(vpid_tagged, "translations of a VPID survive exits until they are invalidated, then the new one is used",
     "control.secondary.ENABLE_VPID", "29.4.3.1")
{
  use_guest_paging();
  on(ENABLE_VPID);
  vmwrite(VPID, 7);
  GUEST(load_linear, "movl $0x602000, %ebx", "movq (%rbx), %rax");
  ((u64 *)page_a)[0] = 1, ((u64 *)page_b)[0] = 2;
  guest_pt[2] = (u64)page_a | 7;
  invvpid(1, 7, 0);
  PASSES(load_linear);
  expect("first page", registers[RAX], 1);
  guest_pt[2] = (u64)page_b | 7;
  invvpid(0, 7, 0x602000);
  PASSES(load_linear);
  expect("second page, by address", registers[RAX], 2);
  guest_pt[2] = (u64)page_a | 7;
  invvpid(1, 7, 0);
  PASSES(load_linear);
  expect("first page, by context", registers[RAX], 1);
  guest_pt[2] = (u64)page_b | 7;
  invvpid(3, 7, 0);
  PASSES(load_linear);
  expect("second page, by context but global pages", registers[RAX], 2);
  guest_pt[2] = (u64)page_a | 7;
  invvpid(2, 0, 0);
  PASSES(load_linear);
  expect("first page, by all contexts", registers[RAX], 1);
}
CASE(vpid_off, "without VPID each VM entry and exit invalidates", "control.secondary.ENABLE_VPID", "29.4.3.1")
{
  use_guest_paging();
  GUEST(load_again, "movl $0x602000, %ebx", "movq (%rbx), %rax");
  ((u64 *)page_a)[0] = 1, ((u64 *)page_b)[0] = 2;
  guest_pt[2] = (u64)page_a | 7;
  PASSES(load_again);
  expect("first page", registers[RAX], 1);
  guest_pt[2] = (u64)page_b | 7;
  PASSES(load_again);
  expect("second page", registers[RAX], 2);
}
CASE(unrestricted, "\"unrestricted guest\": a guest without paging and protection",
     "control.secondary.UNRESTRICTED_GUEST", "27.3.1.1")
{
  use_ept();
  on(UNRESTRICTED_GUEST);
  off(IA32E_MODE_GUEST);
  extern char real_mode[], real_mode_end[];
  __asm__(".pushsection .text.guest\n .code16\n real_mode: movw $0x1234, %bx\n smsw %cx\n vmcall\n .code64\n real_mode_end: .popsection");
  for (int i = 0; i < real_mode_end - real_mode; i++)
    ((volatile u8 *)0x8000)[i] = (u8)real_mode[i];
  vmwrite(GUEST_CR0, vmread(GUEST_CR0) & ~0x80000001ul);
  vmwrite(GUEST_CR4, 0x2000);
  for (u32 i = 0; i < 6; i++) {
    vmwrite(GUEST_ES + 2 * i, 0);
    vmwrite(GUEST_ES_BASE + 2 * i, 0);
    vmwrite(GUEST_ES_LIMIT + 2 * i, 0xffff);
    vmwrite(GUEST_ES_RIGHTS + 2 * i, i == 1 ? 0x9b : 0x93);
  }
  vmwrite(GUEST_IDTR_LIMIT, 0x3ff);
  vmwrite(GUEST_IDTR_BASE, 0);
  vmwrite(GUEST_RIP, 0x8000);
  go();
  expect_exit(18, 0);
  expect("BX", registers[RBX] & 0xffff, 0x1234);
  expect("PE", registers[RCX] & 1, 0);
}
CASE(unrestricted_off, "without it CR0.PE and CR0.PG must be 1", "control.secondary.UNRESTRICTED_GUEST", "27.3.1.1")
{
  use_ept();
  off(IA32E_MODE_GUEST);
  vmwrite(GUEST_CR0, vmread(GUEST_CR0) & ~0x80000001ul);
  START(load);
  expect_failed_entry(33, 0);
}

CASE(pml_logs, "page-modification logging writes down guest-physical addresses", "control.secondary.ENABLE_PML", "29.3.6")
{
  use_ept();
  on(ENABLE_PML);
  vmwrite(EPTP, eptp() | 1 << 6);
  vmwrite(PML_ADDRESS, (u64)page_b);
  vmwrite(PML_INDEX, 511);
  set_entry((u64)page_a | WB | R | W | X);
  // The guest's stack and page tables are in a page of 2 MiB: made dirty beforehand.
  for (int i = 0; i < 512; i++)
    if (i != EPT_AREA >> 21)
      ept_pd[i] |= ACCESSED | DIRTY;
  invept(2, 0);
  PASSES(store);
  expect("PML index", vmread(PML_INDEX), 510);
  expect("what was logged", ((u64 *)page_b)[511], TARGET);
}
CASE(pml_full, "a full log exits", "exit.PML_FULL control.secondary.ENABLE_PML", "29.3.6")
{
  use_ept();
  on(ENABLE_PML);
  vmwrite(EPTP, eptp() | 1 << 6);
  vmwrite(PML_ADDRESS, (u64)page_b);
  vmwrite(PML_INDEX, 0xffff);
  set_entry((u64)page_a | WB | R | W | X);
  // An accessed flag that is to be set would exit as well.
  for (int i = 0; i < 512; i++)
    ept_pd[i] |= i == EPT_AREA >> 21 ? ACCESSED : ACCESSED | DIRTY;
  ept_pml4[0] |= ACCESSED, ept_pdpt[0] |= ACCESSED, ept_pt[1] |= ACCESSED;
  invept(2, 0);
  START(store);
  go();
  expect_exit(62, 0);
  expect("guest RIP", vmread(GUEST_RIP), (u64)store_at);
  expect("dirty", ept_pt[1] & DIRTY, 0);
  ept_pd[0] &= ~ACCESSED;
  invept(2, 0);
  START(store);
  go();
  expect_exit(62, 0);
  expect("guest RIP, by an accessed flag on the way to the code", vmread(GUEST_RIP), (u64)store);
}
CASE(mode_based, "mode-based execute control: X for supervisor, XU for user addresses",
     "exit.EPT_VIOLATION control.secondary.MODE_BASED_EXECUTE_CONTROL", "29.3.2")
{
  use_ept();
  on(MODE_BASED_EXECUTE_CONTROL);
  // All linear addresses here are user-mode addresses by their page tables: fetches need XU.
  for (int i = 0; i < 512; i++)
    if (i != EPT_AREA >> 21)
      ept_pd[i] |= XU;
  ept_pml4[0] |= XU, ept_pdpt[0] |= XU, ept_pd[EPT_AREA >> 21] |= XU;
  ((u32 *)page_a)[2] = 0xc1010f;
  set_entry((u64)page_a | WB | R | X);
  START(fetch);
  go();
  expect("exit reason", vmread(EXIT_REASON), 48);
  expect("fetch, R, X, XU", vmread(QUALIFICATION) & 0x7f, 4 | 1 << 3 | 4 << 3);
  set_entry((u64)page_a | WB | R | XU);
  START(fetch);
  go();
  expect_exit(18, 0);
}
CASE(virtualization_exception, "a convertible EPT violation is #VE, its area says what happened",
     "control.secondary.EPT_VIOLATION_VE", "26.5.7")
{
  use_ept();
  on(EPT_VIOLATION_VE);
  vmwrite(VE_INFORMATION, (u64)page_b);
  vmwrite(EPTP_INDEX, 3);
  set_entry(0);
  TRAPS(load, 20, 0);
  u32 *area = (u32 *)page_b;
  u64 *wide = (u64 *)page_b;
  expect("exit reason in the area", area[0], 48);
  expect("busy word", area[1], 0xffffffff);
  expect("qualification", wide[1] & ~ADVANCED, 1 | LINEAR | TRANSLATED);
  expect("guest-linear address", wide[2], TARGET + 8);
  expect("guest-physical address", wide[3], TARGET + 8);
  expect("EPTP index", *(u16 *)&wide[4], 3);
  START(load);
  go();
  expect("exit reason while the area is busy", vmread(EXIT_REASON), 48);
  area[1] = 0;
  set_entry(SUPPRESS_VE);
  START(load);
  go();
  expect("exit reason with \"suppress #VE\"", vmread(EXIT_REASON), 48);
}
CASE(virtualization_exception_exits, "#VE exits by bit 20 of the exception bitmap", "exit.EXCEPTION_OR_NMI control.secondary.EPT_VIOLATION_VE", "26.5.7")
{
  use_ept();
  on(EPT_VIOLATION_VE);
  vmwrite(VE_INFORMATION, (u64)page_b);
  vmwrite(EPTP_INDEX, 0);
  vmwrite(EXCEPTION_BITMAP, 1 << 20);
  set_entry(0);
  START(load);
  go();
  expect_exit(0, 0);
  expect("interruption information", vmread(EXIT_EVENT), 0x80000000 | 3 << 8 | 20);
}

GUEST(vmfunc, "xorl %eax, %eax\n movl $1, %ecx", "vmfunc");
GUEST(vmfunc_high, "xorl %eax, %eax\n movl $512, %ecx", "vmfunc");
GUEST(vmfunc_function, "movl $1, %eax\n xorl %ecx, %ecx", "vmfunc");
GUEST(vmfunc_undefined, "movl $64, %eax\n xorl %ecx, %ecx", "vmfunc");
CASE(eptp_switching, "VMFUNC 0 switches the EPT pointer", "control.secondary.ENABLE_VM_FUNCTIONS", "26.5.6")
{
  use_ept();
  on(ENABLE_VM_FUNCTIONS);
  vmwrite(VM_FUNCTIONS, 1);
  vmwrite(EPTP_LIST, (u64)page_b);
  // The second set of tables differs in write access to the EPT area.
  u64 *second = (u64 *)page_c;
  second[0] = ept_pml4[0] & ~W;
  ((u64 *)page_b)[1] = (u64)second | 3 << 3 | 6;
  ((u64 *)page_b)[0] = eptp();
  invept(2, 0);
  PASSES(vmfunc);
  expect("EPT pointer", vmread(EPTP), (u64)second | 3 << 3 | 6);
  START(store);
  go();
  expect_violation(2 | 5 << 3 | LINEAR | TRANSLATED, TARGET + 8, TARGET + 8);
}
static void
use_vmfunc(void)
{
  use_ept();
  on(ENABLE_VM_FUNCTIONS);
  vmwrite(VM_FUNCTIONS, 1);
  vmwrite(EPTP_LIST, (u64)page_b);
}
CASE(eptp_switching_entry, "VMFUNC exits by an EPT pointer that VM entry would refuse",
     "exit.VMFUNC control.secondary.ENABLE_VM_FUNCTIONS", "26.5.6.3")
{
  use_vmfunc();
  ((u64 *)page_b)[1] = eptp() | 7;
  EXITS(vmfunc, 59);
}
CASE(eptp_switching_index, "VMFUNC exits by an index above 511", "exit.VMFUNC", "26.5.6.3")
{
  use_vmfunc();
  EXITS(vmfunc_high, 59);
}
CASE(vmfunc_disabled, "VMFUNC exits by a function that is not enabled", "exit.VMFUNC", "26.5.6.2")
{
  use_vmfunc();
  EXITS(vmfunc_function, 59);
}
CASE(vmfunc_unknown, "VMFUNC of a function above 63 is #UD", "", "26.5.6.2")
{
  use_vmfunc();
  START(vmfunc_undefined);
  go();
  expect("exit reason 59, or 18 with #UD", vmread(EXIT_REASON) == 59 || trap.vector == 6, 1);
}
CASE(vmfunc_off, "VMFUNC without \"enable VM functions\" is #UD", "control.secondary.ENABLE_VM_FUNCTIONS", "26.5.6")
{
  TRAPS(vmfunc, 6, 0);
}
