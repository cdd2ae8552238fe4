/* A driver for one virtio block device with the modern interface. */
#ifndef VIRTIO_H
#define VIRTIO_H

#include "device.h"

#define QUEUE 8
#define F_NEXT 1
#define F_WRITE 2
#define F_INDIRECT 4

struct descriptor { u64 address; u32 length; u16 flags, next; };
struct available { u16 flags, index, ring[QUEUE], used_event; };
struct used { u16 flags, index; struct { u32 id, length; } ring[QUEUE]; u16 available_event; };
struct header { u32 type, reserved; u64 sector; };

static struct descriptor descriptors[QUEUE] __attribute__((aligned(4096)));
static struct available available __attribute__((aligned(4096)));
static struct used used __attribute__((aligned(4096)));
static struct header header __attribute__((aligned(4096)));
static volatile u8 result;
static u8 data[8192] __attribute__((aligned(4096)));

static int function;
static u64 common, notify, isr, device;

static u64 structure(int type) {
  for (u32 at = config_read8(function, 0x34); at; at = config_read8(function, at + 1)) {
    if (config_read8(function, at) != 9 || config_read8(function, at + 3) != type) continue;
    u32 bar = 0x10 + 4 * config_read8(function, at + 4);
    return (config_read(function, bar) & ~15u) + config_read(function, at + 8);
  }
  return 0;
}

static u8 status(void) { return read8(common + 0x14); }

/** Finds the device in slot 4; what firmware set up stays. */
static void find_virtio(void) {
  map_devices();
  init_pics();
  function = 4 << 3;
  config_write16(function, 4, 7);
  common = structure(1);
  notify = structure(2);
  isr = structure(3);
  device = structure(4);
}

static void negotiate(u32 low, u32 high) {
  write8(common + 0x14, 0);
  while (status()) {
  }
  write8(common + 0x14, 3);
  write32(common + 8, 0);
  write32(common + 12, low);
  write32(common + 8, 1);
  write32(common + 12, high);
  write8(common + 0x14, 11);
}

static void set_address(u32 at, const volatile void *address) {
  write32(common + at, (u32)(u64)address);
  write32(common + at + 4, 0);
}

static void start_queue(void) {
  memset(&available, 0, sizeof available);
  memset(&used, 0, sizeof used);
  write16(common + 0x16, 0);
  write16(common + 0x18, QUEUE);
  set_address(0x20, descriptors);
  set_address(0x28, &available);
  set_address(0x30, &used);
  write16(common + 0x1c, 1);
  write8(common + 0x14, 15);
}

static void describe(struct descriptor *to, u64 address, u32 length, u16 flags, u16 next) {
  to->address = address;
  to->length = length;
  to->flags = flags;
  to->next = next;
}

static void kick(u16 head) {
  available.ring[available.index % QUEUE] = head;
  __asm__ volatile("mfence" : : : "memory");
  (*(volatile u16 *)&available.index)++;
  write16(notify, 0);
}

/** Until the device has used a request, or needs a reset */
static void await(void) {
  while (*(volatile u16 *)&used.index != available.index && !(status() & 64)) {
  }
}

/** Header, data, status: three descriptors */
static void start_request(u32 type, u64 sector, u64 address, u32 length, u16 flags) {
  header.type = type;
  header.sector = sector;
  result = 0xee;
  describe(&descriptors[0], (u64)&header, 16, F_NEXT, 1);
  describe(&descriptors[1], address, length, F_NEXT | flags, 2);
  describe(&descriptors[2], (u64)&result, 1, F_WRITE, 0);
  kick(0);
}

static inline void request(u32 type, u64 sector, u64 address, u32 length, u16 flags) {
  start_request(type, sector, address, length, flags);
  await();
}

static inline void show_used(void) {
  u16 last = (u16)(used.index - 1) % QUEUE;
  show("result", result, 2);
  show("used", used.index, 4);
  show("id", used.ring[last].id, 2);
  show("length", used.ring[last].length, 8);
  print("\n");
}

#endif
