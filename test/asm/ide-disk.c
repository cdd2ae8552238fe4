/* node scripts/asm-test.mjs ide-disk          disk: ide */
#include "device.h"

#define DATA 0x1f0
#define BSY 0x80
#define DRQ 0x08

static u8 buffer[8192] __attribute__((aligned(4096)));
static u32 prds[16] __attribute__((aligned(4096)));
static u16 bus_master;

static u8 wait(void) {
  u8 status;
  while ((status = inb(0x3f6)) & BSY) {
  }
  return status;
}

static void command(u8 code, u32 lba, u8 count) {
  outb(0x1f6, 0xe0 | ((lba >> 24) & 15));
  outb(0x1f2, count);
  outb(0x1f3, (u8)lba);
  outb(0x1f4, (u8)(lba >> 8));
  outb(0x1f5, (u8)(lba >> 16));
  outb(0x1f7, code);
}

static void command_ext(u8 code, u64 lba, u16 count) {
  outb(0x1f6, 0xe0);
  outb(0x1f2, count >> 8);
  outb(0x1f3, (u8)(lba >> 24));
  outb(0x1f4, (u8)(lba >> 32));
  outb(0x1f5, (u8)(lba >> 40));
  outb(0x1f2, (u8)count);
  outb(0x1f3, (u8)lba);
  outb(0x1f4, (u8)(lba >> 8));
  outb(0x1f5, (u8)(lba >> 16));
  outb(0x1f7, code);
}

static void show_end(void) {
  show("status", wait() & 0xe9, 2);
  show("irq", irq_requested(14), 1);
  show("status", inb(0x1f7) & 0xe9, 2);
  print("\n");
}

static void read_words(u8 *to, int words) {
  for (int i = 0; i < words; i++) {
    u16 word = inw(DATA);
    to[2 * i] = (u8)word;
    to[2 * i + 1] = word >> 8;
  }
}

static void read_blocks(int blocks, int words) {
  for (int i = 0; i < blocks; i++) {
    u8 status = wait();
    show("status", status & 0xe9, 2);
    show("irq", irq_requested(14), 1);
    inb(0x1f7);
    if (!(status & DRQ)) break;
    read_words(buffer, words);
    show("sum", sum(buffer, words * 2), 8);
    print("\n");
  }
  show_end();
}

static void start_dma(int to_memory, int regions) {
  prds[2 * regions - 1] |= 0x80000000;
  outb(bus_master, 0);
  outb(bus_master + 2, 0x66);
  outl(bus_master + 4, (u32)(u64)prds);
  outb(bus_master, to_memory ? 9 : 1);
}

/** Waits for the bus master's interrupt, or until it is no longer active. */
static void show_dma(void) {
  u8 status;
  while ((status = inb(bus_master + 2)), !(status & 4) && (status & 1)) {
  }
  show("bus-master", status & 7, 1);
  outb(bus_master, 0);
  show("stopped", inb(bus_master + 2) & 7, 1);
  outb(bus_master + 2, 0x66);
  show("cleared", inb(bus_master + 2) & 7, 1);
  print("\n");
}

static void reset(void) {
  outb(0x1f6, 0xa0);
  outb(0x3f6, 4);
  outb(0x3f6, 0);
  wait();
}

void test(void) {
  int function = find_function(0x70108086);
  print_case("the controller");
  show("class", config_read(function, 8) >> 8, 6);
  config_write16(function, 4, 5);
  bus_master = config_read(function, 0x20) & ~15;
  config_write(function, 0x20, 0xffffffff);
  show("bar4", config_read(function, 0x20), 8);
  config_write(function, 0x20, bus_master);
  show("command", config_read(function, 4) & 0xffff, 4);
  init_pics();

  print_case("software reset leaves the signature");
  reset();
  show("count", inb(0x1f2), 2);
  show("low", inb(0x1f3), 2);
  show("mid", inb(0x1f4), 2);
  show("high", inb(0x1f5), 2);
  show("error", inb(0x1f1), 2);

  print_case("the second device is not there");
  outb(0x1f6, 0xb0);
  show("status", inb(0x1f7), 2);
  outb(0x1f7, 0xec);
  show("status", inb(0x1f7), 2);
  show("secondary", inb(0x177), 2);
  outb(0x1f6, 0xa0);

  print_case("IDENTIFY DEVICE");
  command(0xec, 0, 0);
  wait();
  show("irq", irq_requested(14), 1);
  inb(0x1f7);
  read_words(buffer, 256);
  u16 *words = (u16 *)buffer;
  show("heads", words[3], 2);
  show("sectors", words[6], 2);
  show("lba-dma", words[49] & 0x300, 4);
  show("lba28", words[60] | words[61] << 16, 8);
  show("lba48", words[100] | words[101] << 16, 8);
  show("flush-48-bit", words[83] & 0x7400, 4);
  show("multiword", words[63] & 7, 1);
  show("ultra", words[88] & 0x3f, 2);
  show_end();

  print_case("READ SECTORS");
  command(0x20, 3, 3);
  read_blocks(3, 256);

  print_case("READ SECTORS EXT");
  command_ext(0x24, 9, 2);
  read_blocks(2, 256);

  print_case("READ SECTORS beyond the end");
  command(0x20, 64, 1);
  read_blocks(1, 256);
  show("error", inb(0x1f1), 2);

  print_case("READ MULTIPLE in blocks of 4");
  command(0xc6, 0, 4);
  show_end();
  command(0xc4, 1, 6);
  show("status", wait() & 0xe9, 2);
  show("irq", irq_requested(14), 1);
  inb(0x1f7);
  read_words(buffer, 1024);
  show("sum", sum(buffer, 2048), 8);
  show("status", wait() & 0xe9, 2);
  show("irq", irq_requested(14), 1);
  inb(0x1f7);
  read_words(buffer, 512);
  show("sum", sum(buffer, 1024), 8);
  show_end();

  print_case("SET MULTIPLE MODE of three");
  command(0xc6, 0, 3);
  show_end();
  show("error", inb(0x1f1), 2);

  print_case("WRITE SECTORS, read back");
  command(0x30, 20, 2);
  for (int sector = 0; sector < 2; sector++) {
    u8 status = wait();
    show("status", status & 0xe9, 2);
    show("irq", irq_requested(14), 1);
    inb(0x1f7);
    for (int i = 0; i < 256; i++) outw(DATA, (u16)(i * 257 + sector));
  }
  show_end();
  command(0x20, 20, 2);
  read_blocks(2, 256);

  print_case("READ DMA into two regions");
  prds[0] = (u32)(u64)buffer;
  prds[1] = 512;
  prds[2] = (u32)(u64)buffer + 4096;
  prds[3] = 1024;
  start_dma(1, 2);
  command(0xc8, 5, 3);
  show_dma();
  show("sum", sum(buffer, 512), 8);
  show("sum", sum(buffer + 4096, 1024), 8);
  show_end();

  print_case("READ DMA EXT, table larger than the transfer");
  prds[0] = (u32)(u64)buffer;
  prds[1] = 2048;
  start_dma(1, 1);
  command_ext(0x25, 40, 2);
  show_dma();
  show("sum", sum(buffer, 1024), 8);
  show_end();

  print_case("WRITE DMA, read back");
  for (int i = 0; i < 1024; i++) buffer[i] = (u8)(i * 3 + 1);
  prds[1] = 1024;
  start_dma(0, 1);
  command(0xca, 30, 2);
  show_dma();
  show_end();
  command(0x20, 30, 2);
  read_blocks(2, 256);

  print_case("READ DMA, table too short");
  prds[1] = 512;
  start_dma(1, 1);
  command(0xc8, 5, 2);
  show_dma();
  show("irq", irq_requested(14), 1);
  reset();

  print_case("READ DMA beyond the end");
  prds[1] = 512;
  start_dma(1, 1);
  command(0xc8, 64, 1);
  show("status", wait() & 0xe9, 2);
  show("error", inb(0x1f1), 2);
  outb(bus_master, 0);
  inb(0x1f7);

  print_case("other commands");
  static const u8 codes[] = {0x00, 0x10, 0x40, 0x42, 0x91, 0xa1, 0xe0, 0xe1, 0xe5, 0xe7, 0xea, 0xef};
  for (unsigned i = 0; i < sizeof codes; i++) {
    outb(0x1f1, 0x02);
    if (codes[i] == 0x42) command_ext(codes[i], 0, 1);
    else command(codes[i], 0, codes[i] == 0x91 ? 63 : 1);
    show("code", codes[i], 2);
    show("status", wait() & 0xe9, 2);
    inb(0x1f7);
    show("error", inb(0x1f1) & 4, 2);
    print("\n");
  }

  print_case("nIEN");
  init_pics();
  outb(0x3f6, 2);
  command(0x20, 3, 1);
  show("status", wait() & 0xe9, 2);
  show("irq", irq_requested(14), 1);
  inb(0x1f7);
  read_words(buffer, 256);
  outb(0x3f6, 0);
}
