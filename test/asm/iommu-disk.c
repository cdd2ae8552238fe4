/* node scripts/asm-test.mjs iommu-disk          disk: virtio, iommu: yes */
#include "iommu.h"
#include "virtio.h"

static u64 root[512] __attribute__((aligned(4096)));
static u64 contexts[512] __attribute__((aligned(4096)));
static u64 level4[512] __attribute__((aligned(4096)));
static u64 level3[512] __attribute__((aligned(4096)));
static u64 level2[512] __attribute__((aligned(4096)));
static u64 level1[512] __attribute__((aligned(4096)));
static u32 fault_records;

/** Device address of what stands at `address`: all of the first 2 MiB is mapped to itself, and some pages beside. */
static u64 *entry_of(u64 address) { return &level1[(address >> 12) & 511]; }

static void invalidate_all(void) {
  submit(1 | 1 << 4, 0);
  submit(2 | 1 << 4, 0);
  drain();
}

/** `where`: the page too. Which part of a queue a device reads first, devices differ in. */
static void show_fault_at(int where) {
  u32 status = read32(IOMMU + 0x34);
  show("fsts", status & 0x73, 2);
  u64 at = IOMMU + fault_records + 16 * ((status >> 8) & 0xff);
  if (status & 2) {
    u64 high = read64(at + 8);
    show("reason", (high >> 32) & 0xff, 2);
    show("source", high & 0xffff, 4);
    show("read", (high >> 62) & 1, 1);
    if (where) show("page", read64(at) & ~0xffful, 16);
    for (u32 i = 0; i < 8; i++) write32(IOMMU + fault_records + 16 * i + 12, 0x80000000);
    write32(IOMMU + 0x34, 0x7f);
    show("cleared", read32(IOMMU + 0x34) & 0x73, 2);
  }
  print("\n");
}

static void show_fault(void) { show_fault_at(1); }

/**
 * A new start of the device, and one read to a device address. It ends when the device is done, or where it cannot even
 * begin, when the unit reports a fault, or after a while.
 */
static void disk_read(u64 address, int begins) {
  memset(data, 0, 512);
  negotiate(0, 3);
  start_queue();
  start_request(0, 5, address, 512, F_WRITE);
  for (int i = 0; i < 100000; i++) {
    if (*(volatile u16 *)&used.index == 1) break;
    if (!begins && read32(IOMMU + 0x34)) break;
    if (begins) i = 0;
  }
  if (begins) return;
  /* Nothing more is to come while the fault is looked at. */
  write8(common + 0x14, 0);
  while (status()) {
  }
}

static void show_read(u64 address) {
  disk_read(address, 1);
  show("arrived", data[1] != 0, 1);
}

static void identity(void) {
  for (u64 i = 0; i < 512; i++) level1[i] = i << 12 | 3;
  level2[0] = (u64)level1 | 3;
  level3[0] = (u64)level2 | 3;
  level4[0] = (u64)level3 | 3;
  contexts[2 * function] = (u64)level4 | 1;
  contexts[2 * function + 1] = 7 << 8 | 2;
  root[0] = (u64)contexts | 1;
  root[1] = 0;
}

static void attempt(const char *what, u64 address) {
  print_case(what);
  invalidate_all();
  show_read(address);
  show_fault();
  identity();
}

/** Something that keeps the device from reading its queue: what it then takes for a request nobody defines. */
static void attempt_to_start(const char *what, u64 address) {
  print_case(what);
  invalidate_all();
  disk_read(address, 0);
  show_fault_at(0);
  identity();
}

void test(void) {
  find_virtio();
  print_case("registers");
  u64 capability = read64(IOMMU + 8), extended = read64(IOMMU + 0x10);
  fault_records = ((capability >> 24) & 0x3ff) * 16;
  show("version", read32(IOMMU), 8);
  show("caching-mode", (capability >> 7) & 1, 1);
  show("39-bit", (capability >> 9) & 1, 1);
  show("page-selective", (capability >> 39) & 1, 1);
  show("queue", (extended >> 1) & 1, 1);
  show("interrupts", (extended >> 3) & 1, 1);
  show("status", read32(IOMMU + GSTS), 8);

  print_case("switching on");
  identity();
  write64(IOMMU + 0x20, (u64)root);
  command(SRTP, 1);
  start_invalidation();
  show("head", read64(IOMMU + 0x80), 4);
  invalidate_all();
  show("head", read64(IOMMU + 0x80), 4);
  show("tail", read64(IOMMU + 0x88), 4);
  command(TE, 1);
  show("status", read32(IOMMU + GSTS), 8);

  print_case("a page mapped to itself");
  show_read((u64)data);
  show("sum", sum(data, 512), 8);
  show_fault();

  print_case("a page mapped elsewhere");
  *entry_of(0x1f0000) = (u64)data | 3;
  show_read(0x1f0000);
  show("sum", sum(data, 512), 8);
  show_fault();

  print_case("a page of 2 MiB");
  level2[3] = 0x83;
  show_read(0x600000 + (u64)data);
  show("sum", sum(data, 512), 8);
  show_fault();
  level2[3] = 0;

  *entry_of(0x1f0000) = 0;
  attempt("not mapped", 0x1f0000);
  *entry_of(0x1f0000) = (u64)data | 1;
  attempt("not writable", 0x1f0000);
  *entry_of((u64)&header) &= ~1ul;
  attempt_to_start("the header not readable", (u64)data);
  *entry_of(0x1f0000) = (u64)data | 3 | 1ul << 50;
  attempt("reserved address bits in a page entry", 0x1f0000);
  attempt("no table for these 2 MiB", 0x600000);
  root[0] = 0;
  attempt_to_start("no root entry", (u64)data);
  root[0] = (u64)contexts | 0x11;
  attempt_to_start("a reserved bit in the root entry", (u64)data);
  contexts[2 * function] = 0;
  attempt_to_start("no context entry", (u64)data);
  contexts[2 * function] = (u64)level4 | 0x11;
  attempt_to_start("a reserved bit in the context entry", (u64)data);
  contexts[2 * function + 1] = 7 << 8 | 5;
  attempt_to_start("an address width that there is not", (u64)data);
  contexts[2 * function] = (u64)level4 | 0xd;
  attempt_to_start("a reserved translation type", (u64)data);
  contexts[2 * function] = 0;
  contexts[2 * function] |= 2;
  attempt_to_start("no context entry, fault processing disabled", (u64)data);

  print_case("works again");
  invalidate_all();
  show_read((u64)data);
  show("sum", sum(data, 512), 8);
  show_fault();

  print_case("a forgotten invalidation");
  *entry_of(0x1f0000) = (u64)data | 3;
  show_read(0x1f0000);
  *entry_of(0x1f0000) = 0;
  show_read(0x1f0000);
  show_fault();
  print_case("invalidated by page");
  submit(2 | 3 << 4 | 7 << 16, 0x1f0000);
  drain();
  show_read(0x1f0000);
  show_fault();

  print_case("three levels");
  contexts[2 * function] = (u64)level3 | 1;
  contexts[2 * function + 1] = 7 << 8 | 1;
  invalidate_all();
  show_read((u64)data);
  show("sum", sum(data, 512), 8);
  show_fault();

  print_case("an invalid descriptor stops the queue");
  identity();
  u64 before = read64(IOMMU + 0x88);
  submit(0xf, 0);
  show("fsts", read32(IOMMU + 0x34) & 0x73, 2);
  show("head-stays", read64(IOMMU + 0x80) == before, 1);
  queue[before / 8] = 5 | 0x20 | 0x99ul << 32;
  queue[before / 8 + 1] = (u64)&wait_status;
  write32(IOMMU + 0x34, 0x10);
  show("fsts", read32(IOMMU + 0x34) & 0x73, 2);
}
