// The VMM's disk: the first one at the IDE controller, by bus-master DMA (ATA-6; "Programming Interface for Bus Master
// IDE Controller"). One page a transfer, between the disk and memory: no instruction of the VMM touches the data.
#include "disk.h"

#include "layout.h"

#include <print.h>
#include <string.h>
#include <x86.h>

// PCI configuration, mechanism 1
#define PCI_ADDRESS 0xcf8
#define PCI_DATA 0xcfc
#define PCI_ENABLE 0x80000000u
#define PCI_FUNCTIONS 256 // of bus 0
#define PCI_COMMAND 0x04
#define PCI_CLASS 0x08
#define PCI_BAR4 0x20
#define COMMAND_IO 1u
#define COMMAND_MASTER 4u
#define CLASS_IDE 0x0101u
#define IDE_MASTERS_BUS 0x80u // in the programming interface

// The primary channel
#define ATA_COUNT 0x1f2
#define ATA_LBA_LOW 0x1f3
#define ATA_LBA_MIDDLE 0x1f4
#define ATA_LBA_HIGH 0x1f5
#define ATA_DEVICE 0x1f6
#define ATA_COMMAND 0x1f7 // status when read
#define ATA_DATA 0x1f0
#define ATA_CONTROL 0x3f6 // status when read, leaves the interrupt alone
#define STATUS_BUSY 0x80
#define STATUS_DATA 0x08
#define STATUS_ERROR 0x01
#define DEVICE_LBA 0xe0
#define CONTROL_RESET 0x04
#define IDENTIFY 0xec
#define READ_DMA 0xc8
#define WRITE_DMA 0xca
#define IDENTITY_WORDS 256
#define IDENTITY_DMA 49
#define DMA_SUPPORTED 0x100

// Its bus master, from BAR 4 on
#define MASTER_COMMAND 0
#define MASTER_STATUS 2
#define MASTER_TABLE 4
#define MASTER_START 0x01
#define MASTER_TO_MEMORY 0x08
#define MASTER_ERROR 0x02
#define MASTER_INTERRUPT 0x04
#define LAST_REGION 0x80000000u

#define PATIENCE 1000000 // polls until a device counts as absent or broken

static uint16_t master;
static struct {
  uint32_t address, size;
} region __attribute__((aligned(8)));

static uint32_t
pci_read(unsigned function, unsigned offset)
{
  outl(PCI_ADDRESS, PCI_ENABLE | function << 8 | offset);
  return inl(PCI_DATA);
}

static void
pci_write_command(unsigned function, uint16_t value)
{
  outl(PCI_ADDRESS, PCI_ENABLE | function << 8 | PCI_COMMAND);
  outw(PCI_DATA, value);
}

// Ports of the bus master, with mastering allowed; 0 when there is no such controller.
static uint16_t
find_controller(void)
{
  for (unsigned function = 0; function < PCI_FUNCTIONS; function++) {
    uint32_t class = pci_read(function, PCI_CLASS);
    if (class == ~0u || class >> 16 != CLASS_IDE || !(class >> 8 & IDE_MASTERS_BUS))
      continue;
    uint16_t ports = (uint16_t)(pci_read(function, PCI_BAR4) & ~3u);
    if (ports)
      pci_write_command(function, (uint16_t)(pci_read(function, PCI_COMMAND) | COMMAND_IO | COMMAND_MASTER));
    return ports;
  }
  return 0;
}

// Waits until the drive is not busy. False: it stays busy.
static bool
settle(void)
{
  for (unsigned i = 0; i < PATIENCE; i++)
    if (!(inb(ATA_CONTROL) & STATUS_BUSY))
      return true;
  return false;
}

static void
reset(void)
{
  outb(ATA_CONTROL, CONTROL_RESET);
  outb(ATA_CONTROL, 0);
  settle();
}

static void
start(uint8_t command, uint32_t sector, uint8_t count)
{
  outb(ATA_DEVICE, (uint8_t)(DEVICE_LBA | (sector >> 24 & 15)));
  outb(ATA_COUNT, count);
  outb(ATA_LBA_LOW, (uint8_t)sector);
  outb(ATA_LBA_MIDDLE, (uint8_t)(sector >> 8));
  outb(ATA_LBA_HIGH, (uint8_t)(sector >> 16));
  outb(ATA_COMMAND, command);
}

// Whether a disk answers that can do DMA. A CD-ROM refuses this command.
static bool
identify(void)
{
  uint16_t identity[IDENTITY_WORDS];
  outb(ATA_DEVICE, DEVICE_LBA);
  uint8_t status = inb(ATA_COMMAND);
  if (status == 0 || status == 0xff || !settle())
    return false;
  start(IDENTIFY, 0, 0);
  if (!settle() || !(inb(ATA_COMMAND) & STATUS_DATA))
    return false;
  for (unsigned i = 0; i < IDENTITY_WORDS; i++)
    identity[i] = inw(ATA_DATA);
  return identity[IDENTITY_DMA] & DMA_SUPPORTED;
}

// False: no disk. Then nothing here may be used but disk_present.
bool
disk_init(void)
{
  uint16_t ports = find_controller();
  master = ports && identify() ? ports : 0;
  if (master)
    print("disk at the IDE controller, bus master at port %x\n", master);
  return master;
}

bool
disk_present(void)
{
  return master;
}

// One page, to memory or from it. False: the disk or the bus master reports an error; nothing is known of the data.
static bool
transfer(uint32_t sector, uint64_t page, bool to_memory)
{
  uint8_t direction = to_memory ? MASTER_TO_MEMORY : 0, status = 0;
  region.address = (uint32_t)page;
  region.size = PAGE_SIZE | LAST_REGION;
  outb(master + MASTER_COMMAND, direction);
  outb(master + MASTER_STATUS, MASTER_ERROR | MASTER_INTERRUPT); // written as 1 they are cleared
  outl(master + MASTER_TABLE, (uint32_t)physical(&region));
  start(to_memory ? READ_DMA : WRITE_DMA, sector, PAGE_SIZE / DISK_SECTOR);
  outb(master + MASTER_COMMAND, direction | MASTER_START);
  for (unsigned i = 0; i < PATIENCE && !(status & (MASTER_INTERRUPT | MASTER_ERROR)); i++)
    status = inb(master + MASTER_STATUS);
  outb(master + MASTER_COMMAND, 0);
  bool done = (status & (MASTER_INTERRUPT | MASTER_ERROR)) == MASTER_INTERRUPT && settle() &&
              !(inb(ATA_COMMAND) & STATUS_ERROR);
  if (!done)
    reset();
  return done;
}

bool
disk_read_page(uint32_t sector, uint64_t page)
{
  return transfer(sector, page, true);
}

bool
disk_write_page(uint32_t sector, uint64_t page)
{
  return transfer(sector, page, false);
}
