// Creating a guest from its ELF file.
//
// Guest-physical memory at the start: page tables that map the first 2 MiB to themselves and, as the image wants it,
// to -1 GiB; the image where its segments say. Everything else comes when the guest touches it (pager.c).
#include "console.h"
#include "elf.h"
#include "layout.h"
#include "memory.h"
#include "vm.h"

#include <print.h>
#include <string.h>
#include <vmx.h>
#include <x86.h>

#define GUEST_PML4 0x1000ul
#define GUEST_PDPT 0x2000ul
#define GUEST_PD 0x3000ul
#define GUEST_STACK_TOP 0x80000ul
#define PRESENT_WRITABLE 3ul
#define PAGE_LARGE 0x80ul

// The VMM's pointer to a guest page, which is made when the guest has none there yet.
static void *
guest_page(struct vm *vm, uint64_t gpa)
{
  uint64_t *entry = ept_entry(vm, gpa);
  if (!(*entry & EPT_ALL))
    ept_map(vm, gpa, page_allocate());
  return direct(*entry & EPT_ADDRESS);
}

static void
write_guest(struct vm *vm, uint64_t gpa, const char *from, uint64_t size)
{
  while (size > 0) {
    uint64_t offset = gpa & PAGE_MASK, part = PAGE_SIZE - offset < size ? PAGE_SIZE - offset : size;
    memcpy((char *)guest_page(vm, gpa & ~PAGE_MASK) + offset, from, part);
    gpa += part, from += part, size -= part;
  }
}

static void
load_segments(struct vm *vm)
{
  unsigned count;
  const struct elf_segment *segment = elf_segments(vm->image, &count);
  for (; count > 0; count--, segment++) {
    if (segment->type != ELF_LOAD)
      continue;
    if (segment->physical + segment->memory_size > GUEST_MEMORY)
      panic("guest: image does not fit in guest memory");
    write_guest(vm, segment->physical, (const char *)vm->image + segment->offset, segment->file_size);
  }
}

static void
make_page_tables(struct vm *vm)
{
  uint64_t *pml4 = guest_page(vm, GUEST_PML4), *pdpt = guest_page(vm, GUEST_PDPT), *pd = guest_page(vm, GUEST_PD);
  pml4[0] = pml4[511] = GUEST_PDPT | PRESENT_WRITABLE;
  pdpt[0] = pdpt[511] = GUEST_PD | PRESENT_WRITABLE;
  for (uint64_t i = 0; i < GUEST_MEMORY / LARGE_PAGE_SIZE; i++)
    pd[i] = i * LARGE_PAGE_SIZE | PAGE_LARGE | PRESENT_WRITABLE;
}

void
vm_create(struct vm *vm, const struct module *module)
{
  vm->image = direct(module->start);
  vm->ept_root = page_allocate();
  load_segments(vm);
  make_page_tables(vm);
  vmcs_create(vm, elf_entry(vm->image), GUEST_STACK_TOP, GUEST_PML4);
  print("guest created, EPT root %lx, VMCS %lx\n", vm->ept_root, vm->vmcs);
}
