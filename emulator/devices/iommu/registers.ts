import { PHYSICAL_ADDRESS_BITS } from '../../arch/address-width';

/**
 * Register map of a remapping unit: "Intel Virtualization Technology for Directed I/O, Architecture Specification",
 * revision 4.1, chapter "Register Descriptions". Legacy mode only: no scalable mode, first-stage translation,
 * device TLBs, page requests, posted interrupts or protected memory regions; the capability registers say so.
 */
export const Register = {
  VERSION: 0x00,
  CAPABILITY: 0x08,
  EXTENDED_CAPABILITY: 0x10,
  COMMAND: 0x18,
  STATUS: 0x1c,
  ROOT_TABLE: 0x20,
  CONTEXT_COMMAND: 0x28,
  FAULT_STATUS: 0x34,
  FAULT_EVENT: 0x38,
  QUEUE_HEAD: 0x80,
  QUEUE_TAIL: 0x88,
  QUEUE_ADDRESS: 0x90,
  COMPLETION_STATUS: 0x9c,
  COMPLETION_EVENT: 0xa0,
  QUEUE_ERROR: 0xb0,
  INTERRUPT_TABLE: 0xb8,
  INVALIDATE_ADDRESS: 0xf0,
  IOTLB_INVALIDATE: 0xf8,
  FAULT_RECORDS: 0x220,
} as const;

export const REGISTERS_BASE = 0xfed90000n;
export const REGISTERS_SIZE = 0x1000;
export const VERSION = 0x10;
export const FAULT_RECORDS = 8;
/** Host address width: physical addresses that tables may hold */
export const HOST_ADDRESS_BITS = PHYSICAL_ADDRESS_BITS;
/** Maximum guest address width */
export const GUEST_ADDRESS_BITS = 48;

/** The most pages that one page-selective invalidation names, as a power of two: 1 GiB */
export const ADDRESS_MASK_MOST = 18;

/** CAP_REG */
export const CAPABILITY =
  6n | // ND: 16-bit domain identifiers
  (0b00110n << 8n) | // SAGAW: 39 and 48 bits, tables of 3 and 4 levels
  (BigInt(GUEST_ADDRESS_BITS - 1) << 16n) | // MGAW
  (BigInt(Register.FAULT_RECORDS / 16) << 24n) | // FRO
  (0b11n << 34n) | // SSLPS: 2 MiB and 1 GiB pages
  (1n << 39n) | // PSI: page-selective invalidation
  (BigInt(FAULT_RECORDS - 1) << 40n) | // NFR
  (BigInt(ADDRESS_MASK_MOST) << 48n) | // MAMV
  (3n << 54n); // DWD, DRD: invalidation drains, because nothing is ever in flight

/** ECAP_REG */
export const EXTENDED_CAPABILITY =
  1n | // C: tables are read coherently
  (1n << 1n) | // QI
  (1n << 3n) | // IR
  (1n << 4n) | // EIM
  (1n << 6n) | // PT
  (BigInt(Register.INVALIDATE_ADDRESS / 16) << 8n) | // IRO
  (15n << 20n); // MHMV

/** GCMD_REG and GSTS_REG: the same bit commands and tells */
export const Global = {
  TRANSLATION: 0x80000000,
  ROOT_TABLE: 0x40000000,
  QUEUE: 0x04000000,
  INTERRUPTS: 0x02000000,
  INTERRUPT_TABLE: 0x01000000,
  COMPATIBILITY: 0x00800000,
} as const;
