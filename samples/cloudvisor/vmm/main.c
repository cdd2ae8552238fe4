// The VMM: a small commodity hypervisor. It boots first and owns the machine.
#include "boot_info.h"
#include "console.h"

#include <print.h>

void
vmm_main(uint32_t magic, uint32_t information)
{
  console_init();
  boot_info_read(magic, information);
  print("%lu MiB of RAM, %u modules\n", boot_info.memory_end >> 20, boot_info.module_count);
  for (unsigned i = 0; i < boot_info.module_count; i++)
    print("module %s at %lx\n", boot_info.modules[i].name, boot_info.modules[i].start);
  machine_exit(0);
}
