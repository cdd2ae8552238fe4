// A driver for one virtio block device with the modern interface (VIRTIO 1.1, 4.1 and 5.2), by polling.
#include "load.h"

#include <layout.h>
#include <x86.h>

#define PCI_ADDRESS 0xcf8
#define PCI_DATA 0xcfc
#define PCI_ENABLE 0x80000000u
#define PCI_FUNCTIONS 256
#define PCI_COMMAND 0x04
#define PCI_BARS 0x10
#define PCI_CAPABILITIES 0x34
#define COMMAND_MEMORY_MASTER 6
#define VENDOR_SPECIFIC 9
#define VIRTIO_VENDOR 0x1af4
#define TRANSITIONAL_BLOCK 0x1001
#define MODERN_BLOCK 0x1042

// Common configuration
#define FEATURE_SELECT 0x08
#define FEATURES 0x0c
#define STATUS 0x14
#define QUEUE_SELECT 0x16
#define QUEUE_SIZE 0x18
#define QUEUE_ENABLE 0x1c
#define QUEUE_DESCRIPTORS 0x20
#define QUEUE_AVAILABLE 0x28
#define QUEUE_USED 0x30
#define DEVICE_FEATURE_SELECT 0x00
#define DEVICE_FEATURES 0x04
#define FEATURES_HIGH 3 // version 1, and that DMA goes as the platform says
#define STATUS_FEATURES_OK 11
#define STATUS_READY 15

#define QUEUE 8
#define NEXT 1
#define WRITE 2
#define PATIENCE 1000000

static struct {
  uint64_t address;
  uint32_t length;
  uint16_t flags, next;
} descriptors[QUEUE] __attribute__((aligned(4096)));
static struct {
  uint16_t flags;
  volatile uint16_t index;
  uint16_t ring[QUEUE], event;
} available __attribute__((aligned(4096)));
static struct {
  uint16_t flags;
  volatile uint16_t index;
  struct {
    uint32_t id, length;
  } ring[QUEUE];
  uint16_t event;
} used __attribute__((aligned(4096)));
static struct {
  uint32_t type, reserved;
  uint64_t sector;
} header __attribute__((aligned(16)));
static volatile uint8_t result;
static volatile char *common, *notify;

static uint32_t
pci_read(unsigned function, unsigned offset)
{
  outl(PCI_ADDRESS, PCI_ENABLE | function << 8 | (offset & ~3u));
  return inl(PCI_DATA) >> (offset % 4 * 8);
}

// A structure of the device's registers, by its type; NULL when there is none.
static volatile char *
structure(unsigned function, unsigned type)
{
  for (unsigned at = pci_read(function, PCI_CAPABILITIES) & 0xff; at; at = pci_read(function, at + 1) & 0xff) {
    if ((pci_read(function, at) & 0xff) != VENDOR_SPECIFIC || (pci_read(function, at + 3) & 0xff) != type)
      continue;
    uint32_t bar = pci_read(function, PCI_BARS + 4 * (pci_read(function, at + 4) & 0xff)) & ~15u;
    return (volatile char *)direct(bar + pci_read(function, at + 8));
  }
  return 0;
}

static void
write16(unsigned at, uint16_t value)
{
  *(volatile uint16_t *)(common + at) = value;
}

static void
write32(unsigned at, uint32_t value)
{
  *(volatile uint32_t *)(common + at) = value;
}

static void
write_address(unsigned at, const void *pointer)
{
  write32(at, (uint32_t)physical(pointer));
  write32(at + 4, 0);
}

static int
find(void)
{
  for (unsigned function = 0; function < PCI_FUNCTIONS; function++) {
    uint32_t identity = pci_read(function, 0);
    if ((identity & 0xffff) == VIRTIO_VENDOR &&
        (identity >> 16 == TRANSITIONAL_BLOCK || identity >> 16 == MODERN_BLOCK))
      return (int)function;
  }
  return -1;
}

bool
virtio_init(void)
{
  int function = find();
  if (function < 0)
    return false;
  outl(PCI_ADDRESS, PCI_ENABLE | (unsigned)function << 8 | PCI_COMMAND);
  outw(PCI_DATA, (uint16_t)(inw(PCI_DATA) | COMMAND_MEMORY_MASTER));
  common = structure((unsigned)function, 1);
  notify = structure((unsigned)function, 2);
  if (!common || !notify)
    return false;
  common[STATUS] = 0;
  common[STATUS] = 3;
  write32(DEVICE_FEATURE_SELECT, 1);
  uint32_t offered = *(volatile uint32_t *)(common + DEVICE_FEATURES);
  write32(FEATURE_SELECT, 0);
  write32(FEATURES, 0);
  write32(FEATURE_SELECT, 1);
  write32(FEATURES, offered & FEATURES_HIGH);
  common[STATUS] = STATUS_FEATURES_OK;
  write16(QUEUE_SELECT, 0);
  write16(QUEUE_SIZE, QUEUE);
  write_address(QUEUE_DESCRIPTORS, descriptors);
  write_address(QUEUE_AVAILABLE, &available);
  write_address(QUEUE_USED, &used);
  write16(QUEUE_ENABLE, 1);
  common[STATUS] = STATUS_READY;
  return true;
}

static void
describe(unsigned index, uint64_t address, uint32_t length, uint16_t flags)
{
  descriptors[index].address = address;
  descriptors[index].length = length;
  descriptors[index].flags = flags;
  descriptors[index].next = (uint16_t)(index + 1);
}

// One request at a time. False: the device refused it.
bool
virtio_transfer(bool write, uint64_t sector, uint64_t at, uint32_t bytes)
{
  header.type = write;
  header.sector = sector;
  result = 0xff;
  describe(0, physical(&header), sizeof(header), NEXT);
  describe(1, at, bytes, write ? NEXT : NEXT | WRITE);
  describe(2, physical((const void *)&result), 1, WRITE);
  available.ring[available.index % QUEUE] = 0;
  __asm__ volatile("mfence" : : : "memory");
  available.index++;
  *(volatile uint16_t *)notify = 0;
  for (unsigned i = 0; i < PATIENCE && used.index != available.index; i++)
    __asm__ volatile("pause");
  return result == 0;
}
