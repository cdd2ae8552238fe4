// The security monitor: launched late by the VMM, which it then runs in VMX non-root operation. From here on it acts
// only at VM exits.
#include "captured.h"
#include "console.h"
#include "eptx.h"
#include "iommu.h"
#include "layout.h"
#include "pages.h"
#include "random.h"
#include "selftest.h"
#include "vmm.h"

#include <print.h>

#define NO_VMX 1
#define SELFTEST_FAILED 2

// Called by boot.S on the monitor's stack, interrupts off. Returns only a status that tells why nothing was launched.
int
monitor_main(void)
{
  exceptions_init();
  if (!selftest()) {
    print("self-test of the cryptography failed\n");
    return SELFTEST_FAILED;
  }
  random_init();
  if (!vmx_begin()) {
    print("this processor lacks what the monitor needs of VT-x\n");
    return NO_VMX;
  }
  pages_init();
  eptx_init();
  iommu_init();
  vmm_vmcs_create();
  print("launched: %lu KiB at %lx are the monitor's, the VMM is in non-root operation\n",
        (launch.monitor_end - launch.monitor_start) >> 10, launch.monitor_start);
  vmm_run();
}
