import type { DebugProtocol } from '@vscode/debugprotocol';
import type { AddressSpace, Context, Machine } from '../../emulator/machine/api';
import { silentError, userError } from '../session/errors';
import { formatReference, hex, parseReference, type MemoryReference } from './reference';

/** What a reference means in this machine: the space to read in, and the context it belongs to. */
export interface Target {
  readonly reference: MemoryReference;
  readonly context: Context;
  readonly space: AddressSpace;
}

/** `fallback`: the context of references that name none. Throws RequestError. */
export function targetOf(text: string, machine: Machine, fallback: Context): Target {
  const reference = parseReference(text);
  const context =
    reference.context === undefined ? fallback : machine.contexts.find(({ id }) => id === reference.context);
  if (!context) throw silentError(`"${text}": there is no context ${reference.context}`);
  return { reference, context, space: { ...context.space, kind: reference.kind } };
}

const LARGEST_READ = 16 * 1024 * 1024;

/** readMemory. What is not mapped or no RAM comes back as unreadable bytes, so that the client can page over it. */
export function readMemory(
  args: DebugProtocol.ReadMemoryArguments,
  machine: Machine,
  fallback: Context,
): DebugProtocol.ReadMemoryResponse['body'] {
  const { reference, space } = targetOf(args.memoryReference, machine, fallback);
  const count = Math.trunc(args.count);
  if (count < 0 || count > LARGEST_READ) throw silentError(`count must be from 0 to ${LARGEST_READ}`);
  const start = BigInt.asUintN(64, reference.address + BigInt(Math.trunc(args.offset ?? 0)));
  // The address space ends: bytes behind its last are not those at its beginning.
  const room = (1n << 64n) - start;
  const length = room < BigInt(count) ? Number(room) : count;
  const bytes = machine.readMemory(space, start, length);
  return {
    // Clients compute with this address: it is a plain number.
    address: hex(start),
    ...(bytes.length === 0 ? {} : { data: toBase64(bytes) }),
    ...(bytes.length < count ? { unreadableBytes: count - bytes.length } : {}),
  };
}

/** writeMemory. Without `allowPartial` nothing is written unless everything can be. */
export function writeMemory(
  args: DebugProtocol.WriteMemoryArguments,
  machine: Machine,
  fallback: Context,
): NonNullable<DebugProtocol.WriteMemoryResponse['body']> {
  const { reference, space } = targetOf(args.memoryReference, machine, fallback);
  const start = BigInt.asUintN(64, reference.address + BigInt(Math.trunc(args.offset ?? 0)));
  const bytes = fromBase64(args.data);
  if (!args.allowPartial && machine.readMemory(space, start, bytes.length).length < bytes.length) {
    throw userError(
      `not all of the ${bytes.length} bytes at ${formatReference(reference.kind, reference.context, start)} are memory`,
    );
  }
  const written = machine.writeMemory(space, start, bytes);
  return { bytesWritten: written };
}

export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

export function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw silentError('data is not base64');
  }
}
