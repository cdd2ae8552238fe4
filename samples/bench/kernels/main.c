// Runs every kernel once and reports on the serial port, one line each: "begin NAME" and "end NAME CHECKSUM". Who measures
// takes the time between the two. Words of the command line: "repeat=N" (how often each kernel does its work, 1 without),
// "ept" (run as the guest of a minimal hypervisor, in VMX non-root operation under EPT), names of kernels (all without).
#include "kernels.h"
#include "vmx.h"

#define COM1 0x3f8
#define EXIT_PORT 0xf4
#define PVH_MAGIC 0x336ec578
#define MULTIBOOT2_MAGIC 0x36d76289
#define TAG_COMMAND_LINE 1

static const struct kernel {
  const char *name;
  uint64_t (*run)(unsigned repeat);
  unsigned weight; // makes one repetition of each kernel about equally long
} kernels[] = {
  { "alu", alu_loop, 1 },        { "copy", copy, 8 },           { "recursion", recursion, 4 },
  { "sha256", sha256, 4 },       { "quicksort", quicksort, 2 }, { "bytecode", byte_code, 1 },
  { "matrix", matrix, 1 },       { "vmexit", vm_exits, 1 },
};
#define VM_EXITS (sizeof kernels / sizeof *kernels - 1) // needs to be a guest

static void
out8(uint16_t port, uint8_t value)
{
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t
in8(uint16_t port)
{
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static void
print(const char *text)
{
  for (; *text; text++) {
    while (!(in8(COM1 + 5) & 0x20)) {
    }
    out8(COM1, (uint8_t)*text);
  }
}

static void
print_hex(uint64_t value)
{
  char text[17];
  for (int i = 15; i >= 0; i--, value >>= 4)
    text[i] = "0123456789abcdef"[value & 15];
  text[16] = 0;
  print(text);
}

struct tag {
  uint32_t type, size;
};

static const char *
command_line(uint32_t magic, uint32_t information)
{
  if (magic == MULTIBOOT2_MAGIC) {
    const struct tag *tag = (const void *)(uintptr_t)(information + 8);
    for (; tag->type; tag = (const void *)((uintptr_t)tag + ((tag->size + 7) & ~7u)))
      if (tag->type == TAG_COMMAND_LINE)
        return (const char *)(tag + 1);
    return "";
  }
  const uint32_t *start = (const void *)(uintptr_t)information;
  return start[0] == PVH_MAGIC && start[6] ? (const char *)(uintptr_t)start[6] : "";
}

// The word of `line` that begins with `word` and then has `after` or, for after = 0, ends; what follows it, or 0.
static const char *
find_word(const char *line, const char *word, char after)
{
  while (*line) {
    const char *p = line, *q = word;
    while (*q && *p == *q)
      p++, q++;
    if (!*q && (after ? *p == after : *p == 0 || *p == ' '))
      return after ? p + 1 : p;
    while (*line && *line != ' ')
      line++;
    while (*line == ' ')
      line++;
  }
  return 0;
}

static unsigned
number(const char *text)
{
  unsigned value = 0;
  for (; *text >= '0' && *text <= '9'; text++)
    value = value * 10 + (unsigned)(*text - '0');
  return value;
}

void
main(uint32_t magic, uint32_t information)
{
  const char *line = command_line(magic, information);
  const char *given = find_word(line, "repeat", '=');
  unsigned repeat = given ? number(given) : 1, named = 0;
  out8(COM1 + 3, 3);
  int guest = find_word(line, "ept", 0) && vmx_become_guest();
  if (find_word(line, "ept", 0) && !guest)
    print("no VT-x with EPT here\n");
  for (unsigned i = 0; i < sizeof kernels / sizeof *kernels; i++)
    named += find_word(line, kernels[i].name, 0) != 0;
  for (unsigned i = 0; i < sizeof kernels / sizeof *kernels; i++) {
    const struct kernel *kernel = &kernels[i];
    if ((named && !find_word(line, kernel->name, 0)) || (i == VM_EXITS && !guest))
      continue;
    print("begin "), print(kernel->name), print("\n");
    uint64_t checksum = kernel->run(repeat * kernel->weight);
    print("end "), print(kernel->name), print(" "), print_hex(checksum), print("\n");
  }
  print("done\n");
  __asm__ volatile("outl %0, %1" : : "a"(0), "Nd"((uint16_t)EXIT_PORT));
}
