#pragma once
// VT-x as the manual defines it (Intel SDM volume 3, chapters 24 to 31, appendices A to C): field encodings, controls,
// exit reasons, and the instructions themselves.
#include <stdbool.h>
#include <stdint.h>

// Capability MSRs (appendix A)
enum vmx_msr {
  MSR_VMX_BASIC = 0x480,
  MSR_VMX_PIN_CONTROLS = 0x481,
  MSR_VMX_PROCESSOR_CONTROLS = 0x482,
  MSR_VMX_EXIT_CONTROLS = 0x483,
  MSR_VMX_ENTRY_CONTROLS = 0x484,
  MSR_VMX_CR0_FIXED0 = 0x486,
  MSR_VMX_CR0_FIXED1 = 0x487,
  MSR_VMX_CR4_FIXED0 = 0x488,
  MSR_VMX_CR4_FIXED1 = 0x489,
  MSR_VMX_SECONDARY_CONTROLS = 0x48b,
  MSR_VMX_EPT_VPID = 0x48c,
  MSR_VMX_TRUE_PIN_CONTROLS = 0x48d,
  MSR_VMX_TRUE_ENTRY_CONTROLS = 0x490,
  MSR_VMX_FUNCTIONS = 0x491,
};

#define VMX_BASIC_REVISION(msr) ((uint32_t)((msr) & 0x7fffffff))
#define SHADOW_VMCS 0x80000000u // beside the revision in a region (24.2)
#define VMX_BASIC_TRUE_CONTROLS (1ul << 55)
#define FEATURE_CONTROL_LOCKED (1ul << 0)
#define FEATURE_CONTROL_VMXON (1ul << 2)

#define EPT_CAPABILITY_WALK_4 (1ul << 6)
#define EPT_CAPABILITY_WRITE_BACK (1ul << 14)
#define EPT_CAPABILITY_2M (1ul << 16)
#define EPT_CAPABILITY_INVEPT_SINGLE (1ul << 25)

// VMCS fields (appendix B)
enum vmcs_field {
  VPID = 0x0000,
  GUEST_ES = 0x0800,
  GUEST_CS = 0x0802,
  GUEST_SS = 0x0804,
  GUEST_DS = 0x0806,
  GUEST_FS = 0x0808,
  GUEST_GS = 0x080a,
  GUEST_LDTR = 0x080c,
  GUEST_TR = 0x080e,
  HOST_ES = 0x0c00,
  HOST_CS = 0x0c02,
  HOST_SS = 0x0c04,
  HOST_DS = 0x0c06,
  HOST_FS = 0x0c08,
  HOST_GS = 0x0c0a,
  HOST_TR = 0x0c0c,

  MSR_BITMAP = 0x2004,
  EPT_POINTER = 0x201a,
  VMREAD_BITMAP = 0x2026,
  VMWRITE_BITMAP = 0x2028,
  GUEST_PHYSICAL_ADDRESS = 0x2400,
  VMCS_LINK_POINTER = 0x2800,
  GUEST_DEBUGCTL = 0x2802,
  GUEST_PAT = 0x2804,
  GUEST_EFER = 0x2806,
  HOST_PAT = 0x2c00,
  HOST_EFER = 0x2c02,

  PIN_CONTROLS = 0x4000,
  PROCESSOR_CONTROLS = 0x4002,
  EXCEPTION_BITMAP = 0x4004,
  PAGE_FAULT_MASK = 0x4006,
  PAGE_FAULT_MATCH = 0x4008,
  CR3_TARGET_COUNT = 0x400a,
  EXIT_CONTROLS = 0x400c,
  EXIT_MSR_STORE_COUNT = 0x400e,
  EXIT_MSR_LOAD_COUNT = 0x4010,
  ENTRY_CONTROLS = 0x4012,
  ENTRY_MSR_LOAD_COUNT = 0x4014,
  ENTRY_INTERRUPTION = 0x4016,
  ENTRY_ERROR_CODE = 0x4018,
  ENTRY_INSTRUCTION_LENGTH = 0x401a,
  SECONDARY_CONTROLS = 0x401e,

  INSTRUCTION_ERROR = 0x4400,
  EXIT_REASON = 0x4402,
  EXIT_INTERRUPTION = 0x4404,
  EXIT_ERROR_CODE = 0x4406,
  IDT_VECTORING = 0x4408,
  IDT_VECTORING_ERROR_CODE = 0x440a,
  EXIT_INSTRUCTION_LENGTH = 0x440c,
  EXIT_INSTRUCTION_INFORMATION = 0x440e,

  GUEST_ES_LIMIT = 0x4800,
  GUEST_CS_LIMIT = 0x4802,
  GUEST_SS_LIMIT = 0x4804,
  GUEST_DS_LIMIT = 0x4806,
  GUEST_FS_LIMIT = 0x4808,
  GUEST_GS_LIMIT = 0x480a,
  GUEST_LDTR_LIMIT = 0x480c,
  GUEST_TR_LIMIT = 0x480e,
  GUEST_GDTR_LIMIT = 0x4810,
  GUEST_IDTR_LIMIT = 0x4812,
  GUEST_ES_RIGHTS = 0x4814,
  GUEST_CS_RIGHTS = 0x4816,
  GUEST_SS_RIGHTS = 0x4818,
  GUEST_DS_RIGHTS = 0x481a,
  GUEST_FS_RIGHTS = 0x481c,
  GUEST_GS_RIGHTS = 0x481e,
  GUEST_LDTR_RIGHTS = 0x4820,
  GUEST_TR_RIGHTS = 0x4822,
  GUEST_INTERRUPTIBILITY = 0x4824,
  GUEST_ACTIVITY = 0x4826,
  GUEST_SYSENTER_CS = 0x482a,
  HOST_SYSENTER_CS = 0x4c00,

  CR0_MASK = 0x6000,
  CR4_MASK = 0x6002,
  CR0_SHADOW = 0x6004,
  CR4_SHADOW = 0x6006,
  EXIT_QUALIFICATION = 0x6400,
  GUEST_LINEAR_ADDRESS = 0x640a,
  GUEST_CR0 = 0x6800,
  GUEST_CR3 = 0x6802,
  GUEST_CR4 = 0x6804,
  GUEST_ES_BASE = 0x6806,
  GUEST_CS_BASE = 0x6808,
  GUEST_SS_BASE = 0x680a,
  GUEST_DS_BASE = 0x680c,
  GUEST_FS_BASE = 0x680e,
  GUEST_GS_BASE = 0x6810,
  GUEST_LDTR_BASE = 0x6812,
  GUEST_TR_BASE = 0x6814,
  GUEST_GDTR_BASE = 0x6816,
  GUEST_IDTR_BASE = 0x6818,
  GUEST_DR7 = 0x681a,
  GUEST_RSP = 0x681c,
  GUEST_RIP = 0x681e,
  GUEST_RFLAGS = 0x6820,
  GUEST_PENDING_DEBUG = 0x6822,
  GUEST_SYSENTER_ESP = 0x6824,
  GUEST_SYSENTER_EIP = 0x6826,
  HOST_CR0 = 0x6c00,
  HOST_CR3 = 0x6c02,
  HOST_CR4 = 0x6c04,
  HOST_FS_BASE = 0x6c06,
  HOST_GS_BASE = 0x6c08,
  HOST_TR_BASE = 0x6c0a,
  HOST_GDTR_BASE = 0x6c0c,
  HOST_IDTR_BASE = 0x6c0e,
  HOST_SYSENTER_ESP = 0x6c10,
  HOST_SYSENTER_EIP = 0x6c12,
  HOST_RSP = 0x6c14,
  HOST_RIP = 0x6c16,
};

// Controls (24.6 to 24.8)
#define PIN_EXTERNAL_INTERRUPT (1u << 0)
#define PIN_NMI (1u << 3)
#define PIN_VIRTUAL_NMIS (1u << 5)
#define PIN_PREEMPTION_TIMER (1u << 6)

#define PROCESSOR_INTERRUPT_WINDOW (1u << 2)
#define PROCESSOR_TSC_OFFSET (1u << 3)
#define PROCESSOR_HLT (1u << 7)
#define PROCESSOR_INVLPG (1u << 9)
#define PROCESSOR_MWAIT (1u << 10)
#define PROCESSOR_RDPMC (1u << 11)
#define PROCESSOR_RDTSC (1u << 12)
#define PROCESSOR_CR3_LOAD (1u << 15)
#define PROCESSOR_CR3_STORE (1u << 16)
#define PROCESSOR_CR8_LOAD (1u << 19)
#define PROCESSOR_CR8_STORE (1u << 20)
#define PROCESSOR_NMI_WINDOW (1u << 22)
#define PROCESSOR_MOV_DR (1u << 23)
#define PROCESSOR_IO (1u << 24)
#define PROCESSOR_MSR_BITMAPS (1u << 28)
#define PROCESSOR_MONITOR (1u << 29)
#define PROCESSOR_PAUSE (1u << 30)
#define PROCESSOR_SECONDARY (1u << 31)

#define SECONDARY_EPT (1u << 1)
#define SECONDARY_DESCRIPTOR_TABLE (1u << 2)
#define SECONDARY_RDTSCP (1u << 3)
#define SECONDARY_VPID (1u << 5)
#define SECONDARY_WBINVD (1u << 6)
#define SECONDARY_UNRESTRICTED (1u << 7)
#define SECONDARY_RDRAND (1u << 11)
#define SECONDARY_INVPCID (1u << 12)
#define SECONDARY_SHADOWING (1u << 14)
#define SECONDARY_RDSEED (1u << 16)
#define SECONDARY_XSAVES (1u << 20)

#define EXIT_SAVE_DEBUG (1u << 2)
#define EXIT_HOST_64 (1u << 9)
#define EXIT_ACKNOWLEDGE (1u << 15)
#define EXIT_SAVE_PAT (1u << 18)
#define EXIT_LOAD_PAT (1u << 19)
#define EXIT_SAVE_EFER (1u << 20)
#define EXIT_LOAD_EFER (1u << 21)

#define ENTRY_LOAD_DEBUG (1u << 2)
#define ENTRY_IA32E (1u << 9)
#define ENTRY_LOAD_PAT (1u << 14)
#define ENTRY_LOAD_EFER (1u << 15)

// Basic exit reasons (appendix C)
enum exit_reason {
  EXIT_EXCEPTION_OR_NMI = 0,
  EXIT_EXTERNAL_INTERRUPT = 1,
  EXIT_TRIPLE_FAULT = 2,
  EXIT_INIT = 3,
  EXIT_INTERRUPT_WINDOW = 7,
  EXIT_NMI_WINDOW = 8,
  EXIT_CPUID = 10,
  EXIT_GETSEC = 11,
  EXIT_HLT = 12,
  EXIT_INVD = 13,
  EXIT_RDTSC = 16,
  EXIT_VMCALL = 18,
  EXIT_VMCLEAR = 19,
  EXIT_VMLAUNCH = 20,
  EXIT_VMPTRLD = 21,
  EXIT_VMPTRST = 22,
  EXIT_VMREAD = 23,
  EXIT_VMRESUME = 24,
  EXIT_VMWRITE = 25,
  EXIT_VMXOFF = 26,
  EXIT_VMXON = 27,
  EXIT_CR_ACCESS = 28,
  EXIT_IO = 30,
  EXIT_RDMSR = 31,
  EXIT_WRMSR = 32,
  EXIT_ENTRY_BAD_GUEST_STATE = 33,
  EXIT_PAUSE = 40,
  EXIT_EPT_VIOLATION = 48,
  EXIT_EPT_MISCONFIGURATION = 49,
  EXIT_INVEPT = 50,
  EXIT_PREEMPTION_TIMER = 52,
  EXIT_INVVPID = 53,
  EXIT_XSETBV = 55,
};
#define EXIT_REASON_BASIC 0xffffu
#define EXIT_REASON_ENTRY_FAILURE (1u << 31)

// Interruption information (24.8.3, 24.9.2)
#define INTERRUPTION_VALID (1u << 31)
#define INTERRUPTION_ERROR_CODE (1u << 11)
#define INTERRUPTION_TYPE(information) ((information) >> 8 & 7)
#define INTERRUPTION_EXTERNAL (0u << 8)
#define INTERRUPTION_HARDWARE_EXCEPTION (3u << 8)

// Interruptibility state (24.4.2)
#define BLOCKING_BY_STI (1u << 0)
#define BLOCKING_BY_MOV_SS (1u << 1)

// I/O exit qualification (table 27-5)
#define IO_SIZE(qualification) ((unsigned)((qualification) & 7) + 1)
#define IO_IN (1ul << 3)
#define IO_STRING (1ul << 4)
#define IO_PORT(qualification) ((uint16_t)((qualification) >> 16))

// EPT violation qualification (table 27-7)
#define EPT_VIOLATION_READ (1ul << 0)
#define EPT_VIOLATION_WRITE (1ul << 1)
#define EPT_VIOLATION_EXECUTE (1ul << 2)
#define EPT_VIOLATION_LINEAR (3ul << 7)

// EPT entries (28.2.2) and the EPT pointer (24.6.11)
#define EPT_READ (1ul << 0)
#define EPT_WRITE (1ul << 1)
#define EPT_EXECUTE (1ul << 2)
#define EPT_ALL (EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_UNCACHEABLE (0ul << 3)
#define EPT_WRITE_BACK (6ul << 3)
#define EPT_LARGE (1ul << 7)
#define EPT_ADDRESS 0x000ffffffffff000ul
#define EPTP_WRITE_BACK 6ul
#define EPTP_WALK_4 (3ul << 3)

// Segment access rights (24.4.1)
#define RIGHTS_UNUSABLE (1u << 16)
#define RIGHTS_CODE_64 0xa09bu
#define RIGHTS_CODE_32 0xc09bu
#define RIGHTS_DATA 0xc093u
#define RIGHTS_TSS_BUSY 0x008bu

// VMX instruction errors (30.4)
enum vmx_error {
  VMX_ERROR_VMCALL = 1,
  VMX_ERROR_VMCLEAR_ADDRESS = 2,
  VMX_ERROR_VMCLEAR_VMXON = 3,
  VMX_ERROR_LAUNCH_NOT_CLEAR = 4,
  VMX_ERROR_RESUME_NOT_LAUNCHED = 5,
  VMX_ERROR_ENTRY_CONTROLS = 7,
  VMX_ERROR_ENTRY_HOST_STATE = 8,
  VMX_ERROR_VMPTRLD_ADDRESS = 9,
  VMX_ERROR_VMPTRLD_VMXON = 10,
  VMX_ERROR_VMPTRLD_REVISION = 11,
  VMX_ERROR_UNSUPPORTED_FIELD = 12,
  VMX_ERROR_READ_ONLY_FIELD = 13,
  VMX_ERROR_VMXON_IN_ROOT = 15,
  VMX_ERROR_INVALIDATE_OPERAND = 28,
};

// Each returns true when the instruction succeeded: CF = 0 (no VMfailInvalid) and ZF = 0 (no VMfailValid), 30.2.
static inline bool
vmxon(uint64_t region)
{
  bool succeeded;
  __asm__ volatile("vmxon %1" : "=@cca"(succeeded) : "m"(region) : "memory");
  return succeeded;
}

static inline bool
vmxoff(void)
{
  bool succeeded;
  __asm__ volatile("vmxoff" : "=@cca"(succeeded) : : "memory");
  return succeeded;
}

static inline bool
vmclear(uint64_t region)
{
  bool succeeded;
  __asm__ volatile("vmclear %1" : "=@cca"(succeeded) : "m"(region) : "memory");
  return succeeded;
}

static inline bool
vmptrld(uint64_t region)
{
  bool succeeded;
  __asm__ volatile("vmptrld %1" : "=@cca"(succeeded) : "m"(region) : "memory");
  return succeeded;
}

static inline bool
vmwrite(enum vmcs_field field, uint64_t value)
{
  bool succeeded;
  __asm__ volatile("vmwrite %1, %2" : "=@cca"(succeeded) : "r"(value), "r"((uint64_t)field) : "memory");
  return succeeded;
}

static inline uint64_t
vmread(enum vmcs_field field)
{
  uint64_t value = 0;
  __asm__ volatile("vmread %1, %0" : "+r"(value) : "r"((uint64_t)field) : "cc", "memory");
  return value;
}

#define INVEPT_SINGLE 1ul
#define INVEPT_ALL 2ul
#define INVVPID_ALL 2ul

struct invalidate_descriptor {
  uint64_t first, second; // INVEPT: EPT pointer, 0. INVVPID: VPID, linear address
};

static inline bool
invept(uint64_t type, uint64_t ept_pointer)
{
  struct invalidate_descriptor descriptor = { ept_pointer, 0 };
  bool succeeded;
  __asm__ volatile("invept %1, %2" : "=@cca"(succeeded) : "m"(descriptor), "r"(type) : "memory");
  return succeeded;
}

static inline bool
invvpid(uint64_t type, uint16_t vpid)
{
  struct invalidate_descriptor descriptor = { vpid, 0 };
  bool succeeded;
  __asm__ volatile("invvpid %1, %2" : "=@cca"(succeeded) : "m"(descriptor), "r"(type) : "memory");
  return succeeded;
}
