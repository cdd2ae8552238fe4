// Demotion: the monitor enters VMX root operation and builds a VMCS whose guest is the launcher, in the state in which
// it called the launch. The first VM entry makes it the deprivileged VMM.
#include "captured.h"
#include "console.h"
#include "eptx.h"
#include "layout.h"
#include "pages.h"
#include "vmm.h"

#include <print.h>
#include <string.h>
#include <vmx.h>

#define CPUID_VMX (1u << 5)
#define VMM_VPID 0xffff // the VMM may use every other
#define EPT_NEEDED (EPT_CAPABILITY_WALK_4 | EPT_CAPABILITY_WRITE_BACK | EPT_CAPABILITY_2M | EPT_CAPABILITY_INVEPT_SINGLE)
#define MSR_BITMAP_BYTE(msr) ((msr) / 8)
#define MSR_BITMAP_BIT(msr) (1u << (msr) % 8)
#define RESET_TSS_LIMIT 0xffff
#define DESCRIPTOR_SYSTEM(descriptor) (!((descriptor) >> 44 & 1))

extern char gdt[];

struct vmm vmm;
static char tss[104];
static uint8_t msr_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));

static uint64_t
region_create(void)
{
  uint64_t region = monitor_page();
  *(uint32_t *)direct(region) = VMX_BASIC_REVISION(rdmsr(MSR_VMX_BASIC));
  return region;
}

static bool
processor_fits(void)
{
  if (!(cpuid(1, 0).ecx & CPUID_VMX))
    return false;
  uint64_t control = rdmsr(MSR_FEATURE_CONTROL);
  if ((control & FEATURE_CONTROL_LOCKED) && !(control & FEATURE_CONTROL_VMXON))
    return false;
  return (rdmsr(MSR_VMX_EPT_VPID) & EPT_NEEDED) == EPT_NEEDED;
}

// VMX root operation. False: this processor cannot do what the monitor needs, and nothing was changed.
bool
vmx_begin(void)
{
  if (!processor_fits())
    return false;
  uint64_t control = rdmsr(MSR_FEATURE_CONTROL);
  if (!(control & FEATURE_CONTROL_LOCKED))
    wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_CONTROL_VMXON | FEATURE_CONTROL_LOCKED);
  write_cr0((read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0)) & rdmsr(MSR_VMX_CR0_FIXED1));
  write_cr4(read_cr4() | rdmsr(MSR_VMX_CR4_FIXED0));
  return vmxon(region_create());
}

static void
write_field(enum vmcs_field field, uint64_t value)
{
  if (!vmwrite(field, value))
    panic("demotion: VMWRITE failed");
}

static uint32_t
forced(uint32_t msr, uint32_t wanted)
{
  if (rdmsr(MSR_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS && msr <= MSR_VMX_ENTRY_CONTROLS)
    msr += MSR_VMX_TRUE_PIN_CONTROLS - MSR_VMX_PIN_CONTROLS;
  uint64_t allowed = rdmsr(msr);
  return (wanted | (uint32_t)allowed) & (uint32_t)(allowed >> 32);
}

// Only EPT-x faults and VMX instructions are to trap, besides what VT-x forces (CPUID, INVD, XSETBV, ...). Of the MSRs
// the capabilities of VT-x, because the VMM gets a smaller VT-x (controls.c).
static void
write_controls(void)
{
  for (uint32_t msr = MSR_VMX_BASIC; msr <= MSR_VMX_FUNCTIONS; msr++)
    msr_bitmap[MSR_BITMAP_BYTE(msr)] |= (uint8_t)MSR_BITMAP_BIT(msr);
  write_field(PIN_CONTROLS, forced(MSR_VMX_PIN_CONTROLS, 0));
  write_field(PROCESSOR_CONTROLS,
              forced(MSR_VMX_PROCESSOR_CONTROLS, PROCESSOR_MSR_BITMAPS | PROCESSOR_SECONDARY));
  write_field(SECONDARY_CONTROLS,
              forced(MSR_VMX_SECONDARY_CONTROLS,
                     SECONDARY_EPT | SECONDARY_VPID | SECONDARY_UNRESTRICTED | SECONDARY_RDTSCP | SECONDARY_INVPCID |
                       SECONDARY_XSAVES));
  write_field(EXIT_CONTROLS, forced(MSR_VMX_EXIT_CONTROLS, EXIT_HOST_64 | EXIT_SAVE_EFER | EXIT_LOAD_EFER));
  write_field(ENTRY_CONTROLS, forced(MSR_VMX_ENTRY_CONTROLS, ENTRY_IA32E | ENTRY_LOAD_EFER));
  write_field(MSR_BITMAP, physical(msr_bitmap));
  write_field(EPT_POINTER, eptx_pointer());
  write_field(VPID, VMM_VPID);
  write_field(VMCS_LINK_POINTER, ~0ul);
  write_field(EXCEPTION_BITMAP, 0);
  write_field(PAGE_FAULT_MASK, 0);
  write_field(PAGE_FAULT_MATCH, 0);
  write_field(CR3_TARGET_COUNT, 0);
  write_field(EXIT_MSR_STORE_COUNT, 0);
  write_field(EXIT_MSR_LOAD_COUNT, 0);
  write_field(ENTRY_MSR_LOAD_COUNT, 0);
  write_field(ENTRY_INTERRUPTION, 0);
}

// The fixed entry point of every exit, of the VMM and of guests.
void
write_monitor_host_state(void)
{
  struct table_register idtr;
  __asm__ volatile("sidt %0" : "=m"(idtr));
  write_field(HOST_ES, DATA_SELECTOR);
  write_field(HOST_CS, CODE_SELECTOR);
  write_field(HOST_SS, DATA_SELECTOR);
  write_field(HOST_DS, DATA_SELECTOR);
  write_field(HOST_FS, 0);
  write_field(HOST_GS, 0);
  write_field(HOST_TR, TSS_SELECTOR);
  write_field(HOST_FS_BASE, 0);
  write_field(HOST_GS_BASE, 0);
  write_field(HOST_TR_BASE, (uint64_t)tss);
  write_field(HOST_GDTR_BASE, (uint64_t)gdt);
  write_field(HOST_IDTR_BASE, idtr.base);
  write_field(HOST_CR0, read_cr0());
  write_field(HOST_CR3, read_cr3());
  write_field(HOST_CR4, read_cr4());
  write_field(HOST_EFER, rdmsr(MSR_EFER));
  write_field(HOST_SYSENTER_CS, 0);
  write_field(HOST_SYSENTER_ESP, 0);
  write_field(HOST_SYSENTER_EIP, 0);
  write_field(HOST_RIP, (uint64_t)vm_exit);
}

// A segment register from its selector and the launcher's descriptor table (SDM 3A 3.4.5; SDM 3C 24.4.1).
static void
write_segment(enum vmcs_field selector_field, uint16_t selector)
{
  unsigned index = (selector_field - GUEST_ES) / 2;
  uint64_t descriptor[2] = { 0, 0 };
  uint64_t base = 0, limit = 0, rights = RIGHTS_UNUSABLE;
  if (selector_field == GUEST_TR) // never loaded, it has its value of the reset (SDM 3A table 10-1)
    limit = RESET_TSS_LIMIT, rights = RIGHTS_TSS_BUSY;
  if ((selector & ~7u) && vmm_read(captured.gdtr.base + (selector & ~7u), descriptor, sizeof(descriptor))) {
    uint64_t low = descriptor[0];
    base = (low >> 16 & 0xffffff) | (low >> 56) << 24;
    if (DESCRIPTOR_SYSTEM(low))
      base |= descriptor[1] << 32;
    limit = (low & 0xffff) | (low >> 32 & 0xf0000);
    if (low >> 55 & 1)
      limit = limit << 12 | 0xfff;
    rights = low >> 40 & 0xf0ff;
  }
  write_field(selector_field, selector);
  write_field(GUEST_ES_BASE + 2 * index, base);
  write_field(GUEST_ES_LIMIT + 2 * index, limit);
  write_field(GUEST_ES_RIGHTS + 2 * index, rights);
}

static void
write_captured_state(void)
{
  uint64_t cr0 = read_cr0(), cr4 = read_cr4();
  write_field(GUEST_CR3, captured.cr3); // first: write_segment reads the launcher's memory
  write_segment(GUEST_ES, captured.es);
  write_segment(GUEST_CS, captured.cs);
  write_segment(GUEST_SS, captured.ss);
  write_segment(GUEST_DS, captured.ds);
  write_segment(GUEST_FS, captured.fs);
  write_segment(GUEST_GS, captured.gs);
  write_segment(GUEST_LDTR, captured.ldtr);
  write_segment(GUEST_TR, captured.tr);
  write_field(GUEST_FS_BASE, rdmsr(MSR_FS_BASE));
  write_field(GUEST_GS_BASE, rdmsr(MSR_GS_BASE));
  write_field(GUEST_GDTR_BASE, captured.gdtr.base);
  write_field(GUEST_GDTR_LIMIT, captured.gdtr.limit);
  write_field(GUEST_IDTR_BASE, captured.idtr.base);
  write_field(GUEST_IDTR_LIMIT, captured.idtr.limit);
  write_field(GUEST_CR0, cr0);
  write_field(GUEST_CR4, cr4);
  write_field(CR0_MASK, CR0_NE); // VMX operation keeps these two set; the VMM sees what it wrote
  write_field(CR0_SHADOW, cr0);
  write_field(CR4_MASK, CR4_VMXE | CR4_SMXE);
  write_field(CR4_SHADOW, cr4 & ~CR4_VMXE);
  write_field(GUEST_EFER, rdmsr(MSR_EFER));
  write_field(GUEST_DR7, 0x400);
  write_field(GUEST_RIP, captured.rip);
  write_field(GUEST_RSP, captured.rsp);
  write_field(GUEST_RFLAGS, captured.rflags);
  write_field(GUEST_INTERRUPTIBILITY, 0);
  write_field(GUEST_ACTIVITY, 0);
  write_field(GUEST_PENDING_DEBUG, 0);
  write_field(GUEST_DEBUGCTL, 0);
  write_field(GUEST_SYSENTER_CS, rdmsr(MSR_SYSENTER_CS));
  write_field(GUEST_SYSENTER_ESP, rdmsr(MSR_SYSENTER_ESP));
  write_field(GUEST_SYSENTER_EIP, rdmsr(MSR_SYSENTER_EIP));
  vmm.registers = (struct registers){ .rax = LAUNCHED, .rbx = captured.rbx, .rbp = captured.rbp };
  vmm.registers.number[12] = captured.r12;
  vmm.registers.number[13] = captured.r13;
  vmm.registers.number[14] = captured.r14;
  vmm.registers.number[15] = captured.r15;
}

void
vmm_vmcs_create(void)
{
  vmm.vmcs = region_create();
  if (!vmclear(vmm.vmcs) || !vmptrld(vmm.vmcs))
    panic("demotion: the VMM's VMCS cannot be made current");
  write_controls();
  write_monitor_host_state();
  write_captured_state();
}
