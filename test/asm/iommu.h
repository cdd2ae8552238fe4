/* The remapping unit at its usual place, and its invalidation queue. */
#ifndef IOMMU_H
#define IOMMU_H

#include "device.h"

#define IOMMU 0xfed90000ul
#define GCMD 0x18
#define GSTS 0x1c
#define TE 0x80000000u
#define SRTP 0x40000000u
#define QIE 0x04000000u
#define IRE 0x02000000u
#define SIRTP 0x01000000u

static u64 queue[512] __attribute__((aligned(4096)));
static volatile u32 wait_status;

static void command(u32 bit, int on) {
  u32 now = read32(IOMMU + GSTS) & 0x96ffffff;
  write32(IOMMU + GCMD, on ? now | bit : now & ~bit);
  while (!!(read32(IOMMU + GSTS) & bit) != on) {
  }
}

static void start_invalidation(void) {
  write64(IOMMU + 0x90, (u64)queue);
  write64(IOMMU + 0x88, 0);
  command(QIE, 1);
}

static void submit(u64 low, u64 high) {
  u64 tail = read64(IOMMU + 0x88);
  queue[tail / 8] = low;
  queue[tail / 8 + 1] = high;
  write64(IOMMU + 0x88, (tail + 16) % 4096);
}

/** Waits for all invalidations by a status write. */
static void drain(void) {
  wait_status = 0;
  submit(5 | 0x20 | 0x77ul << 32, (u64)&wait_status);
  while (wait_status != 0x77) {
  }
}

#endif
