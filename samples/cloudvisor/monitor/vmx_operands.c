#include "vmx_operands.h"

#include "vmm.h"

#include <vmx.h>
#include <x86.h>

#define SCALE(information) ((information) & 3)
#define SEGMENT(information) ((information) >> 15 & 7)
#define INDEX(information) ((information) >> 18 & 15)
#define NO_INDEX(information) ((information) >> 22 & 1)
#define BASE(information) ((information) >> 23 & 15)
#define NO_BASE(information) ((information) >> 27 & 1)
#define SEGMENT_FS 4
#define SEGMENT_GS 5

// The linear address of a memory operand in 64-bit mode: the qualification is the displacement (27.2.1).
static uint64_t
operand_address(void)
{
  uint64_t information = vmread(EXIT_INSTRUCTION_INFORMATION);
  uint64_t address = vmread(EXIT_QUALIFICATION);
  if (!NO_BASE(information))
    address += vmm.registers.number[BASE(information)];
  if (!NO_INDEX(information))
    address += vmm.registers.number[INDEX(information)] << SCALE(information);
  if (SEGMENT(information) == SEGMENT_FS)
    address += vmread(GUEST_FS_BASE);
  if (SEGMENT(information) == SEGMENT_GS)
    address += vmread(GUEST_GS_BASE);
  return address;
}

static bool
reached(bool done)
{
  if (!done)
    vmm_inject(VECTOR_GENERAL_PROTECTION, true, 0);
  return done;
}

bool
operand_read(void *to, unsigned size)
{
  return reached(vmm_read(operand_address(), to, size));
}

bool
operand_write(const void *from, unsigned size)
{
  return reached(vmm_write(operand_address(), from, size));
}
