/**
 * The nominal rate of the virtual clock: one tick, which is one instruction or one tick of sleep, is a nanosecond.
 * The time-stamp counter and the local APIC's timer count these ticks (CPUID leaf 15H says so), and all clocks of the
 * board (PIT, HPET, RTC, ACPI timer) are derived from them: whichever of them software calibrates by, it finds 1 GHz.
 */
export const CLOCK_HZ = 1_000_000_000;
