import { MachineError } from '../api';
import type { BootRequest } from './request';

/**
 * Where an image goes that says so itself, in the address fields of its multiboot header ("a.out kludge") or the
 * address tag of its multiboot 2 header. Both protocols define the same five values.
 */
export interface FlatAddresses {
  /** Physical address of the header itself */
  readonly header: number;
  readonly load: number;
  /** Physical end of what is in the file; 0 = all of the file */
  readonly loadEnd: number;
  /** Physical end of zeroed memory; 0 = none */
  readonly bssEnd: number;
}

const hex = (value: number): string => `0x${value.toString(16)}`;

/** Copies the image as its addresses say. @param offset file offset of the header */
export function loadFlat(request: BootRequest, addresses: FlatAddresses, offset: number): void {
  const { kernel, plan, ram } = request;
  const { header, load, loadEnd, bssEnd } = addresses;
  const refuse = (problem: string): never => {
    throw new MachineError(`${kernel.name}: ${problem}. Correct the address fields of its header.`);
  };
  if (header < load) refuse(`header_addr ${hex(header)} is below load_addr ${hex(load)}`);
  const first = offset - (header - load);
  if (first < 0) {
    refuse(`header_addr ${hex(header)} and load_addr ${hex(load)} ask for bytes before the beginning of the file`);
  }
  if (loadEnd !== 0 && loadEnd < load) refuse(`load_end_addr ${hex(loadEnd)} is below load_addr ${hex(load)}`);
  const size = loadEnd === 0 ? kernel.bytes.length - first : loadEnd - load;
  if (first + size > kernel.bytes.length) {
    refuse(`load_end_addr ${hex(loadEnd)} asks for ${first + size - kernel.bytes.length} bytes beyond the file's end`);
  }
  if (bssEnd !== 0 && bssEnd < load + size) {
    refuse(`bss_end_addr ${hex(bssEnd)} is below the end of what is loaded, ${hex(load + size)}`);
  }
  const end = bssEnd === 0 ? load + size : bssEnd;
  plan.reserve(`the image ${kernel.name}`, BigInt(load), BigInt(end - load));
  ram.set(kernel.bytes.subarray(first, first + size), load);
}
