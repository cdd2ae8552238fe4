#pragma once
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long uint64_t;
typedef signed int int32_t;
typedef signed long int64_t;
typedef unsigned long uintptr_t;
