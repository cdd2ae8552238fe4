#pragma once
// What the processors that run no hypervisor do meanwhile.
#define LOAD_TRAMPOLINE 0x8000 // where real mode begins
#define LOAD_STACK_SHIFT 13
#define LOAD_MOST 8 // processors

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

extern const char load_trampoline[], load_trampoline_end[], load_cr3_word[];
extern char load_stacks[LOAD_MOST << LOAD_STACK_SHIFT];

void load_processor(unsigned number) __attribute__((noreturn));

// virtio.c
bool virtio_init(void);
bool virtio_transfer(bool write, uint64_t sector, uint64_t physical, uint32_t bytes);
#endif
