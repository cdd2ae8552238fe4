// The smallest hypervisor that can run its own caller: VMXON, one VMCS whose guest state is the running state, identity
// EPT, and an exit handler that answers VMCALL. Numbers in comments are sections of SDM vol. 3.
#include "vmx.h"

#define IA32_FEATURE_CONTROL 0x3a
#define IA32_VMX_BASIC 0x480
#define IA32_VMX_CR0_FIXED0 0x486
#define IA32_VMX_PROCBASED_CTLS2 0x48b
#define IA32_EFER 0xc0000080

#define CR4_VMXE (1ul << 13)
#define FEATURE_LOCKED 1
#define FEATURE_VMX 4
#define TRUE_CONTROLS (1ul << 55)

#define PRIMARY_SECONDARY (1u << 31)
#define SECONDARY_EPT (1u << 1)
#define SECONDARY_VPID (1u << 5)
#define EXIT_HOST_64 (1u << 9)
#define ENTRY_GUEST_64 (1u << 9)

#define EPT_RWX 7ul
#define EPT_WRITE_BACK (6ul << 3)
#define EPT_LARGE (1ul << 7)
#define EPTP_WRITE_BACK_4_LEVELS (6ul | 3ul << 3)

#define EXIT_VMCALL 18

enum field {
  VPID = 0x0000,
  GUEST_ES = 0x0800, // ES CS SS DS FS GS LDTR TR
  GUEST_LDTR = 0x080c,
  GUEST_TR = 0x080e,
  HOST_ES = 0x0c00, // ES CS SS DS FS GS TR
  EPT_POINTER = 0x201a,
  LINK_POINTER = 0x2800,
  PIN_CONTROLS = 0x4000,
  PRIMARY_CONTROLS = 0x4002,
  EXIT_CONTROLS = 0x400c,
  ENTRY_CONTROLS = 0x4012,
  SECONDARY_CONTROLS = 0x401e,
  EXIT_REASON = 0x4402,
  EXIT_INSTRUCTION_LENGTH = 0x440c,
  GUEST_ES_LIMIT = 0x4800,
  GUEST_GDTR_LIMIT = 0x4810,
  GUEST_IDTR_LIMIT = 0x4812,
  GUEST_ES_ACCESS = 0x4814,
  GUEST_CR0 = 0x6800,
  GUEST_CR3 = 0x6802,
  GUEST_CR4 = 0x6804,
  GUEST_ES_BASE = 0x6806,
  GUEST_GDTR_BASE = 0x6816,
  GUEST_IDTR_BASE = 0x6818,
  GUEST_DR7 = 0x681a,
  GUEST_RSP = 0x681c,
  GUEST_RIP = 0x681e,
  GUEST_RFLAGS = 0x6820,
  HOST_CR0 = 0x6c00,
  HOST_CR3 = 0x6c02,
  HOST_CR4 = 0x6c04,
  HOST_TR_BASE = 0x6c0a,
  HOST_GDTR_BASE = 0x6c0c,
  HOST_IDTR_BASE = 0x6c0e,
  HOST_RSP = 0x6c14,
  HOST_RIP = 0x6c16,
};

static __attribute__((aligned(4096))) uint32_t vmxon_region[1024], vmcs[1024];
static __attribute__((aligned(4096))) uint64_t ept_pml4[512], ept_pdpt[512], ept_directory[512];
static __attribute__((aligned(16))) uint8_t tss[104], host_stack[16384];

void vmx_exit_entry(void);
int vmx_launch(void);

static uint64_t
rdmsr(uint32_t index)
{
  uint32_t low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
  return (uint64_t)high << 32 | low;
}

static void
wrmsr(uint32_t index, uint64_t value)
{
  __asm__ volatile("wrmsr" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void
vmwrite(uint64_t field, uint64_t value)
{
  __asm__ volatile("vmwrite %1, %0" : : "r"(field), "r"(value) : "cc", "memory");
}

static uint64_t
vmread(uint64_t field)
{
  uint64_t value;
  __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
  return value;
}

// Controls that the capability MSR allows: what must be 1 is set (A.3.1).
static uint32_t
controls(uint32_t msr, uint32_t wanted)
{
  uint64_t allowed = rdmsr(msr);
  return (wanted | (uint32_t)allowed) & (uint32_t)(allowed >> 32);
}

static int
available(void)
{
  uint32_t eax = 1, ebx, ecx, edx;
  __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
  if (!(ecx >> 5 & 1))
    return 0;
  uint64_t feature = rdmsr(IA32_FEATURE_CONTROL);
  if (!(feature & FEATURE_LOCKED))
    wrmsr(IA32_FEATURE_CONTROL, feature | FEATURE_LOCKED | FEATURE_VMX);
  else if (!(feature & FEATURE_VMX))
    return 0;
  return rdmsr(IA32_VMX_PROCBASED_CTLS2) >> 32 & SECONDARY_EPT;
}

static void
write_controls(void)
{
  uint32_t base = rdmsr(IA32_VMX_BASIC) & TRUE_CONTROLS ? 0x48d : 0x481; // pin, primary, exit, entry
  vmwrite(PIN_CONTROLS, controls(base, 0));
  vmwrite(PRIMARY_CONTROLS, controls(base + 1, PRIMARY_SECONDARY));
  vmwrite(SECONDARY_CONTROLS, controls(IA32_VMX_PROCBASED_CTLS2, SECONDARY_EPT | SECONDARY_VPID));
  vmwrite(EXIT_CONTROLS, controls(base + 2, EXIT_HOST_64));
  vmwrite(ENTRY_CONTROLS, controls(base + 3, ENTRY_GUEST_64));
  ept_pml4[0] = (uintptr_t)ept_pdpt | EPT_RWX;
  ept_pdpt[0] = (uintptr_t)ept_directory | EPT_RWX;
  for (uint64_t i = 0; i < 512; i++)
    ept_directory[i] = i << 21 | EPT_LARGE | EPT_WRITE_BACK | EPT_RWX;
  vmwrite(EPT_POINTER, (uintptr_t)ept_pml4 | EPTP_WRITE_BACK_4_LEVELS);
  vmwrite(VPID, 1);
  vmwrite(LINK_POINTER, ~0ul);
}

static void
write_segments(void)
{
  for (uint64_t i = 0; i < 8; i++) {
    int code = i == 1, ldtr = i == 6, tr = i == 7;
    vmwrite(GUEST_ES + 2 * i, code ? 8 : ldtr ? 0 : tr ? 0x18 : 16);
    vmwrite(GUEST_ES_LIMIT + 2 * i, tr ? sizeof tss - 1 : ldtr ? 0 : 0xffffffff);
    vmwrite(GUEST_ES_ACCESS + 2 * i, code ? 0xa09b : ldtr ? 0x10000 : tr ? 0x8b : 0xc093);
    vmwrite(GUEST_ES_BASE + 2 * i, tr ? (uintptr_t)tss : 0);
  }
  for (uint64_t i = 0; i < 6; i++)
    vmwrite(HOST_ES + 2 * i, i == 1 ? 8 : i >= 4 ? 0 : 16);
  vmwrite(HOST_ES + 12, 0x18);
  vmwrite(HOST_TR_BASE, (uintptr_t)tss);
}

static void
write_registers(void)
{
  struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
  } gdtr, idtr;
  uint64_t cr0, cr3, cr4;
  __asm__ volatile("sgdt %0" : "=m"(gdtr));
  __asm__ volatile("sidt %0" : "=m"(idtr));
  __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
  __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
  __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
  vmwrite(GUEST_CR0, cr0), vmwrite(HOST_CR0, cr0);
  vmwrite(GUEST_CR3, cr3), vmwrite(HOST_CR3, cr3);
  vmwrite(GUEST_CR4, cr4), vmwrite(HOST_CR4, cr4);
  vmwrite(GUEST_GDTR_BASE, gdtr.base), vmwrite(HOST_GDTR_BASE, gdtr.base);
  vmwrite(GUEST_GDTR_LIMIT, gdtr.limit);
  vmwrite(GUEST_IDTR_BASE, idtr.base), vmwrite(HOST_IDTR_BASE, idtr.base);
  vmwrite(GUEST_IDTR_LIMIT, idtr.limit);
  vmwrite(GUEST_DR7, 0x400);
  vmwrite(GUEST_RFLAGS, 2);
  vmwrite(HOST_RSP, (uintptr_t)(host_stack + sizeof host_stack));
  vmwrite(HOST_RIP, (uintptr_t)vmx_exit_entry);
}

int
vmx_become_guest(void)
{
  if (!available())
    return 0;
  uint64_t cr0, cr4;
  __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
  __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
  __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 | rdmsr(IA32_VMX_CR0_FIXED0)));
  __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_VMXE));
  vmxon_region[0] = vmcs[0] = (uint32_t)rdmsr(IA32_VMX_BASIC) & 0x7fffffff;
  uint64_t region = (uintptr_t)vmxon_region, current = (uintptr_t)vmcs;
  __asm__ volatile("vmxon %0" : : "m"(region) : "cc", "memory");
  __asm__ volatile("vmclear %0" : : "m"(current) : "cc", "memory");
  __asm__ volatile("vmptrld %0" : : "m"(current) : "cc", "memory");
  write_controls();
  write_segments();
  write_registers();
  return vmx_launch();
}

// Called by vmx_exit_entry. 1: resume the guest behind its VMCALL; 0: another exit, which nothing here should cause.
int
vmx_handle_exit(void)
{
  if (vmread(EXIT_REASON) != EXIT_VMCALL)
    return 0;
  vmwrite(GUEST_RIP, vmread(GUEST_RIP) + vmread(EXIT_INSTRUCTION_LENGTH));
  return 1;
}

uint64_t
vm_exits(unsigned repeat)
{
  uint64_t sum = 0;
  for (unsigned i = 0; i < repeat * 1000; i++) {
    __asm__ volatile("vmcall" ::: "memory");
    sum += i;
  }
  return sum;
}
