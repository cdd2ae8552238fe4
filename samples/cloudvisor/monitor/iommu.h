#pragma once
#include <stdbool.h>
#include <stdint.h>

void iommu_init(void);
void iommu_set(uint64_t hpa, bool reachable);
bool iommu_owns(uint64_t hpa);
void iommu_report_faults(void);
