#pragma once
// The first serial port of a PC (16550).

void serial_init(void);
void serial_put(char c);
