import type { AcpiTableSource } from '../../devices/acpi-table';
import { CONVENTIONAL_END } from '../boot/memory-map';
import type { RootPointer } from '../boot/request';
import { StructWriter } from '../boot/struct-writer';
import { dsdt } from './dsdt';
import { facs, fadt } from './fixed-tables';

// ACPI specification 6.5, 5.2.5 (root pointer, and where it is looked for), 5.2.6 (header), 5.2.7 and 5.2.8.
const AREA = 0xe0000;
const AREA_END = 0x100000;
const ALIGNMENT = 64;
const HEADER_SIZE = 36;
const RSDP_SIZE = 36;
const RSDP_OLD_SIZE = 20;
/** BIOS data area: segment of the extended BIOS data area, KiB of conventional memory */
const EBDA_SEGMENT = 0x40e;
const BASE_MEMORY = 0x413;
const OEM = 'UNDERV';
const OEM_TABLE = 'UNDERVSR';
const CREATOR = 'UVSR';

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The byte that makes the sum of all zero */
const checksum = (bytes: Uint8Array): number => -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;

/** A table with its header */
export function tableOf(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const out = new StructWriter().raw(ascii(signature)).u32(HEADER_SIZE + body.length);
  out.u8(revision, 0).raw(ascii(OEM)).raw(ascii(OEM_TABLE)).u32(1).raw(ascii(CREATOR)).u32(1);
  const table = out.raw(body).finish();
  table[9] = checksum(table);
  return table;
}

/**
 * Puts the ACPI tables where a PC has its firmware, the root pointer first, and a copy of that in the extended BIOS data
 * area: both are places that software searches.
 * @param ram from host-physical 0
 */
export function placeAcpi(ram: Uint8Array, sources: readonly AcpiTableSource[]): RootPointer {
  let next = AREA + ALIGNMENT;
  const place = (bytes: Uint8Array): number => {
    const at = next;
    if (at + bytes.length > AREA_END) throw new Error('the ACPI tables do not fit in the firmware area');
    ram.set(bytes, at);
    next = Math.ceil((at + bytes.length) / ALIGNMENT) * ALIGNMENT;
    return at;
  };
  const facsAt = place(facs());
  const dsdtAt = place(tableOf('DSDT', 2, dsdt(sources)));
  const tables = [
    place(tableOf('FACP', 3, fadt(facsAt, dsdtAt))),
    ...sources.map((source) => place(tableOf(source.signature, source.revision, source.body()))),
  ];
  const rsdt = place(tableOf('RSDT', 1, new StructWriter().u32(...tables).finish()));
  const xsdt = place(tableOf('XSDT', 1, new StructWriter().u64(...tables).finish()));

  const bytes = new StructWriter()
    .raw(ascii('RSD PTR '))
    .u8(0)
    .raw(ascii(OEM))
    .u8(2)
    .u32(rsdt, RSDP_SIZE)
    .u64(xsdt)
    .u32(0)
    .finish();
  bytes[8] = checksum(bytes.subarray(0, RSDP_OLD_SIZE));
  bytes[32] = checksum(bytes);
  ram.set(bytes, AREA);
  placeBiosData(ram, bytes);
  return { address: AREA, bytes };
}

function placeBiosData(ram: Uint8Array, rsdp: Uint8Array): void {
  const view = new DataView(ram.buffer, ram.byteOffset, CONVENTIONAL_END);
  view.setUint16(EBDA_SEGMENT, CONVENTIONAL_END >>> 4, true);
  view.setUint16(BASE_MEMORY, CONVENTIONAL_END / 1024, true);
  ram[CONVENTIONAL_END] = 1; // the area's size in KiB
  ram.set(rsdp, CONVENTIONAL_END + 16);
}
