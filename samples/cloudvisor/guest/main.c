// The guest: a small kernel that holds a secret and computes on it. It knows nothing of what runs beneath it.
#include "secret.h"

#include <hypercall.h>
#include <idt.h>
#include <print.h>
#include <serial.h>
#include <stdbool.h>
#include <string.h>
#include <x86.h>

#define CODE_SELECTOR 0x08
#include "rounds.h"
#define GUEST_BASE 0xffffffffc0000000

extern void timer_entry(void);

volatile uint64_t timer_ticks;
static struct gate idt[GUEST_TIMER_VECTOR + 1];
static char spare_page[PAGE_SIZE] __attribute__((aligned(4096)));

void
console_put(char c)
{
  serial_put(c);
}

static uint64_t
hypercall(enum hypercall number, uint64_t argument)
{
  uint64_t result;
  __asm__ volatile("vmcall" : "=a"(result) : "a"((uint64_t)number), "b"(argument) : "memory");
  return result;
}

static void
interrupts_init(void)
{
  idt[GUEST_TIMER_VECTOR] = interrupt_gate(CODE_SELECTOR, (uint64_t)timer_entry);
  load_idt(idt, sizeof(idt));
  __asm__ volatile("sti");
}

static void
report_processor(void)
{
  char vendor[13] = { 0 };
  struct cpuid_result r = cpuid(0, 0);
  memcpy(vendor, &r.ebx, 4);
  memcpy(vendor + 4, &r.edx, 4);
  memcpy(vendor + 8, &r.ecx, 4);
  print("guest kernel on %s\n", vendor);
}

static void
wait_for_tick(void)
{
  uint64_t before = timer_ticks;
  while (timer_ticks == before)
    __asm__ volatile("hlt");
}

void
guest_main(void)
{
  bool intact = true;
  report_processor();
  interrupts_init();

  secret_create();
  uint64_t digest = secret_digest();
  print("secret ready: %lx\n", digest);

  memset(spare_page, 0xaa, PAGE_SIZE);
  hypercall(HYPERCALL_BALLOON, (uint64_t)spare_page - GUEST_BASE);

  for (unsigned round = 1; round <= ROUNDS; round++) {
    wait_for_tick();
    hypercall(HYPERCALL_YIELD, 0);
    if (secret_digest() != digest) {
      print("round %u: the secret has changed\n", round);
      intact = false;
    }
    secret_stir();
    digest = secret_digest();
    print("round %u: secret stirred: %lx\n", round, digest);
  }

  print("secret %s: %lx\n", intact ? "intact" : "damaged", digest);
  hypercall(HYPERCALL_FINISH, intact ? VERDICT_INTACT : VERDICT_DAMAGED);
}
