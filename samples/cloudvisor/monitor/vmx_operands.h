#pragma once
// Operands of the VMM's VMX instructions, from the VM-exit instruction information (SDM 3C tables 27-13 and 27-14).
#include <stdbool.h>
#include <stdint.h>

#define OPERAND_REGISTER_1(information) ((information) >> 3 & 15)
#define OPERAND_IS_REGISTER(information) ((information) >> 10 & 1)
#define OPERAND_REGISTER_2(information) ((information) >> 28 & 15)

// The memory operand. False: the VMM cannot reach it, and gets an exception instead of a result.
bool operand_read(void *to, unsigned size);
bool operand_write(const void *from, unsigned size);
