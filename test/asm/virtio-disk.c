/* node scripts/asm-test.mjs virtio-disk          disk: virtio */
#include "virtio.h"

static struct descriptor indirect[4] __attribute__((aligned(4096)));

static void show_interrupt(void) {
  u8 line = config_read8(function, 0x3c);
  show("irq", irq_requested(line), 1);
  show("pending", (config_read(function, 4) >> 19) & 1, 1);
  show("isr", read8(isr), 2);
  show("pending", (config_read(function, 4) >> 19) & 1, 1);
  print("\n");
}

static void broken(const char *what) {
  print_case(what);
  await();
  show("status", status(), 2);
  show("isr", read8(isr) & 2, 2);
  negotiate(1 << 28, 1);
  show("status", status(), 2);
  start_queue();
}

void test(void) {
  find_virtio();
  print_case("identity");
  show("vendor", config_read(function, 0), 8);
  show("subsystem", config_read(function, 0x2c) >> 16, 4);
  show("class", config_read(function, 8) >> 8, 6);
  show("pin", config_read8(function, 0x3d), 1);
  show("capabilities", (config_read(function, 4) >> 20) & 1, 1);

  print_case("configuration");
  show("capacity", read32(device), 8);
  show("block", read32(device + 20), 8);
  show("queues", read16(common + 0x12), 4);
  write16(common + 0x16, 0);
  show("size", read16(common + 0x18), 4);
  write16(common + 0x16, 77);
  show("none", read16(common + 0x18), 4);
  write16(common + 0x16, 0);

  print_case("features");
  write32(common, 0);
  show("low", read32(common + 4) & 0x30000240, 8);
  write32(common, 1);
  show("high", read32(common + 4) & 1, 8);
  negotiate(0, 0);
  show("without-version-1", status(), 2);
  negotiate(1 << 28, 1);
  show("accepted", status(), 2);
  write16(common + 0x10, 9);
  show("vector", read16(common + 0x10), 4);

  print_case("read, with INTx");
  start_queue();
  request(0, 5, (u64)data, 1024, F_WRITE);
  show_used();
  show_interrupt();
  show("sum", sum(data, 1024), 8);

  print_case("read, no interrupt wanted");
  available.flags = 1;
  request(0, 7, (u64)data, 512, F_WRITE);
  show_used();
  show_interrupt();
  available.flags = 0;

  print_case("write, read back");
  for (int i = 0; i < 1024; i++) data[i] = (u8)(i * 5 + 2);
  request(1, 30, (u64)data, 1024, 0);
  show_used();
  memset(data, 0, sizeof data);
  request(0, 30, (u64)data, 1024, F_WRITE);
  show_used();
  show("sum", sum(data, 1024), 8);
  read8(isr);

  print_case("flush");
  header.type = 4;
  header.sector = 0;
  result = 0xee;
  describe(&descriptors[0], (u64)&header, 16, F_NEXT, 1);
  describe(&descriptors[1], (u64)&result, 1, F_WRITE, 0);
  kick(0);
  await();
  show_used();

  print_case("a type that there is not");
  request(77, 0, (u64)data, 512, F_WRITE);
  show("result", result, 2);

  print_case("beyond the end");
  request(0, 64, (u64)data, 512, F_WRITE);
  show("result", result, 2);
  request(0, 63, (u64)data, 1024, F_WRITE);
  show("result", result, 2);

  print_case("indirect descriptors");
  memset(data, 0, sizeof data);
  header.type = 0;
  header.sector = 9;
  result = 0xee;
  describe(&indirect[0], (u64)&header, 16, F_NEXT, 1);
  describe(&indirect[1], (u64)data, 512, F_NEXT | F_WRITE, 2);
  describe(&indirect[2], (u64)data + 4096, 512, F_NEXT | F_WRITE, 3);
  describe(&indirect[3], (u64)&result, 1, F_WRITE, 0);
  describe(&descriptors[4], (u64)indirect, sizeof indirect, F_INDIRECT, 0);
  kick(4);
  await();
  show_used();
  show("sum", sum(data, 512), 8);
  show("sum", sum(data + 4096, 512), 8);
  read8(isr);

  describe(&descriptors[0], (u64)&header, 16, 0, 0);
  kick(0);
  broken("a request without room for its status");
  kick(QUEUE + 3);
  broken("a head beyond the table");
  describe(&descriptors[0], (u64)&header, 8, F_NEXT, 1);
  describe(&descriptors[1], (u64)&result, 1, F_WRITE, 0);
  kick(0);
  broken("a short header");
  describe(&descriptors[0], (u64)indirect, 24, F_INDIRECT, 0);
  kick(0);
  broken("an indirect table of an odd length");
  describe(&descriptors[0], (u64)&header, 16, F_NEXT, 0);
  kick(0);
  broken("a circle");

  print_case("works again after the reset");
  request(0, 11, (u64)data, 512, F_WRITE);
  show_used();
  show("sum", sum(data, 512), 8);
}
