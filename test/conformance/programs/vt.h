// The harness of the conformance programs: a hypervisor of one guest, made anew for each case. See vt.c.
#pragma once
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

// VMCS fields (SDM vol. 3, appendix B)
enum field {
  VPID = 0x0000,
  POSTED_VECTOR = 0x0002,
  EPTP_INDEX = 0x0004,
  GUEST_ES = 0x0800,
  GUEST_CS = 0x0802,
  GUEST_SS = 0x0804,
  GUEST_LDTR = 0x080c,
  GUEST_TR = 0x080e,
  GUEST_INTERRUPT_STATUS = 0x0810,
  PML_INDEX = 0x0812,
  HOST_ES = 0x0c00,
  HOST_TR = 0x0c0c,
  IO_BITMAP_A = 0x2000,
  IO_BITMAP_B = 0x2002,
  MSR_BITMAP = 0x2004,
  EXIT_MSR_STORE = 0x2006,
  EXIT_MSR_LOAD = 0x2008,
  ENTRY_MSR_LOAD = 0x200a,
  PML_ADDRESS = 0x200e,
  TSC_OFFSET = 0x2010,
  VIRTUAL_APIC = 0x2012,
  APIC_ACCESS = 0x2014,
  POSTED_DESCRIPTOR = 0x2016,
  VM_FUNCTIONS = 0x2018,
  EPTP = 0x201a,
  EOI_EXIT_0 = 0x201c,
  EPTP_LIST = 0x2024,
  VMREAD_BITMAP = 0x2026,
  VMWRITE_BITMAP = 0x2028,
  VE_INFORMATION = 0x202a,
  XSS_EXITING = 0x202c,
  TSC_MULTIPLIER = 0x2032,
  GUEST_PHYSICAL = 0x2400,
  LINK_POINTER = 0x2800,
  GUEST_DEBUGCTL = 0x2802,
  GUEST_PAT = 0x2804,
  GUEST_EFER = 0x2806,
  GUEST_PDPTE0 = 0x280a,
  HOST_PAT = 0x2c00,
  HOST_EFER = 0x2c02,
  PIN_CONTROLS = 0x4000,
  PRIMARY_CONTROLS = 0x4002,
  EXCEPTION_BITMAP = 0x4004,
  PF_MASK = 0x4006,
  PF_MATCH = 0x4008,
  CR3_TARGET_COUNT = 0x400a,
  EXIT_CONTROLS = 0x400c,
  EXIT_MSR_STORE_COUNT = 0x400e,
  EXIT_MSR_LOAD_COUNT = 0x4010,
  ENTRY_CONTROLS = 0x4012,
  ENTRY_MSR_LOAD_COUNT = 0x4014,
  ENTRY_EVENT = 0x4016,
  ENTRY_ERROR_CODE = 0x4018,
  ENTRY_LENGTH = 0x401a,
  TPR_THRESHOLD = 0x401c,
  SECONDARY_CONTROLS = 0x401e,
  PLE_GAP = 0x4020,
  PLE_WINDOW = 0x4022,
  INSTRUCTION_ERROR = 0x4400,
  EXIT_REASON = 0x4402,
  EXIT_EVENT = 0x4404,
  EXIT_EVENT_ERROR = 0x4406,
  VECTORING_EVENT = 0x4408,
  VECTORING_ERROR = 0x440a,
  EXIT_LENGTH = 0x440c,
  EXIT_INFORMATION = 0x440e,
  GUEST_ES_LIMIT = 0x4800,
  GUEST_CS_LIMIT = 0x4802,
  GUEST_GDTR_LIMIT = 0x4810,
  GUEST_IDTR_LIMIT = 0x4812,
  GUEST_ES_RIGHTS = 0x4814,
  GUEST_CS_RIGHTS = 0x4816,
  GUEST_SS_RIGHTS = 0x4818,
  GUEST_DS_RIGHTS = 0x481a,
  GUEST_TR_RIGHTS = 0x4822,
  INTERRUPTIBILITY = 0x4824,
  ACTIVITY = 0x4826,
  GUEST_SYSENTER_CS = 0x482a,
  PREEMPTION_TIMER = 0x482e,
  HOST_SYSENTER_CS = 0x4c00,
  CR0_MASK = 0x6000,
  CR4_MASK = 0x6002,
  CR0_SHADOW = 0x6004,
  CR4_SHADOW = 0x6006,
  CR3_TARGET_0 = 0x6008,
  QUALIFICATION = 0x6400,
  IO_RCX = 0x6402,
  GUEST_LINEAR = 0x640a,
  GUEST_CR0 = 0x6800,
  GUEST_CR3 = 0x6802,
  GUEST_CR4 = 0x6804,
  GUEST_ES_BASE = 0x6806,
  GUEST_CS_BASE = 0x6808,
  GUEST_TR_BASE = 0x6814,
  GUEST_GDTR_BASE = 0x6816,
  GUEST_IDTR_BASE = 0x6818,
  GUEST_DR7 = 0x681a,
  GUEST_RSP = 0x681c,
  GUEST_RIP = 0x681e,
  GUEST_RFLAGS = 0x6820,
  PENDING_DEBUG = 0x6822,
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

// Controls: word << 8 | bit (SDM vol. 3, 25.6 to 25.8)
#define PIN(bit) (0x000 | (bit))
#define PRIMARY(bit) (0x100 | (bit))
#define SECONDARY(bit) (0x200 | (bit))
#define EXIT(bit) (0x300 | (bit))
#define ENTRY(bit) (0x400 | (bit))
enum control {
  EXTERNAL_INTERRUPT_EXITING = PIN(0),
  NMI_EXITING = PIN(3),
  VIRTUAL_NMIS = PIN(5),
  ACTIVATE_PREEMPTION_TIMER = PIN(6),
  PROCESS_POSTED_INTERRUPTS = PIN(7),
  INTERRUPT_WINDOW_EXITING = PRIMARY(2),
  USE_TSC_OFFSETTING = PRIMARY(3),
  HLT_EXITING = PRIMARY(7),
  INVLPG_EXITING = PRIMARY(9),
  MWAIT_EXITING = PRIMARY(10),
  RDPMC_EXITING = PRIMARY(11),
  RDTSC_EXITING = PRIMARY(12),
  CR3_LOAD_EXITING = PRIMARY(15),
  CR3_STORE_EXITING = PRIMARY(16),
  CR8_LOAD_EXITING = PRIMARY(19),
  CR8_STORE_EXITING = PRIMARY(20),
  USE_TPR_SHADOW = PRIMARY(21),
  NMI_WINDOW_EXITING = PRIMARY(22),
  MOV_DR_EXITING = PRIMARY(23),
  UNCONDITIONAL_IO_EXITING = PRIMARY(24),
  USE_IO_BITMAPS = PRIMARY(25),
  MONITOR_TRAP_FLAG = PRIMARY(27),
  USE_MSR_BITMAPS = PRIMARY(28),
  MONITOR_EXITING = PRIMARY(29),
  PAUSE_EXITING = PRIMARY(30),
  ACTIVATE_SECONDARY_CONTROLS = PRIMARY(31),
  VIRTUALIZE_APIC_ACCESSES = SECONDARY(0),
  ENABLE_EPT = SECONDARY(1),
  DESCRIPTOR_TABLE_EXITING = SECONDARY(2),
  ENABLE_RDTSCP = SECONDARY(3),
  VIRTUALIZE_X2APIC_MODE = SECONDARY(4),
  ENABLE_VPID = SECONDARY(5),
  WBINVD_EXITING = SECONDARY(6),
  UNRESTRICTED_GUEST = SECONDARY(7),
  APIC_REGISTER_VIRTUALIZATION = SECONDARY(8),
  VIRTUAL_INTERRUPT_DELIVERY = SECONDARY(9),
  PAUSE_LOOP_EXITING = SECONDARY(10),
  RDRAND_EXITING = SECONDARY(11),
  ENABLE_INVPCID = SECONDARY(12),
  ENABLE_VM_FUNCTIONS = SECONDARY(13),
  VMCS_SHADOWING = SECONDARY(14),
  RDSEED_EXITING = SECONDARY(16),
  ENABLE_PML = SECONDARY(17),
  EPT_VIOLATION_VE = SECONDARY(18),
  ENABLE_XSAVES_XRSTORS = SECONDARY(20),
  MODE_BASED_EXECUTE_CONTROL = SECONDARY(22),
  USE_TSC_SCALING = SECONDARY(25),
  SAVE_DEBUG_CONTROLS = EXIT(2),
  HOST_ADDRESS_SPACE_SIZE = EXIT(9),
  ACKNOWLEDGE_INTERRUPT = EXIT(15),
  SAVE_PAT = EXIT(18),
  EXIT_LOAD_PAT = EXIT(19),
  SAVE_EFER = EXIT(20),
  EXIT_LOAD_EFER = EXIT(21),
  SAVE_PREEMPTION_TIMER = EXIT(22),
  LOAD_DEBUG_CONTROLS = ENTRY(2),
  IA32E_MODE_GUEST = ENTRY(9),
  ENTRY_LOAD_PAT = ENTRY(14),
  ENTRY_LOAD_EFER = ENTRY(15),
};

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

// The guest's registers but RSP, which is in the VMCS
extern u64 registers[16];
// The exception that the guest's handler saw last; vector -1: none
struct trap {
  u64 vector, error, rip, cs, rflags, cr2;
};
extern volatile struct trap trap;
// What host handlers saw
extern volatile u32 host_interrupts, host_nmis;
extern volatile u32 host_interrupt_vector;

u64 rdmsr(u32 index);
void wrmsr(u32 index, u64 value);
u64 vmread(u64 field);
void vmwrite(u64 field, u64 value);
// VMREAD and VMWRITE that may fail: RFLAGS' CF and ZF after the instruction
u64 try_vmread(u64 field, u64 *value);
u64 try_vmwrite(u64 field, u64 value);

_Bool can(enum control control);
void on(enum control control);
void off(enum control control);
// The case ends as "absent" when the processor does not have this.
void need(enum control control);
void need_that(_Bool there, const char *what);

// Enters the guest until it exits. A VM entry that fails is the case's failure.
void go(void);
void expect(const char *what, u64 got, u64 wanted);
void expect_exit(u32 reason, u64 qualification);
// Enters, and expects VMfailValid with this error
void expect_refused(u32 error);
// Enters, and expects a VM-entry failure with this reason (without bit 31) and qualification
void expect_failed_entry(u32 reason, u64 qualification);
void fail_case(const char *what, u64 got, u64 wanted);

// Physical memory of the cases, all identity-mapped for host and guest
extern u8 vmxon_region[4096];
extern u8 page_a[4096], page_b[4096], page_c[4096], page_d[4096], io_bitmaps[8192], msr_bitmap[4096];
extern u8 guest_stack_end[];
extern u64 guest_pml4[], guest_pt[], ept_pml4[], ept_pdpt[], ept_pd[], ept_pt[];
extern u64 guest_idt[];
extern char gdt[];
// guest_pt maps 6 to 8 MiB of linear addresses, ept_pt 8 to 10 MiB of guest-physical ones.
#define PAGING_AREA 0x600000ul
#define EPT_AREA 0x800000ul
void use_guest_paging(void);
void use_ept(void);
void invept(u64 type, u64 eptp);
void invvpid(u64 type, u64 vpid, u64 linear);
void set_guest_trap(int vector, void *handler);
void clear_page(void *page);

#define APIC ((volatile u32 *)0xfee00000ul)

// Guest code: `before`, the instruction in question, then VMCALL. Labels NAME, NAME_at and NAME_next.
#define GUEST(name, before, instruction)                                                                               \
  extern char name[], name##_at[] __attribute__((unused)), name##_next[] __attribute__((unused));                                                                  \
  __asm__(".pushsection .text.guest\n" #name ":\n" before "\n" #name "_at:\n" instruction "\n" #name                          \
          "_next:\nvmcall\nhlt\n.popsection")

#define START(name) vmwrite(GUEST_RIP, (u64)name)

// The guest exits at the instruction in question.
#define EXITS_Q(name, reason, qualification_)                                                                          \
  do {                                                                                                                 \
    START(name);                                                                                                       \
    go();                                                                                                              \
    expect_exit(reason, qualification_);                                                                               \
    expect("guest RIP", vmread(GUEST_RIP), (u64)name##_at);                                                            \
    expect("instruction length", vmread(EXIT_LENGTH), (u64)(name##_next - name##_at));                                 \
    expect("valid bit of the interruption information", vmread(EXIT_EVENT) >> 31, 0);                                  \
    expect("valid bit of the IDT-vectoring information", vmread(VECTORING_EVENT) >> 31, 0);                            \
  } while (0)
#define EXITS(name, reason) EXITS_Q(name, reason, 0)
// It executes the instruction and reaches the VMCALL behind it.
#define PASSES(name)                                                                                                   \
  do {                                                                                                                 \
    START(name);                                                                                                       \
    go();                                                                                                              \
    expect("trap in the guest", trap.vector, -1ul);                                                                    \
    expect_exit(18, 0);                                                                                                \
    expect("guest RIP", vmread(GUEST_RIP), (u64)name##_next);                                                          \
  } while (0)
// The instruction raises this fault in the guest.
#define TRAPS(name, vector_, error_)                                                                                   \
  do {                                                                                                                 \
    START(name);                                                                                                       \
    go();                                                                                                              \
    expect_exit(18, 0);                                                                                                \
    expect("vector of the guest's trap", trap.vector, vector_);                                                        \
    expect("error code of the guest's trap", trap.error, error_);                                                      \
    expect("RIP of the guest's trap", trap.rip, (u64)name##_at);                                                       \
  } while (0)

struct testcase {
  const char *name, *covers, *section;
  void (*run)(void);
};
// `covers`: rows of the tables, as "exit.HLT control.primary.HLT_EXITING"
#define CASE_IN(place, identifier, name_, covers_, section_)                                                           \
  static void identifier(void);                                                                                        \
  static const struct testcase case_##identifier __attribute__((section(place), used, aligned(8))) = {                 \
      name_, covers_, section_, identifier};                                                                           \
  static void identifier(void)
#define CASE(...) CASE_IN(".cases", __VA_ARGS__)
// One that a machine may not survive
#define LAST_CASE(...) CASE_IN(".cases.last", __VA_ARGS__)
