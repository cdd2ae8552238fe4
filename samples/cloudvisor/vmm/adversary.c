// The part of the VMM that its owner would rather not have: an operator who wants the guest's secret. He knows the
// guest's image, hence where the secret lies, and acts when the guest yields. He reports what he saw, and knows of no
// monitor.
#include "disk.h"
#include "elf.h"
#include "layout.h"
#include "memory.h"
#include "traps.h"
#include "vm.h"

#include <print.h>
#include <string.h>
#include <vmx.h>
#include <x86.h>

#define GUEST_BASE 0xffffffffc0000000
#define SHOWN_BYTES 32

// Which secret page each act is about
#define READ_PAGE 0
#define WRITE_PAGE 1
#define SWAP_PAGE 2

// Bits of DR7 that have no effect (LE and GE on current processors): the guest would live with them.
#define DR7_CHANGE 0x300

static bool write_refused, write_seen, context_changed;
static uint64_t true_dr7;

// The host-physical address of a secret page.
static uint64_t
secret_gpa(const struct vm *vm, unsigned page)
{
  return elf_symbol(vm->image, "secret_pages") - GUEST_BASE + page * PAGE_SIZE;
}

static const char *
secret_page(struct vm *vm, unsigned page)
{
  return direct(*ept_entry(vm, secret_gpa(vm, page)) & EPT_ADDRESS);
}

static void
show_secret(const char *what, const struct vm *vm, const char *from)
{
  char bytes[SHOWN_BYTES];
  memcpy(bytes, from, SHOWN_BYTES);
  print("adversary: %s %lx of the guest reads \"", what, secret_gpa(vm, READ_PAGE));
  for (unsigned i = 0; i < SHOWN_BYTES; i++)
    print("%c", bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '.');
  print("\"\n");
}

static void
look_at_secret(struct vm *vm)
{
  show_secret("page", vm, secret_page(vm, READ_PAGE));
}

static void
change_secret(struct vm *vm)
{
  volatile uint64_t *word = (volatile uint64_t *)(secret_page(vm, WRITE_PAGE) + PAGE_SIZE / 2);
  uint64_t wanted = ~*word;
  write_refused = !try_store(word, wanted);
  write_seen = *word == wanted;
  print("adversary: write to page %lx of the guest %s\n", secret_gpa(vm, WRITE_PAGE),
        write_refused ? "was refused by the machine" : write_seen ? "succeeded" : "had no effect");
}

// The same page by another way: the disk copies it, and hands the copy out. No instruction of the VMM reaches for it.
static void
look_by_disk(struct vm *vm)
{
  if (!disk_present())
    return;
  uint64_t copy = page_allocate();
  bool done = disk_write_page(DISK_SPY_SECTOR, physical(secret_page(vm, READ_PAGE))) &&
              disk_read_page(DISK_SPY_SECTOR, copy);
  if (done)
    show_secret("the disk's copy of page", vm, direct(copy));
  else
    print("adversary: the disk cannot reach page %lx of the guest\n", secret_gpa(vm, READ_PAGE));
  page_release(copy);
}

// Changes the guest's state between an exit and an entry: its debug control register.
static void
change_context(void)
{
  true_dr7 = vmread(GUEST_DR7);
  vmwrite(GUEST_DR7, true_dr7 ^ DR7_CHANGE);
  context_changed = true;
  print("adversary: changed the guest's DR7\n");
}

// An entry was refused: takes the change back, if there was one. False: that was not the reason.
bool
adversary_withdraw(void)
{
  if (!context_changed)
    return false;
  context_changed = false;
  vmwrite(GUEST_DR7, true_dr7);
  print("adversary: the guest does not run with another DR7; taken back\n");
  return true;
}

// What a forced exit tells about the guest. Once is enough.
void
adversary_look_at_registers(struct vm *vm)
{
  static bool looked;
  if (looked)
    return;
  looked = true;
  print("adversary: interrupted guest has RIP %lx, RSP %lx, RAX %lx, RBX %lx\n", vmread(GUEST_RIP), vmread(GUEST_RSP),
        vm->registers.rax, vm->registers.rbx);
}

// What is left in memory when the guest is no more.
void
adversary_look_at_leftovers(struct vm *vm)
{
  show_secret("after its end, page", vm, secret_page(vm, READ_PAGE));
}

void
adversary_act(struct vm *vm)
{
  switch (vm->yields) {
  case 1:
    look_at_secret(vm);
    break;
  case 2:
    change_secret(vm);
    break;
  case 3:
    pager_swap_out(vm, secret_gpa(vm, SWAP_PAGE));
    break;
  case 4:
    change_context();
    break;
  case 5:
    look_by_disk(vm);
    break;
  }
}

// Whether the guest's verdict fits what the operator saw: its secret is damaged exactly if a change
// was seen to succeed.
bool
adversary_consistent(const struct vm *vm)
{
  return vm->verdict == (write_seen || pager_change_accepted() ? VERDICT_DAMAGED : VERDICT_INTACT);
}
