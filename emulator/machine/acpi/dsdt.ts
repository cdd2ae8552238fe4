import { SLEEP_TYPE_OFF } from '../../devices/acpi-power';
import type { AcpiTableSource } from '../../devices/acpi-table';
import { IsaBridge } from '../../devices/pci/isa-bridge';
import { device, eisaId, integer, list, named, scope, type Aml } from './aml';
import { busNumbers, memoryWindow, portWindow, ports, resources } from './resources';

const PCI_DEVICES = 32;
const PINS = 4;
/** Where BARs may lie: behind the highest end of RAM, before the configuration space in memory */
const MEMORY_WINDOW = [0xc0000000, 0xdfffffff] as const;
const VIDEO_WINDOW = [0xa0000, 0xbffff] as const;

/** The DSDT: how to power off, the PCI root with its windows and interrupt routes, and what devices contribute. */
export function dsdt(contributions: readonly AcpiTableSource[]): Uint8Array {
  const root = device(
    'PCI0',
    named('_HID', eisaId('PNP0A08')),
    named('_CID', eisaId('PNP0A03')),
    named('_UID', integer(0)),
    named('_BBN', integer(0)),
    named(
      '_CRS',
      resources(
        busNumbers(0, 0),
        ports(0xcf8, 8),
        portWindow(0, 0xcf7),
        portWindow(0xd00, 0xffff),
        memoryWindow(...VIDEO_WINDOW),
        memoryWindow(...MEMORY_WINDOW),
      ),
    ),
    named('_PRT', routes()),
  );
  const more = contributions.flatMap((source) => Array.from(source.aml?.() ?? []));
  const off = list(integer(SLEEP_TYPE_OFF), integer(0), integer(0), integer(0));
  return Uint8Array.from([...named('_S5_', off), ...scope('_SB_', root, more)]);
}

/** For each device and pin the input of the interrupt controllers (ACPI specification 6.5, 6.2.13) */
function routes(): Aml {
  const rows: Aml[] = [];
  for (let number = 0; number < PCI_DEVICES; number++) {
    for (let pin = 0; pin < PINS; pin++) {
      const address = ((number << 16) | 0xffff) >>> 0;
      rows.push(list(integer(address), integer(pin), integer(0), integer(IsaBridge.firmwareLine(number, pin + 1))));
    }
  }
  return list(...rows);
}
