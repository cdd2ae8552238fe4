#pragma once
#include <stdbool.h>
#include <stdint.h>

#define DISK_SECTOR 512
#define DISK_SWAP_SECTOR 8 // a page's worth of sectors that the VMM keeps for its pager
#define DISK_SPY_SECTOR 16 // and for its adversary

bool disk_init(void);
bool disk_present(void);
bool disk_read_page(uint32_t sector, uint64_t page);
bool disk_write_page(uint32_t sector, uint64_t page);
