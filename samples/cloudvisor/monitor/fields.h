#pragma once
// The VMCS fields that the VMM may name, each with how the monitor treats it. One row a field, in the order of their
// encodings. A field that is not here does not exist for the VMM.
#include <vmx.h>

enum field_kind {
  FIELD_CONTROL,     // the VMM's wish: checked and merged at entry (controls.c)
  FIELD_HOST,        // recorded only: the VMM's state after an exit. The real host state is the monitor's
  FIELD_GUEST,       // guest state, hidden from the VMM
  FIELD_GUEST_MODE,  // guest state that tells the mode of the guest: shown
  FIELD_INFORMATION, // read-only, about the last exit: filtered (disclosure.c)
};

#define VMCS_FIELDS(ROW)                                                                                               \
  ROW(VPID, CONTROL)                                                                                                   \
  ROW(GUEST_ES, GUEST)                                                                                                 \
  ROW(GUEST_CS, GUEST)                                                                                                 \
  ROW(GUEST_SS, GUEST)                                                                                                 \
  ROW(GUEST_DS, GUEST)                                                                                                 \
  ROW(GUEST_FS, GUEST)                                                                                                 \
  ROW(GUEST_GS, GUEST)                                                                                                 \
  ROW(GUEST_LDTR, GUEST)                                                                                               \
  ROW(GUEST_TR, GUEST)                                                                                                 \
  ROW(HOST_ES, HOST)                                                                                                   \
  ROW(HOST_CS, HOST)                                                                                                   \
  ROW(HOST_SS, HOST)                                                                                                   \
  ROW(HOST_DS, HOST)                                                                                                   \
  ROW(HOST_FS, HOST)                                                                                                   \
  ROW(HOST_GS, HOST)                                                                                                   \
  ROW(HOST_TR, HOST)                                                                                                   \
  ROW(EPT_POINTER, CONTROL)                                                                                            \
  ROW(VMREAD_BITMAP, CONTROL)                                                                                          \
  ROW(VMWRITE_BITMAP, CONTROL)                                                                                         \
  ROW(GUEST_PHYSICAL_ADDRESS, INFORMATION)                                                                             \
  ROW(VMCS_LINK_POINTER, GUEST_MODE)                                                                                   \
  ROW(GUEST_DEBUGCTL, GUEST)                                                                                           \
  ROW(GUEST_EFER, GUEST_MODE)                                                                                          \
  ROW(HOST_EFER, HOST)                                                                                                 \
  ROW(PIN_CONTROLS, CONTROL)                                                                                           \
  ROW(PROCESSOR_CONTROLS, CONTROL)                                                                                     \
  ROW(EXCEPTION_BITMAP, CONTROL)                                                                                       \
  ROW(PAGE_FAULT_MASK, CONTROL)                                                                                        \
  ROW(PAGE_FAULT_MATCH, CONTROL)                                                                                       \
  ROW(CR3_TARGET_COUNT, CONTROL)                                                                                       \
  ROW(EXIT_CONTROLS, CONTROL)                                                                                          \
  ROW(EXIT_MSR_STORE_COUNT, CONTROL)                                                                                   \
  ROW(EXIT_MSR_LOAD_COUNT, CONTROL)                                                                                    \
  ROW(ENTRY_CONTROLS, CONTROL)                                                                                         \
  ROW(ENTRY_MSR_LOAD_COUNT, CONTROL)                                                                                   \
  ROW(ENTRY_INTERRUPTION, CONTROL)                                                                                     \
  ROW(ENTRY_ERROR_CODE, CONTROL)                                                                                       \
  ROW(ENTRY_INSTRUCTION_LENGTH, CONTROL)                                                                               \
  ROW(SECONDARY_CONTROLS, CONTROL)                                                                                     \
  ROW(INSTRUCTION_ERROR, INFORMATION)                                                                                  \
  ROW(EXIT_REASON, INFORMATION)                                                                                        \
  ROW(EXIT_INTERRUPTION, INFORMATION)                                                                                  \
  ROW(EXIT_ERROR_CODE, INFORMATION)                                                                                    \
  ROW(IDT_VECTORING, INFORMATION)                                                                                      \
  ROW(IDT_VECTORING_ERROR_CODE, INFORMATION)                                                                           \
  ROW(EXIT_INSTRUCTION_LENGTH, INFORMATION)                                                                            \
  ROW(EXIT_INSTRUCTION_INFORMATION, INFORMATION)                                                                       \
  ROW(GUEST_ES_LIMIT, GUEST)                                                                                           \
  ROW(GUEST_CS_LIMIT, GUEST)                                                                                           \
  ROW(GUEST_SS_LIMIT, GUEST)                                                                                           \
  ROW(GUEST_DS_LIMIT, GUEST)                                                                                           \
  ROW(GUEST_FS_LIMIT, GUEST)                                                                                           \
  ROW(GUEST_GS_LIMIT, GUEST)                                                                                           \
  ROW(GUEST_LDTR_LIMIT, GUEST)                                                                                         \
  ROW(GUEST_TR_LIMIT, GUEST)                                                                                           \
  ROW(GUEST_GDTR_LIMIT, GUEST)                                                                                         \
  ROW(GUEST_IDTR_LIMIT, GUEST)                                                                                         \
  ROW(GUEST_ES_RIGHTS, GUEST)                                                                                          \
  ROW(GUEST_CS_RIGHTS, GUEST_MODE)                                                                                     \
  ROW(GUEST_SS_RIGHTS, GUEST_MODE)                                                                                     \
  ROW(GUEST_DS_RIGHTS, GUEST)                                                                                          \
  ROW(GUEST_FS_RIGHTS, GUEST)                                                                                          \
  ROW(GUEST_GS_RIGHTS, GUEST)                                                                                          \
  ROW(GUEST_LDTR_RIGHTS, GUEST)                                                                                        \
  ROW(GUEST_TR_RIGHTS, GUEST)                                                                                          \
  ROW(GUEST_INTERRUPTIBILITY, GUEST_MODE)                                                                              \
  ROW(GUEST_ACTIVITY, GUEST_MODE)                                                                                      \
  ROW(GUEST_SYSENTER_CS, GUEST)                                                                                        \
  ROW(HOST_SYSENTER_CS, HOST)                                                                                          \
  ROW(CR0_MASK, CONTROL)                                                                                               \
  ROW(CR4_MASK, CONTROL)                                                                                               \
  ROW(CR0_SHADOW, CONTROL)                                                                                             \
  ROW(CR4_SHADOW, CONTROL)                                                                                             \
  ROW(EXIT_QUALIFICATION, INFORMATION)                                                                                 \
  ROW(GUEST_LINEAR_ADDRESS, INFORMATION)                                                                               \
  ROW(GUEST_CR0, GUEST_MODE)                                                                                           \
  ROW(GUEST_CR3, GUEST)                                                                                                \
  ROW(GUEST_CR4, GUEST_MODE)                                                                                           \
  ROW(GUEST_ES_BASE, GUEST)                                                                                            \
  ROW(GUEST_CS_BASE, GUEST)                                                                                            \
  ROW(GUEST_SS_BASE, GUEST)                                                                                            \
  ROW(GUEST_DS_BASE, GUEST)                                                                                            \
  ROW(GUEST_FS_BASE, GUEST)                                                                                            \
  ROW(GUEST_GS_BASE, GUEST)                                                                                            \
  ROW(GUEST_LDTR_BASE, GUEST)                                                                                          \
  ROW(GUEST_TR_BASE, GUEST)                                                                                            \
  ROW(GUEST_GDTR_BASE, GUEST)                                                                                          \
  ROW(GUEST_IDTR_BASE, GUEST)                                                                                          \
  ROW(GUEST_DR7, GUEST)                                                                                                \
  ROW(GUEST_RSP, GUEST)                                                                                                \
  ROW(GUEST_RIP, GUEST)                                                                                                \
  ROW(GUEST_RFLAGS, GUEST)                                                                                             \
  ROW(GUEST_PENDING_DEBUG, GUEST)                                                                                      \
  ROW(GUEST_SYSENTER_ESP, GUEST)                                                                                       \
  ROW(GUEST_SYSENTER_EIP, GUEST)                                                                                       \
  ROW(HOST_CR0, HOST)                                                                                                  \
  ROW(HOST_CR3, HOST)                                                                                                  \
  ROW(HOST_CR4, HOST)                                                                                                  \
  ROW(HOST_FS_BASE, HOST)                                                                                              \
  ROW(HOST_GS_BASE, HOST)                                                                                              \
  ROW(HOST_TR_BASE, HOST)                                                                                              \
  ROW(HOST_GDTR_BASE, HOST)                                                                                            \
  ROW(HOST_IDTR_BASE, HOST)                                                                                            \
  ROW(HOST_SYSENTER_ESP, HOST)                                                                                         \
  ROW(HOST_SYSENTER_EIP, HOST)                                                                                         \
  ROW(HOST_RSP, HOST)                                                                                                  \
  ROW(HOST_RIP, HOST)

// The position of a field in the table: AT_GUEST_RIP and so on.
#define ROW(name, kind) AT_##name,
enum field_index { VMCS_FIELDS(ROW) FIELD_COUNT };
#undef ROW

struct field {
  enum vmcs_field encoding;
  enum field_kind kind;
};

extern const struct field fields[FIELD_COUNT];

int field_find(uint64_t encoding);
