// VMX instructions in the guest (SDM vol. 3, 26.1.2), and their failures in root operation (chapter 31).
#include "vt.h"

GUEST(vmcall, "", "vmcall");
CASE(vmcall_exits, "VMCALL exits", "exit.VMCALL", "26.1.2") { EXITS(vmcall, 18); }
GUEST(vmlaunch, "", "vmlaunch");
CASE(vmlaunch_exits, "VMLAUNCH exits", "exit.VMLAUNCH", "26.1.2") { EXITS(vmlaunch, 20); }
GUEST(vmresume, "", "vmresume");
CASE(vmresume_exits, "VMRESUME exits", "exit.VMRESUME", "26.1.2") { EXITS(vmresume, 24); }
GUEST(vmxoff, "", "vmxoff");
CASE(vmxoff_exits, "VMXOFF exits", "exit.VMXOFF", "26.1.2") { EXITS(vmxoff, 26); }
GUEST(vmxon, "movl $page_a, %ecx", "vmxon 0x18(%rcx)");
CASE(vmxon_exits, "VMXON exits", "exit.VMXON", "26.1.2")
{
  EXITS_Q(vmxon, 27, 0x18);
  expect("address size, segment, no index, base RCX", vmread(EXIT_INFORMATION) & 0xffc38380, 2 << 7 | 3 << 15 | 1 << 22 | 1 << 23);
}
GUEST(vmclear, "movl $page_a, %ecx", "vmclear -8(%rcx)");
CASE(vmclear_exits, "VMCLEAR exits", "exit.VMCLEAR", "26.1.2") { EXITS_Q(vmclear, 19, -8ul); }
GUEST(vmptrld, "movl $page_a, %ecx", "vmptrld (%rcx)");
CASE(vmptrld_exits, "VMPTRLD exits", "exit.VMPTRLD", "26.1.2") { EXITS(vmptrld, 21); }
GUEST(vmptrst, "movl $page_a, %ecx", "vmptrst (%rcx)");
CASE(vmptrst_exits, "VMPTRST exits", "exit.VMPTRST", "26.1.2") { EXITS(vmptrst, 22); }
GUEST(vmread_register, "", "vmread %rdx, %rbx");
CASE(vmread_exits, "VMREAD exits", "exit.VMREAD", "26.1.2")
{
  EXITS(vmread_register, 23);
  expect("register form, RBX from RDX", vmread(EXIT_INFORMATION) & 0xf0000478, 2ul << 28 | 1 << 10 | 3 << 3);
}
GUEST(vmwrite_memory, "movl $page_a, %ecx", "vmwrite 0x20(%rcx), %rdx");
CASE(vmwrite_exits, "VMWRITE exits", "exit.VMWRITE", "26.1.2")
{
  EXITS_Q(vmwrite_memory, 25, 0x20);
  expect("memory form, second register RDX", vmread(EXIT_INFORMATION) & 0xf0000400, 2ul << 28);
}
GUEST(invept_guest, "movl $page_a, %ecx\n movl $1, %eax", "invept (%rcx), %rax");
CASE(invept_exits, "INVEPT exits", "exit.INVEPT", "26.1.2") { EXITS(invept_guest, 50); }
GUEST(invvpid_guest, "movl $page_a, %ecx\n movl $1, %eax", "invvpid (%rcx), %rax");
CASE(invvpid_exits, "INVVPID exits", "exit.INVVPID", "26.1.2") { EXITS(invvpid_guest, 53); }

#define FLAGS_OF(instruction, ...)                                                                                     \
  ({                                                                                                                   \
    u64 flags_;                                                                                                        \
    __asm__ volatile(instruction "\n pushfq\n popq %0" : "=r"(flags_) : __VA_ARGS__ : "cc", "memory");                 \
    flags_ & 0x8d5;                                                                                                    \
  })
#define INVALID 1ul
#define VALID 0x40ul
#define expect_error(flags, number)                                                                                    \
  do {                                                                                                                 \
    expect("RFLAGS (40: VMfailValid)", flags, VALID);                                                                  \
    expect("VM-instruction error", vmread(INSTRUCTION_ERROR), number);                                                 \
  } while (0)

LAST_CASE(vmcall_root, "VMCALL in root operation: error 1", "error.1", "31.3") { expect_error(FLAGS_OF("vmcall", "i"(0)), 1); }
CASE(vmclear_address, "VMCLEAR of a misaligned address: error 2", "error.2", "31.3")
{
  u64 at = (u64)page_a + 8;
  expect_error(FLAGS_OF("vmclear %1", "m"(at)), 2);
}
CASE(vmclear_beyond, "VMCLEAR beyond the physical-address width: error 2", "error.2", "31.3")
{
  u64 at = 1ul << 52;
  expect_error(FLAGS_OF("vmclear %1", "m"(at)), 2);
}
CASE(vmclear_vmxon, "VMCLEAR of the VMXON region: error 3", "error.3", "31.3")
{
  u64 at = (u64)vmxon_region;
  expect_error(FLAGS_OF("vmclear %1", "m"(at)), 3);
}
CASE(vmlaunch_launched, "VMLAUNCH with a launched VMCS: error 4", "error.4", "31.3")
{
  START(vmcall);
  go();
  expect_error(FLAGS_OF("vmlaunch", "i"(0)), 4);
}
CASE(vmresume_clear, "VMRESUME with a clear VMCS: error 5", "error.5", "31.3")
{
  expect_error(FLAGS_OF("vmresume", "i"(0)), 5);
}
CASE(entry_controls, "VMLAUNCH with invalid control fields: error 7", "error.7", "27.2.1")
{
  vmwrite(PIN_CONTROLS, 0);
  START(vmcall);
  expect_refused(7);
}
CASE(entry_host, "VMLAUNCH with invalid host state: error 8", "error.8", "27.2.2")
{
  vmwrite(HOST_CR4, 0);
  START(vmcall);
  expect_refused(8);
}
CASE(vmptrld_address, "VMPTRLD of a misaligned address: error 9", "error.9", "31.3")
{
  u64 at = (u64)page_a + 1;
  expect_error(FLAGS_OF("vmptrld %1", "m"(at)), 9);
}
CASE(vmptrld_vmxon, "VMPTRLD of the VMXON region: error 10", "error.10", "31.3")
{
  u64 at = (u64)vmxon_region;
  expect_error(FLAGS_OF("vmptrld %1", "m"(at)), 10);
}
CASE(vmptrld_revision, "VMPTRLD of a region with another revision: error 11", "error.11", "31.3")
{
  *(u32 *)page_a = ((u32)rdmsr(0x480) & 0x7fffffff) + 1;
  u64 at = (u64)page_a;
  expect_error(FLAGS_OF("vmptrld %1", "m"(at)), 11);
}
CASE(vmread_unknown, "VMREAD of an unknown field: error 12", "error.12", "31.3")
{
  u64 value = 0x5a;
  u64 flags = try_vmread(0x7ffe, &value);
  expect_error(flags, 12);
  expect("the operand", value, 0x5a);
}
CASE(vmread_high, "VMREAD of an encoding beyond 32 bits: error 12", "error.12", "31.3")
{
  u64 value = 0;
  expect_error(try_vmread(1ul << 40 | GUEST_RIP, &value), 12);
}
CASE(vmwrite_unknown, "VMWRITE of an unknown field: error 12", "error.12", "31.3")
{
  expect_error(try_vmwrite(0x7ffe, 0), 12);
}
CASE(vmwrite_read_only, "VMWRITE of a read-only field: error 13, unless IA32_VMX_MISC allows it", "error.13", "31.3")
{
  u64 flags = try_vmwrite(EXIT_REASON, 7);
  if (rdmsr(0x485) >> 29 & 1) {
    expect("RFLAGS", flags, 0);
    expect("the field", vmread(EXIT_REASON), 7);
  } else
    expect_error(flags, 13);
}
CASE(vmxon_root, "VMXON in root operation: error 15", "error.15", "31.3")
{
  u64 at = (u64)vmxon_region;
  expect_error(FLAGS_OF("vmxon %1", "m"(at)), 15);
}
CASE(entry_mov_ss, "VMLAUNCH behind MOV SS: error 26", "error.26", "27.1")
{
  START(vmcall);
  expect_error(FLAGS_OF("movl %%ss, %%eax\n movl %%eax, %%ss\n vmlaunch", "a"(0)), 26);
}
CASE(invept_type, "INVEPT of an unknown type: error 28", "error.28", "31.3")
{
  need(ENABLE_EPT);
  u64 descriptor[2] = {0, 0};
  expect_error(FLAGS_OF("invept %1, %2", "m"(descriptor), "r"(7ul)), 28);
}
CASE(invvpid_type, "INVVPID of an unknown type: error 28", "error.28", "31.3")
{
  need(ENABLE_VPID);
  u64 descriptor[2] = {1, 0};
  expect_error(FLAGS_OF("invvpid %1, %2", "m"(descriptor), "r"(7ul)), 28);
}
CASE(invvpid_zero, "INVVPID of VPID 0: error 28", "error.28", "31.3")
{
  need(ENABLE_VPID);
  u64 descriptor[2] = {0, 0};
  expect_error(FLAGS_OF("invvpid %1, %2", "m"(descriptor), "r"(1ul)), 28);
}
CASE(invvpid_canonical, "INVVPID of a non-canonical address: error 28", "error.28", "31.3")
{
  need(ENABLE_VPID);
  u64 descriptor[2] = {1, 1ul << 60};
  expect_error(FLAGS_OF("invvpid %1, %2", "m"(descriptor), "r"(0ul)), 28);
}
CASE(no_vmcs, "without a current VMCS: VMfailInvalid", "", "31.2")
{
  u64 current;
  __asm__ volatile("vmptrst %0" : "=m"(current));
  u64 value = 0;
  u64 cleared = FLAGS_OF("vmclear %1", "m"(current));
  u64 none;
  __asm__ volatile("vmptrst %0" : "=m"(none));
  u64 read = try_vmread(GUEST_RIP, &value), written = try_vmwrite(GUEST_RIP, 1);
  u64 launch = FLAGS_OF("vmlaunch", "i"(0)), resume = FLAGS_OF("vmresume", "i"(0)), call = FLAGS_OF("vmcall", "i"(0));
  u64 loaded = FLAGS_OF("vmptrld %1", "m"(current));
  expect("RFLAGS of VMCLEAR", cleared, 0);
  expect("VMPTRST", none, -1ul);
  expect("RFLAGS of VMREAD", read, INVALID);
  expect("RFLAGS of VMWRITE", written, INVALID);
  expect("RFLAGS of VMLAUNCH", launch, INVALID);
  expect("RFLAGS of VMRESUME", resume, INVALID);
  expect("RFLAGS of VMCALL", call, INVALID);
  expect("RFLAGS of VMPTRLD", loaded, 0);
}
CASE(vmx_user, "VMX instructions at CPL 3 exit too, but VMCALL alone is for any level", "exit.VMCALL", "31.3")
{
  // The priority of the fault: CPL is looked at behind the VM exit only for VMCALL and VMFUNC.
  START(vmcall);
  vmwrite(GUEST_CS, 0x4b), vmwrite(GUEST_CS_RIGHTS, 0xa0fb);
  vmwrite(GUEST_SS, 0x43), vmwrite(GUEST_SS_RIGHTS, 0xc0f3);
  go();
  expect_exit(18, 0);
}
