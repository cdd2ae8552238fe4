import type { AddressSpace } from '../../emulator/machine/api';
import { silentError } from '../session/errors';

/**
 * A memory reference names its space, so that no address is read in the wrong one:
 * `linear@3:0xffffffff80001000` and `guest-physical@3:0x1000` are meant in context 3 (its CR3, its EPT pointer),
 * `host-physical:0x1000` in the machine. A bare address is linear in whatever context the reader takes as default.
 */
export interface MemoryReference {
  readonly kind: AddressSpace['kind'];
  /** Undefined: the default context, or none needed */
  readonly context: number | undefined;
  readonly address: bigint;
}

export const hex = (value: bigint): string => `0x${BigInt.asUintN(64, value).toString(16)}`;

export function formatReference(kind: AddressSpace['kind'], context: number | undefined, address: bigint): string {
  const at = kind === 'host-physical' || context === undefined ? '' : `@${context}`;
  return `${kind}${at}:${hex(address)}`;
}

/** Throws RequestError when the text is no reference. */
export function parseReference(text: string): MemoryReference {
  const match = /^(?:(linear|guest-physical|host-physical)(?:@(\d{1,9}))?:)?\s*(0x[0-9a-f]{1,16}|\d{1,20})$/i.exec(
    text.trim(),
  );
  if (!match?.[3]) {
    throw silentError(
      `"${text}" is no memory reference: write 0x1000, linear@CONTEXT:0x1000, guest-physical@CONTEXT:0x1000 or host-physical:0x1000`,
    );
  }
  const address = BigInt(match[3]);
  if (address >= 1n << 64n) throw silentError(`"${text}" has more than 64 bits`);
  return {
    kind: (match[1]?.toLowerCase() ?? 'linear') as AddressSpace['kind'],
    context: match[2] === undefined ? undefined : Number(match[2]),
    address,
  };
}
