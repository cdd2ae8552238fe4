import { sha256 } from '@noble/hashes/sha2.js';
import { crc32 } from '../memory/crc32';
import { RAM_BASE, State } from '../memory/layout';
import type { MachineMemory } from '../memory/machine-memory';

const PAGE = 4096;
const QWORDS = PAGE / 8;

/** Parts of the state block that are caches or leftovers of a delivered fault, not state: [offset, length]. */
const NOT_STATE: readonly (readonly [number, number])[] = [
  [State.LAZY_KIND, State.RETIRED - State.LAZY_KIND],
  [State.TLB_BANK, State.CLOCK_IDLE - State.TLB_BANK],
  [State.ENGINE_PRIVATE, 0x100],
  [State.DIRECT_VMCS, 4],
  [State.NEXT_RIP, 8],
];

/** A vCPU as the hash sees it: its state block, and RFLAGS, which the block keeps in one of several ways */
export interface HashedVcpu {
  readonly block: Uint8Array;
  readonly flags: bigint;
}

/**
 * SHA-256 of a machine: the vCPUs' state blocks without caches, which of them runs, every RAM page that is not all zero
 * with its number, and the devices' saved state. A page of zeros contributes nothing whether it was ever touched or not,
 * so that equal contents give equal hashes and untouched RAM costs one read.
 * @returns 64 lower-case hexadecimal digits
 */
export function hashMachine(
  memory: MachineMemory,
  vcpus: readonly HashedVcpu[],
  running: number,
  devices: Uint8Array,
): string {
  const hash = sha256.create();
  for (const vcpu of vcpus) hash.update(architectural(vcpu));
  if (vcpus.length > 1) hash.update(Uint8Array.of(running));

  const words = new BigUint64Array(memory.wasm.buffer, RAM_BASE, memory.ramSize / 8);
  const number = new DataView(new ArrayBuffer(8));
  const numberBytes = new Uint8Array(number.buffer);
  for (let page = 0; page < memory.ramSize / PAGE; page++) {
    if (isZero(words, page * QWORDS)) continue;
    number.setFloat64(0, page);
    hash.update(numberBytes);
    hash.update(memory.u8.subarray(RAM_BASE + page * PAGE, RAM_BASE + (page + 1) * PAGE));
  }
  hash.update(devices);
  return Array.from(hash.digest(), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** CRC-32 of the part of that hash which is the vCPUs' own. */
export function digestVcpus(vcpus: readonly HashedVcpu[], running: number): number {
  let sum = vcpus.length > 1 ? crc32(Uint8Array.of(running)) : 0;
  for (const vcpu of vcpus) sum = crc32(architectural(vcpu), sum);
  return sum;
}

/** The block without what only remembers or serves the engine */
function architectural({ block, flags }: HashedVcpu): Uint8Array {
  const state = block.slice();
  for (const [offset, length] of NOT_STATE) state.fill(0, offset, offset + length);
  // Flags are kept as the operands they came from; the same flags can be kept in several ways.
  state.fill(0, State.FLAGS_RESULT, State.FLAGS_SYSTEM + 4);
  new DataView(state.buffer).setBigUint64(State.FLAGS_RESULT, flags, true);
  return state;
}

function isZero(words: BigUint64Array, from: number): boolean {
  for (let i = from; i < from + QWORDS; i++) if (words[i] !== 0n) return false;
  return true;
}
