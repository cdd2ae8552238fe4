// The VMM: a small commodity hypervisor. It boots first, owns the machine, and runs one guest by VT-x.
#include "boot_info.h"
#include "console.h"
#include "disk.h"
#include "launch_monitor.h"
#include "memory.h"
#include "traps.h"
#include "vm.h"

#include <print.h>
#include <serial.h>

static struct vm vm;

static void
run_guest(void)
{
  const struct module *guest = find_module("guest");
  if (!guest) {
    print("no module \"guest\": nothing to run\n");
    return;
  }
  vmx_enable();
  vm_create(&vm, guest);
  vm_run(&vm);
  print("guest finished after %u exits: secret %s\n", vm.exits, vm.verdict == VERDICT_INTACT ? "intact" : "damaged");
  vmx_disable(); // its memory is the VMM's again
  adversary_look_at_leftovers(&vm);
  if (!adversary_consistent(&vm))
    panic("the guest's verdict does not fit what was seen");
}

// Called by boot.S, on the boot stack, interrupts off.
void
vmm_main(uint32_t magic, uint32_t information)
{
  serial_init();
  boot_info_read(magic, information);
  print("%lu MiB of RAM, %u modules\n", boot_info.memory_end >> 20, boot_info.module_count);
  memory_init();
  traps_init();
  launch_monitor();
  disk_init();
  timer_start();
  run_guest();
  machine_exit(0);
}
