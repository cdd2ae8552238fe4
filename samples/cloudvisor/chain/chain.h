#pragma once
#include <boot_info.h>

// Called on the boot processor before anything is launched.
void chain_prepare(void);

// image.c: boots an ELF image by PVH, or without that note at its 64-bit entry point. Never returns.
void chain_boot(struct module *file) __attribute__((noreturn));

// enter.S: flat 32-bit protected mode without paging, EBX as given; and 64-bit mode as it is.
void enter_pvh(uint32_t entry, uint32_t start_info) __attribute__((noreturn));
void enter_long(uint64_t entry) __attribute__((noreturn));
