// The VMM's allocator of physical pages: one bit a page, set when it is free.
#include "memory.h"

#include "boot_info.h"
#include "console.h"
#include "layout.h"

#include <string.h>
#include <x86.h>

#define PAGES (DIRECT_MAP_SIZE / PAGE_SIZE)
#define WORD_BITS 64

extern char vmm_end[];

static uint64_t free_pages[PAGES / WORD_BITS];
static uint64_t next_word;

static void
set_free(uint64_t page)
{
  free_pages[page / PAGE_SIZE / WORD_BITS] |= 1ul << (page / PAGE_SIZE % WORD_BITS);
}

// Takes [start, end) out of what is given out.
void
memory_reserve(uint64_t start, uint64_t end)
{
  for (uint64_t page = start & ~PAGE_MASK; page < end; page += PAGE_SIZE)
    free_pages[page / PAGE_SIZE / WORD_BITS] &= ~(1ul << (page / PAGE_SIZE % WORD_BITS));
}

// All RAM above the VMM's image is free, but for the modules.
void
memory_init(void)
{
  uint64_t end = boot_info.memory_end < DIRECT_MAP_SIZE ? boot_info.memory_end : DIRECT_MAP_SIZE;
  for (uint64_t page = physical(vmm_end); page + PAGE_SIZE <= end; page += PAGE_SIZE)
    set_free(page);
  for (unsigned i = 0; i < boot_info.module_count; i++)
    memory_reserve(boot_info.modules[i].start, boot_info.modules[i].end);
}

// A page of zeros, by its physical address.
uint64_t
page_allocate(void)
{
  for (; next_word < PAGES / WORD_BITS; next_word++) {
    if (free_pages[next_word] == 0)
      continue;
    uint64_t bit = (uint64_t)__builtin_ctzl(free_pages[next_word]);
    free_pages[next_word] &= ~(1ul << bit);
    uint64_t page = (next_word * WORD_BITS + bit) * PAGE_SIZE;
    memset(direct(page), 0, PAGE_SIZE);
    return page;
  }
  panic("page_allocate: out of memory");
}

void
page_release(uint64_t page)
{
  set_free(page);
  if (page / PAGE_SIZE / WORD_BITS < next_word)
    next_word = page / PAGE_SIZE / WORD_BITS;
}
