// Load for the machine while a hypervisor runs on its first processor: the others take timer interrupts, call each other,
// move data by DMA and copy memory, for ever. They live in the loader's memory, of which the hypervisor is not told.
#include "load.h"

#include <chain.h>
#include <idt.h>
#include <layout.h>
#include <print.h>
#include <string.h>
#include <x86.h>

#define VECTORS 0x50
#define TIMER 0x40
#define CALL 0x41
#define PERIOD 30000
#define SECTORS 8
#define SECTOR 512
#define DISK_SECTORS 64
#define BUFFER 65536
#define QUIET 20 // copies between two sleeps

#define APIC 0xfee00000
#define APIC_END_OF_INTERRUPT 0x0b0
#define APIC_SPURIOUS 0x0f0
#define APIC_COMMAND 0x300
#define APIC_DESTINATION 0x310
#define APIC_TIMER 0x320
#define APIC_INITIAL_COUNT 0x380
#define APIC_DIVIDE 0x3e0
#define TIMER_PERIODIC 0x20000
#define DIVIDE_BY_1 0xb
#define COMMAND_INIT 0xc4500 // to all others
#define COMMAND_START 0xc4600
#define WAIT 2000000 // polls for a processor to come

char load_stacks[LOAD_MOST << LOAD_STACK_SHIFT] __attribute__((aligned(16)));
static struct gate idt[VECTORS];
static volatile uint32_t present;
static bool disk;
static volatile uint64_t ticks, calls, transfers, copies;
static uint8_t buffers[LOAD_MOST][2][BUFFER] __attribute__((aligned(4096)));

struct interrupt_frame;

static void
apic_write(unsigned offset, uint32_t value)
{
  *(volatile uint32_t *)direct(APIC + offset) = value;
}

static __attribute__((interrupt)) void
on_timer(struct interrupt_frame *frame)
{
  (void)frame;
  __atomic_add_fetch(&ticks, 1, __ATOMIC_SEQ_CST);
  apic_write(APIC_END_OF_INTERRUPT, 0);
}

static __attribute__((interrupt)) void
on_call(struct interrupt_frame *frame)
{
  (void)frame;
  __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  apic_write(APIC_END_OF_INTERRUPT, 0);
}

static void
call(unsigned processor)
{
  apic_write(APIC_DESTINATION, processor << 24);
  apic_write(APIC_COMMAND, CALL);
}

static uint64_t
digest(const uint8_t *bytes, unsigned count)
{
  uint64_t value = 0;
  for (unsigned i = 0; i < count; i++)
    value = value * 31 + bytes[i];
  return value;
}

static void
copy(void *to, const void *from, uint64_t count)
{
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

// Writes what it has computed to the disk and reads it back.
static void
move_data(uint8_t *bytes, uint64_t round)
{
  uint64_t sector = round * SECTORS % DISK_SECTORS, at = physical(bytes);
  bytes[round % (SECTORS * SECTOR)] += (uint8_t)digest(bytes, SECTORS * SECTOR);
  if (virtio_transfer(true, sector, at, SECTORS * SECTOR) && virtio_transfer(false, sector, at, SECTORS * SECTOR))
    transfers++;
}

// Called by the trampoline, on a stack of its own.
void
load_processor(unsigned number)
{
  load_idt(idt, sizeof(idt));
  apic_write(APIC_SPURIOUS, 0x1ff);
  apic_write(APIC_DIVIDE, DIVIDE_BY_1);
  apic_write(APIC_TIMER, TIMER_PERIODIC | TIMER);
  apic_write(APIC_INITIAL_COUNT, PERIOD + 1000 * number);
  __atomic_add_fetch(&present, 1, __ATOMIC_SEQ_CST);
  uint8_t *one = buffers[number][0], *other = buffers[number][1];
  __asm__ volatile("sti");
  for (uint64_t round = 0;; round++) {
    if (number == 1 && disk)
      move_data(one, round);
    one[round % BUFFER] ^= (uint8_t)digest(other, 1000);
    copy(other, one, BUFFER / 4 + round % BUFFER / 2);
    __atomic_add_fetch(&copies, 1, __ATOMIC_SEQ_CST);
    call(number < present ? number + 1 : 1);
    if (round % QUIET == 0)
      __asm__ volatile("hlt");
  }
}

static void
start_others(void)
{
  uint32_t cr3 = (uint32_t)read_cr3();
  char *page = direct(LOAD_TRAMPOLINE);
  memcpy(page, load_trampoline, (uint64_t)(load_trampoline_end - load_trampoline));
  memcpy(page + (load_cr3_word - load_trampoline), &cr3, sizeof(cr3));
  apic_write(APIC_COMMAND, COMMAND_INIT);
  apic_write(APIC_COMMAND, COMMAND_START | LOAD_TRAMPOLINE >> 12);
  for (unsigned i = 0; i < WAIT && !present; i++)
    __asm__ volatile("pause");
}

// Before the hypervisor: the processors stay when the loader has gone.
void
chain_prepare(void)
{
  idt[TIMER] = interrupt_gate(CODE_SELECTOR, (uint64_t)on_timer);
  idt[CALL] = interrupt_gate(CODE_SELECTOR, (uint64_t)on_call);
  disk = virtio_init();
  start_others();
  print("load: %u processors, %s\n", present, disk ? "and a disk" : "no disk");
}
