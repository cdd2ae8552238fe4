#pragma once
// The ownership table: for each physical page exactly one owner, and where the owner has it.
#include <stdbool.h>
#include <stdint.h>

#define OWNER_VMM 0
#define OWNER_MONITOR 0xff
// Other owners are identities of VMs, from 1 on.

enum page_state {
  PAGE_PLAIN,      // as its owner left it
  PAGE_CIPHERTEXT, // encrypted in place; the VMM may read it
};

struct page {
  uint8_t owner;
  uint8_t state;
  uint32_t gpa_page; // guest-physical page number at which a VM owns it: it cannot be owned at two
};

void pages_init(void);
struct page *page_of(uint64_t hpa);
bool vmm_owns(uint64_t hpa);
void page_set_owner(uint64_t hpa, uint64_t gpa, unsigned owner);
uint64_t monitor_page(void);
