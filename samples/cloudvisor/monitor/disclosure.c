// What an exit shows to the VMM, and what the VMM may change before the next entry. The rule: the context at an entry is
// the context at the last exit, but for the legal effect of that exit. Any other difference is a violation.
#include "lifecycle.h"
#include "vmm.h"

#include <print.h>
#include <probe.h>
#include <vmx.h>
#include <x86.h>

#define RAX (1u << 0)
#define RCX (1u << 1)
#define RDX (1u << 2)
#define RBX (1u << 3)
#define RSP_NUMBER 4
#define RSI (1u << 6)
#define RDI (1u << 7)
#define ALL_REGISTERS 0xffffu

#define CR_ACCESS_NUMBER(qualification) ((qualification) & 15)
#define CR_ACCESS_TYPE(qualification) ((qualification) >> 4 & 3)
#define CR_ACCESS_REGISTER(qualification) ((qualification) >> 8 & 15)
#define CR_ACCESS_MOV_TO 0
#define CR_ACCESS_MOV_FROM 1

// One row an exit reason. A reason without a row shows nothing and takes nothing back. HLT and PAUSE are instructions
// that the VMM completes, so it may step over them.
static const struct disclosure rows[] = {
  { EXIT_HLT, 0, 0, true, 0 },
  { EXIT_PAUSE, 0, 0, true, 0 },
  { EXIT_CPUID, RAX | RCX, RAX | RBX | RCX | RDX, true, 0 },
  { EXIT_IO, RAX, RAX, true, 0 }, // refined: OUT shows, IN takes back, both only as wide as the access
  { EXIT_RDMSR, RCX, RAX | RDX, true, 0 },
  { EXIT_WRMSR, RAX | RCX | RDX, 0, true, 0 },
  { EXIT_CR_ACCESS, 0, 0, true, 0 }, // refined: the one register
  { EXIT_VMCALL, RAX | RBX | RCX | RDX | RSI | RDI, RAX, true, 0 },
};

static struct disclosure
row_of(uint32_t reason)
{
  for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    if (rows[i].reason == reason)
      return rows[i];
  return (struct disclosure){ .reason = reason };
}

static void
refine_io(struct disclosure *row, uint64_t qualification)
{
  unsigned size = IO_SIZE(qualification);
  row->value_mask = size == 4 ? 0xffffffff : (1ul << 8 * size) - 1;
  if (qualification & IO_STRING)
    row->shown = row->accepted = 0;
  else if (qualification & IO_IN)
    row->shown = 0;
  else
    row->accepted = 0;
}

static void
refine_cr_access(struct disclosure *row, uint64_t qualification)
{
  uint16_t operand = (uint16_t)(1u << CR_ACCESS_REGISTER(qualification));
  if (CR_ACCESS_TYPE(qualification) == CR_ACCESS_MOV_FROM)
    row->accepted = operand;
  else
    row->shown = operand;
}

// Exit information as the VMM may have it. An EPT violation tells the page and the access, no linear address.
static uint64_t
visible_information(const struct vcpu *vcpu, enum field_index index)
{
  uint64_t value = vcpu->actual[index];
  bool violation = vcpu->last.reason == EXIT_EPT_VIOLATION;
  switch (index) {
  case AT_EXIT_QUALIFICATION:
    return violation ? value & ~EPT_VIOLATION_LINEAR : value;
  case AT_GUEST_PHYSICAL_ADDRESS:
    return violation ? value & ~PAGE_MASK : value;
  case AT_GUEST_LINEAR_ADDRESS:
    return 0;
  default:
    return value;
  }
}

// Guest state as the VMM may have it: the mode, and of the flags whether interrupts are on.
static uint64_t
visible_guest_state(const struct vcpu *vcpu, enum field_index index)
{
  if (fields[index].kind == FIELD_GUEST_MODE)
    return vcpu->actual[index];
  return index == AT_GUEST_RFLAGS ? vcpu->actual[index] & (RFLAGS_IF | RFLAGS_FIXED) : 0;
}

static bool
is_guest_state(enum field_index index)
{
  return fields[index].kind == FIELD_GUEST || fields[index].kind == FIELD_GUEST_MODE;
}

static uint64_t
mask_of(const struct disclosure *row)
{
  return row->value_mask ? row->value_mask : ~0ul;
}

static uint64_t
shown_register(const struct vcpu *vcpu, unsigned number)
{
  return vcpu->last.shown >> number & 1 ? vcpu->registers.number[number] & mask_of(&vcpu->last) : 0;
}

// After an exit, with the guest's VMCS current: notes the real state, and makes the VMM's copy.
void
disclose(struct vcpu *vcpu)
{
  for (enum field_index i = 0; i < FIELD_COUNT; i++)
    if (is_guest_state(i) || fields[i].kind == FIELD_INFORMATION)
      vcpu->actual[i] = vmread(fields[i].encoding);
  vcpu->last = row_of(vcpu->actual[AT_EXIT_REASON] & EXIT_REASON_BASIC);
  if (vcpu->last.reason == EXIT_IO)
    refine_io(&vcpu->last, vcpu->actual[AT_EXIT_QUALIFICATION]);
  if (vcpu->last.reason == EXIT_CR_ACCESS)
    refine_cr_access(&vcpu->last, vcpu->actual[AT_EXIT_QUALIFICATION]);
  for (enum field_index i = 0; i < FIELD_COUNT; i++) {
    if (is_guest_state(i))
      vcpu->visible[i] = visible_guest_state(vcpu, i);
    else if (fields[i].kind == FIELD_INFORMATION)
      vcpu->visible[i] = visible_information(vcpu, i);
  }
  vcpu->visible[AT_ENTRY_INTERRUPTION] &= ~(uint64_t)INTERRUPTION_VALID; // an exit clears it (27.2)
}

// The general registers that the VMM finds after the exit. The rest reads as zero.
void
disclosed_registers(const struct vcpu *vcpu, struct registers *to_vmm)
{
  for (unsigned i = 0; i < 16; i++)
    to_vmm->number[i] = shown_register(vcpu, i);
  PROBE3(registers_hidden, vcpu->vm->id, vcpu->last.reason, ALL_REGISTERS & ~vcpu->last.shown);
}

static bool
violation(const struct vcpu *vcpu, const char *what, uint64_t which)
{
  print("vm %u: entry refused, the VMM changed %s %lx\n", vcpu->vm->id, what, which);
  PROBE3(context_refused, vcpu->vm->id, vcpu->last.reason, which);
  return false;
}

// Whether the guest asked for this value of this control register, by MOV; VMX operation fixes some of its bits.
static bool
guest_asked_for_cr(const struct vcpu *vcpu, unsigned number, uint64_t value, uint64_t fixed)
{
  uint64_t qualification = vcpu->actual[AT_EXIT_QUALIFICATION];
  uint64_t wanted = vcpu->registers.number[CR_ACCESS_REGISTER(qualification)];
  return vcpu->last.reason == EXIT_CR_ACCESS && CR_ACCESS_TYPE(qualification) == CR_ACCESS_MOV_TO &&
         CR_ACCESS_NUMBER(qualification) == number && (value | fixed) == (wanted | fixed);
}

// Whether a change of this field, from what the VMM saw to what it wrote, is the effect of the last exit.
static bool
legal_effect(const struct vcpu *vcpu, enum field_index index, uint64_t was, uint64_t is)
{
  switch (index) {
  case AT_GUEST_RIP: // hidden, so the VMM added to zero
    return vcpu->last.advance && is - was == vcpu->actual[AT_EXIT_INSTRUCTION_LENGTH];
  case AT_GUEST_INTERRUPTIBILITY: // the step over an instruction ends the blocking by STI and MOV SS
    return is == (was & ~(uint64_t)(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
  case AT_VMCS_LINK_POINTER: // another VMCS is lent to the guest
    return lent_link_allowed(is);
  case AT_GUEST_ACTIVITY: // woken
    return is == 0;
  case AT_GUEST_CR0:
    return guest_asked_for_cr(vcpu, 0, is, CR0_NE);
  case AT_GUEST_CR3:
    return guest_asked_for_cr(vcpu, 3, is, 0);
  case AT_GUEST_CR4:
    return guest_asked_for_cr(vcpu, 4, is, CR4_VMXE);
  default:
    return false;
  }
}

static bool
changes_are_legal(const struct vcpu *vcpu, const struct registers *from_vmm)
{
  for (enum field_index i = 0; i < FIELD_COUNT; i++) {
    if (!is_guest_state(i))
      continue;
    uint64_t was = visible_guest_state(vcpu, i), is = vcpu->visible[i];
    if (is != was && !legal_effect(vcpu, i, was, is))
      return violation(vcpu, "field", fields[i].encoding);
  }
  for (unsigned i = 0; i < 16; i++) {
    bool accepted = vcpu->last.accepted >> i & 1;
    if (i != RSP_NUMBER && !accepted && from_vmm->number[i] != shown_register(vcpu, i))
      return violation(vcpu, "register", i);
  }
  return true;
}

// Puts a legal change of a field into the real VMCS, which is current.
static void
take_field(struct vcpu *vcpu, enum field_index index)
{
  uint64_t was = visible_guest_state(vcpu, index), is = vcpu->visible[index];
  if (is == was)
    return;
  vcpu->actual[index] = index == AT_GUEST_RIP ? vcpu->actual[index] + (is - was) : is;
  vmwrite(fields[index].encoding, vcpu->actual[index]);
}

static void
take_register(struct vcpu *vcpu, unsigned number, uint64_t value)
{
  uint64_t mask = mask_of(&vcpu->last), kept = mask == 0xffffffff ? 0 : ~mask; // 32 bits clear the upper half
  vcpu->registers.number[number] = (vcpu->registers.number[number] & kept) | (value & mask);
}

// Before an entry: the VMM's changes become the guest's if all of them are legal. False: the entry must not happen; the
// VMM may take back what was not its to change, and try again.
bool
take_back(struct vcpu *vcpu, const struct registers *from_vmm)
{
  if (!changes_are_legal(vcpu, from_vmm))
    return false;
  for (enum field_index i = 0; i < FIELD_COUNT; i++) {
    if (!is_guest_state(i))
      continue;
    take_field(vcpu, i);
    vcpu->visible[i] = visible_guest_state(vcpu, i); // so that no change counts twice
  }
  for (unsigned i = 0; i < 16; i++)
    if (vcpu->last.accepted >> i & 1)
      take_register(vcpu, i, from_vmm->number[i]);
  return true;
}
