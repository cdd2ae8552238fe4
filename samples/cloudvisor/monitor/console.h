#pragma once
#include <stdint.h>

void panic(const char *why) __attribute__((noreturn));
void exceptions_init(void);
