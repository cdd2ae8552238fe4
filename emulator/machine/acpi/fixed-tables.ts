import { PM1_CONTROL, PM1_EVENT, PM_BASE, PM_TIMER } from '../../devices/acpi-power';
import type { AcpiTableSource } from '../../devices/acpi-table';
import { HPET_BASE, HPET_ID } from '../../devices/hpet';
import { ECAM_BASE } from '../../devices/pci/ecam';
import { SCI_IRQ } from '../board/chipset';
import { StructWriter } from '../boot/struct-writer';

// ACPI specification 6.5, 5.2.9 (FADT), 5.2.10 (FACS), 5.2.12 (MADT); "IA-PC HPET Specification" 1.0a, 3.2.4; PCI Firmware
// Specification 3.2, 4.1.2 (MCFG).
const SYSTEM_IO = 1;
const DESKTOP = 1;
const NOT_SUPPORTED_LATENCY = 0xfff;
const CENTURY_REGISTER = 0x32;
/** Legacy devices on ISA, a keyboard controller, no VGA */
const BOOT_ARCHITECTURE = 0x0007;
/** WBINVD works, C1 on all processors, no power and sleep buttons as fixed hardware, RTC does not wake, reset register */
const FADT_FLAGS = 0x001 | 0x004 | 0x010 | 0x020 | 0x040 | 0x400;
const RESET_REGISTER = 0xcf9;
const RESET_VALUE = 0x06;

/** Generic address structure (5.2.3.2) */
function portAddress(out: StructWriter, port: number, bits: number): void {
  const access = bits === 0 ? 0 : Math.log2(bits / 8) + 1;
  out.u8(bits === 0 ? 0 : SYSTEM_IO, bits, 0, access).u64(bits === 0 ? 0 : port);
}

/** Fixed hardware, where FACS and DSDT lie */
export function fadt(facs: number, dsdt: number): Uint8Array {
  const out = new StructWriter();
  out.u32(facs, dsdt).u8(0, DESKTOP).u16(SCI_IRQ);
  out.u32(0).u8(0, 0, 0, 0); // no SMI command: the hardware is in ACPI mode always
  out.u32(PM_BASE + PM1_EVENT, 0, PM_BASE + PM1_CONTROL, 0, 0, PM_BASE + PM_TIMER, 0, 0);
  out.u8(4, 2, 0, 4, 0, 0, 0, 0);
  out.u16(NOT_SUPPORTED_LATENCY, NOT_SUPPORTED_LATENCY, 0, 0);
  out.u8(0, 0, 0, 0, CENTURY_REGISTER).u16(BOOT_ARCHITECTURE).u8(0).u32(FADT_FLAGS);
  portAddress(out, RESET_REGISTER, 8);
  out.u8(RESET_VALUE, 0, 0, 0);
  out.u64(0, dsdt); // FACS is given by its 32-bit field
  for (const [port, bits] of [
    [PM_BASE + PM1_EVENT, 32],
    [0, 0],
    [PM_BASE + PM1_CONTROL, 16],
    [0, 0],
    [0, 0],
    [PM_BASE + PM_TIMER, 32],
    [0, 0],
    [0, 0],
  ] as const) {
    portAddress(out, port, bits);
  }
  return out.finish();
}

/** Not a table with a header and checksum: a structure that firmware and system share */
export function facs(): Uint8Array {
  const out = new StructWriter().raw(new TextEncoder().encode('FACS')).u32(64);
  while (out.length < 32) out.u8(0);
  out.u8(1);
  while (out.length < 64) out.u8(0);
  return out.finish();
}

const LOCAL_APIC_ADDRESS = 0xfee00000;
const IO_APIC_ADDRESS = 0xfec00000;
export const IO_APIC_ID = 0;
const PC_COMPATIBLE = 1;
const ENABLED = 1;
/** Entry types */
const LOCAL_APIC = 0;
const IO_APIC = 1;
const OVERRIDE = 2;
const LOCAL_NMI = 4;
const LOCAL_X2APIC = 9;
const LOCAL_X2APIC_NMI = 10;
/** xAPIC IDs end before the broadcast ID. */
const X2APIC_FROM = 255;
const ALL_PROCESSORS = 0xff;
/** Flags of an override: as the bus has it; active high and level-triggered */
const AS_ISA = 0;
const HIGH_LEVEL = 0x000d;
/** [IRQ, input of the I/O APIC, flags]: the timer on input 2, the level-triggered ones */
const OVERRIDES = [
  [0, 2, AS_ISA],
  [SCI_IRQ, SCI_IRQ, HIGH_LEVEL],
  [10, 10, HIGH_LEVEL],
  [11, 11, HIGH_LEVEL],
] as const;

export const madt = (processors: number): AcpiTableSource => ({
  signature: 'APIC',
  revision: 4,
  body: () => {
    const out = new StructWriter().u32(LOCAL_APIC_ADDRESS, PC_COMPATIBLE);
    for (let id = 0; id < processors; id++) {
      if (id < X2APIC_FROM) out.u8(LOCAL_APIC, 8, id, id).u32(ENABLED);
      else out.u8(LOCAL_X2APIC, 16).u16(0).u32(id, ENABLED, id);
    }
    out.u8(IO_APIC, 12, IO_APIC_ID, 0).u32(IO_APIC_ADDRESS, 0);
    for (const [irq, pin, flags] of OVERRIDES) out.u8(OVERRIDE, 10, 0, irq).u32(pin).u16(flags);
    out.u8(LOCAL_NMI, 6, ALL_PROCESSORS).u16(0).u8(1);
    if (processors > X2APIC_FROM) out.u8(LOCAL_X2APIC_NMI, 12).u16(0).u32(0xffffffff).u8(1, 0, 0, 0);
    return out.finish();
  },
});

export const hpetTable = (): AcpiTableSource => ({
  signature: 'HPET',
  revision: 1,
  // Number 0; periodic timers lose no tick down to 128 ticks; no protection beyond the 1 KiB of its registers.
  body: () => new StructWriter().u32(HPET_ID).u8(0, 64, 0, 0).u64(HPET_BASE).u8(0).u16(128).u8(0).finish(),
});

/** Configuration space in memory: segment 0, bus 0 only */
export const mcfg = (): AcpiTableSource => ({
  signature: 'MCFG',
  revision: 1,
  body: () => new StructWriter().u64(0).u64(ECAM_BASE).u16(0).u8(0, 0).u32(0).finish(),
});
