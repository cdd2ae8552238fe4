import type { AcpiTableSource } from '../acpi-table';
import { HOST_ADDRESS_BITS, REGISTERS_BASE } from './registers';

const INTERRUPT_REMAPPING = 1;
const HARDWARE_UNIT = 0;
const INCLUDE_ALL = 1;
const SCOPE_IO_APIC = 3;

/** Requester ID of the I/O APIC, which is no PCI function: a bus number that no device has */
export const IO_APIC_REQUESTER = 0xf0f8;

/**
 * The DMAR table (VT-d specification, "DMA Remapping Reporting Structure"): one unit for all devices, and under which
 * requester ID the I/O APIC speaks.
 */
export const dmarTable = (ioApicId: number): AcpiTableSource => ({
  signature: 'DMAR',
  revision: 1,
  body: () => {
    const scope = [
      SCOPE_IO_APIC,
      8,
      0,
      0,
      ioApicId,
      IO_APIC_REQUESTER >>> 8,
      (IO_APIC_REQUESTER >>> 3) & 31,
      IO_APIC_REQUESTER & 7,
    ];
    const length = 16 + scope.length;
    const body = new Uint8Array(12 + length);
    const view = new DataView(body.buffer);
    body[0] = HOST_ADDRESS_BITS - 1;
    body[1] = INTERRUPT_REMAPPING;
    view.setUint16(12, HARDWARE_UNIT, true);
    view.setUint16(14, length, true);
    body[16] = INCLUDE_ALL;
    view.setBigUint64(20, REGISTERS_BASE, true);
    body.set(scope, 28);
    return body;
  },
});
