#pragma once
#include <stdbool.h>

bool selftest(void);
