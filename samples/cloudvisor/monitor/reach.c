// How far the VMM's side reaches into a page: its instructions by EPT-x, its devices by the IOMMU.
#include "reach.h"

#include "eptx.h"
#include "iommu.h"

#include <vmx.h>

// `rights`: EPT_READ, EPT_WRITE, EPT_EXECUTE or nothing. Devices get all or nothing. In force when this returns.
void
reach_set(uint64_t hpa, uint64_t rights)
{
  eptx_set(hpa, rights);
  iommu_set(hpa, rights == EPT_ALL);
}
