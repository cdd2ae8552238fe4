#pragma once
void launch_monitor(void);
