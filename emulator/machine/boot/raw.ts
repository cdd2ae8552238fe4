import { MachineError, type RawPlace } from '../api';
import { isBootSector } from './choice';
import { placeModules } from './modules';
import type { BootRequest, Entry } from './request';
import { placeStartInfo } from './start-info';

/** Where the BIOS puts a boot sector */
const SECTOR_ADDRESS = 0x7c00n;
const FLAT_ADDRESS = 0x100000n;
const FIRST_HARD_DISK = 0x80;
const REAL_MODE_END = 0x10fff0n;
const LARGEST_ADDRESS = 0xffffffffn;

/**
 * An image without a header, copied to one place. In real mode it starts as the BIOS starts a boot sector (DL = 0x80),
 * but no BIOS is there: no interrupt service answers. In 32-bit mode EBX = hvm_start_info, so that command line, modules
 * and memory map can be had.
 */
export function bootRaw(request: BootRequest): Entry {
  const { kernel, plan, ram } = request;
  const bits = bitsOf(request.raw, kernel.bytes);
  const address = request.raw.address ?? (bits === 16 ? SECTOR_ADDRESS : FLAT_ADDRESS);
  const entry = request.raw.entry ?? address;
  if (kernel.bytes.length === 0) throw new MachineError(`${kernel.name}: is empty.`);
  for (const [name, value] of [
    ['address', address],
    ['entry', entry],
  ] as const) {
    if (value > LARGEST_ADDRESS) throw new MachineError(`raw.${name}: 0x${value.toString(16)} is beyond 4 GiB.`);
  }
  const end = address + BigInt(kernel.bytes.length);
  if (entry < address || entry >= end) {
    throw new MachineError(
      `raw.entry: 0x${entry.toString(16)} is outside the image at 0x${address.toString(16)}..0x${end.toString(16)}.`,
    );
  }
  if (bits === 16 && entry >= REAL_MODE_END) {
    throw new MachineError(`raw.entry: real mode does not reach 0x${entry.toString(16)}. Load lower, or say 32 bits.`);
  }
  plan.reserve(`the image ${kernel.name}`, address, BigInt(kernel.bytes.length));
  ram.set(kernel.bytes, Number(address));
  if (bits === 16) return { mode: 'real', address: entry, registers: { rdx: FIRST_HARD_DISK }, stack: false };
  const modules = placeModules(plan, ram, request.modules);
  const info = placeStartInfo(plan, ram, modules, request.commandLine, request.rsdp.address);
  return { mode: 'flat', address: entry, registers: { rbx: info, rdi: info }, stack: true };
}

const bitsOf = ({ bits, address }: RawPlace, bytes: Uint8Array): 16 | 32 =>
  bits ?? (isBootSector(bytes) && (address ?? SECTOR_ADDRESS) === SECTOR_ADDRESS ? 16 : 32);
