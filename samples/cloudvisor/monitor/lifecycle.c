// The page life cycle. Every step that reduces someone's rights takes them away, in the tables and in the processor's
// caches, before anything else happens to the page.
#include "lifecycle.h"

#include "aes.h"
#include "console.h"
#include "iommu.h"
#include "layout.h"
#include "md5.h"
#include "pages.h"
#include "random.h"
#include "reach.h"
#include "sealed.h"
#include "shadow.h"

#include <print.h>
#include <probe.h>
#include <string.h>
#include <vmx.h>
#include <x86.h>

// --- Sealing and opening ---

// Encrypts the page in place with a fresh IV, and notes the hash of the ciphertext. Nobody else can reach it now.
static void
seal(struct vm *vm, uint64_t hpa, uint64_t gpa, const char *reason)
{
  struct aes aes;
  struct sealed *record = sealed_new(vm->id, gpa);
  uint8_t *bytes = direct(hpa);
  aes_set_key(&aes, vm->key);
  random_bytes(record->iv, sizeof(record->iv));
  aes_cbc_encrypt(&aes, record->iv, bytes, PAGE_SIZE);
  md5(bytes, PAGE_SIZE, record->hash);
  PROBE6(page_encrypted, hpa, gpa, vm->id, reason, record->iv, record->hash);
  print("page %lx of vm %u encrypted: %s\n", gpa, vm->id, reason);
}

// Verifies and decrypts the page in place. False, and nothing changed: it is not the page that left.
static bool
open(struct vm *vm, uint64_t hpa, uint64_t gpa, struct sealed *record)
{
  static const char corrupt[] = "its hash differs from the last version's";
  struct aes aes;
  uint8_t hash[MD5_SIZE];
  md5(direct(hpa), PAGE_SIZE, hash);
  if (memcmp(hash, record->hash, sizeof(hash))) {
    PROBE4(page_corrupt, hpa, gpa, vm->id, corrupt);
    print("page %lx of vm %u is corrupt: %s\n", gpa, vm->id, corrupt);
    return false;
  }
  PROBE4(page_verified, hpa, gpa, vm->id, record->hash);
  aes_set_key(&aes, vm->key);
  aes_cbc_decrypt(&aes, record->iv, direct(hpa), PAGE_SIZE);
  sealed_forget(record);
  PROBE4(page_decrypted, hpa, gpa, vm->id, "touched by its guest");
  print("page %lx of vm %u verified and decrypted\n", gpa, vm->id);
  return true;
}

static bool
refuse(uint64_t hpa, uint64_t gpa, unsigned who, const char *reason)
{
  PROBE4(page_refused, hpa, gpa, who, reason);
  print("refused, page %lx: %s\n", hpa, reason);
  return false;
}

// --- The guest's side ---

// The VMM maps a page of its own to the guest: from now on it is the guest's. If the guest had a page at this address
// before, only that one, unchanged, may come back.
static bool
give(struct vm *vm, uint64_t gpa, uint64_t hpa)
{
  reach_set(hpa, 0);
  struct sealed *record = sealed_find(vm->id, gpa);
  if (record && !open(vm, hpa, gpa, record)) {
    reach_set(hpa, EPT_ALL);
    return false;
  }
  page_set_owner(hpa, gpa, vm->id);
  return true;
}

// The guest touches a page that lies encrypted in place: out of the VMM's sight, and back.
static bool
take_back_in_place(struct vm *vm, uint64_t gpa, uint64_t hpa)
{
  reach_set(hpa, 0);
  if (!open(vm, hpa, gpa, sealed_find(vm->id, gpa)))
    return false;
  page_of(hpa)->state = PAGE_PLAIN;
  return true;
}

// May this page be at this address of this VM? Exactly one owner, and one address with him.
static bool
acquire(struct vm *vm, uint64_t gpa, uint64_t hpa)
{
  const struct page *page = page_of(hpa);
  if (!page)
    return refuse(hpa, gpa, OWNER_VMM, "the VMM maps what is no RAM to a guest");
  if (page->owner == OWNER_VMM)
    return give(vm, gpa, hpa);
  if (page->owner == OWNER_MONITOR)
    return refuse(hpa, gpa, OWNER_VMM, "the VMM maps a page of the monitor to a guest");
  if (page->owner != vm->id)
    return refuse(hpa, gpa, OWNER_VMM, "the VMM maps a page of another guest");
  if (page->gpa_page != gpa / PAGE_SIZE)
    return refuse(hpa, gpa, OWNER_VMM, "the VMM maps one page at two addresses");
  return page->state == PAGE_PLAIN || take_back_in_place(vm, gpa, hpa);
}

// An EPT violation of the guest. True: the shadow allows the access now. False: the VMM has to act.
bool
page_touched_by_guest(struct vm *vm, uint64_t gpa, uint64_t access)
{
  struct mapping mapping;
  uint64_t *entry = shadow_entry(vm, gpa);
  if (!vmm_mapping(vm, gpa, &mapping) || (access & ~mapping.rights))
    return false;
  if ((*entry & SHADOW_BOUND) && (*entry & EPT_ADDRESS) != mapping.hpa)
    page_take_away(vm, gpa, "replaced by the VMM");
  if (!acquire(vm, gpa, mapping.hpa))
    return false;
  PROBE3(ept_validated, vm->id, gpa, mapping.hpa);
  *entry = mapping.hpa | SHADOW_BOUND | EPT_WRITE_BACK | (mapping.rights & EPT_ALL);
  return true;
}

// The VMM has unmapped the page, or another lies in its place: it gets ciphertext.
void
page_take_away(struct vm *vm, uint64_t gpa, const char *reason)
{
  uint64_t *entry = shadow_entry(vm, gpa);
  uint64_t hpa = *entry & EPT_ADDRESS;
  *entry = 0;
  shadow_invalidate(vm);
  if (page_of(hpa)->state == PAGE_PLAIN)
    seal(vm, hpa, gpa, reason);
  page_set_owner(hpa, gpa, OWNER_VMM);
  reach_set(hpa, EPT_ALL);
}

// --- The VMM's side ---

// An EPT-x fault. True: the VMM may go on, and reads ciphertext if the page is a guest's. False: refused.
bool
page_touched_by_vmm(uint64_t hpa, bool writes)
{
  struct page *page = page_of(hpa);
  if (iommu_owns(hpa))
    return refuse(hpa, 0, OWNER_VMM, "the VMM reaches for the IOMMU");
  if (!page)
    return refuse(hpa, 0, OWNER_VMM, "the VMM reaches beyond the machine's memory");
  uint64_t gpa = (uint64_t)page->gpa_page * PAGE_SIZE;
  struct vm *vm = vm_by_id(page->owner);
  if (!vm)
    return refuse(hpa, 0, OWNER_VMM, "the VMM reaches for a page of the monitor");
  if (writes)
    return refuse(hpa, gpa, OWNER_VMM, "the VMM writes to a page of a guest");
  if (page->state == PAGE_PLAIN) {
    uint64_t *entry = shadow_entry(vm, gpa);
    *entry &= ~EPT_ALL;
    shadow_invalidate(vm);
    seal(vm, hpa, gpa, "read by the VMM");
    page->state = PAGE_CIPHERTEXT;
  }
  reach_set(hpa, EPT_READ);
  return true;
}

// --- The VM's life ---

static struct md5 measurement;

static void
measure_page(struct vm *vm, uint64_t gpa)
{
  if (!page_touched_by_guest(vm, gpa, 0))
    return;
  md5_add(&measurement, &gpa, sizeof(gpa));
  md5_add(&measurement, direct(*shadow_entry(vm, gpa) & EPT_ADDRESS), PAGE_SIZE);
}

// The first entry of a VM: every page that it starts with becomes its own, and is measured.
void
vm_measure(struct vm *vm)
{
  uint8_t digest[MD5_SIZE];
  md5_begin(&measurement);
  vmm_mappings_each(vm, measure_page);
  md5_end(&measurement, digest);
  print("vm %u created, measurement ", vm->id);
  for (unsigned i = 0; i < MD5_SIZE; i++)
    print("%x%x", digest[i] >> 4, digest[i] & 15);
  print("\n");
}

static void
scrub_page(struct vm *vm, uint64_t gpa, uint64_t *entry)
{
  uint64_t hpa = *entry & EPT_ADDRESS;
  *entry = 0;
  shadow_invalidate(vm);
  memset(direct(hpa), 0, PAGE_SIZE);
  page_set_owner(hpa, gpa, OWNER_VMM);
  reach_set(hpa, EPT_ALL);
}

void
vm_scrub(struct vm *vm)
{
  shadow_each(vm, scrub_page);
  sealed_forget_vm(vm->id);
}
