// A boot loader that puts the monitor beneath any hypervisor: it launches the monitor, and then boots the module
// "hypervisor" by the protocol of its image, as if nothing lay below. The hypervisor needs to know of nothing.
#include "chain.h"

#include <boot_info.h>
#include <console.h>
#include <launch_monitor.h>
#include <memory.h>
#include <traps.h>

#include <print.h>
#include <serial.h>
#include <string.h>

static struct module hypervisor;

// What the next loader is not to be told of: the monitor's file and the hypervisor's own.
static void
drop_module(const char *name)
{
  unsigned kept = 0;
  for (unsigned i = 0; i < boot_info.module_count; i++)
    if (!string_equal(boot_info.modules[i].name, name))
      boot_info.modules[kept++] = boot_info.modules[i];
  boot_info.module_count = kept;
}

// For a loader that leaves something behind (load/).
void __attribute__((weak))
chain_prepare(void)
{
}

// Called by the boot code that the VMM has too, on the boot stack, interrupts off.
void
vmm_main(uint32_t magic, uint32_t information)
{
  serial_init();
  boot_info_read(magic, information);
  memory_init();
  traps_init(); // for the task register, which VT-x wants
  if (!find_module("monitor") || !find_module("hypervisor"))
    panic("chain: needs the modules \"monitor\" and \"hypervisor\"");
  chain_prepare();
  launch_monitor();
  hypervisor = *find_module("hypervisor");
  drop_module("monitor");
  drop_module("hypervisor");
  print("the monitor is beneath, now the hypervisor: %lu KiB\n", (hypervisor.end - hypervisor.start) >> 10);
  chain_boot(&hypervisor);
}
