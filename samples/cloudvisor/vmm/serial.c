// The serial port that a guest sees: it is always ready, and its lines go to the VMM's console.
#include "console.h"
#include "vm.h"

#include <vmx.h>

#define COM1 0x3f8
#define REGISTER_DATA 0
#define REGISTER_LINE_STATUS 5
#define TRANSMITTER_EMPTY 0x60

static void
receive(struct vm *vm, char c)
{
  if (c != '\n' && vm->line_length < GUEST_LINE_SIZE - 1) {
    vm->line[vm->line_length++] = c;
    return;
  }
  vm->line[vm->line_length] = 0;
  vm->line_length = 0;
  console_guest_line(vm->line);
}

void
serial_access(struct vm *vm, uint64_t qualification)
{
  unsigned number = IO_PORT(qualification) - COM1;
  if (qualification & IO_IN)
    vm->registers.rax = (vm->registers.rax & ~0xfful) | (number == REGISTER_LINE_STATUS ? TRANSMITTER_EMPTY : 0);
  else if (number == REGISTER_DATA)
    receive(vm, (char)vm->registers.rax);
}
