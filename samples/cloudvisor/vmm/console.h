#pragma once
#include <stdint.h>

void console_guest_line(const char *line);
void machine_exit(uint32_t status) __attribute__((noreturn));
void panic(const char *why) __attribute__((noreturn));
