import { Alg } from './constants';
import { curveIds } from './ecc';
import { HASHES, LARGEST_DIGEST } from './hash';
import { LARGEST_NV, NV_BUFFER, nvType } from './nv';
import { NvType, Rh } from './constants';
import { INPUT_BUFFER } from './parameters';
import { PCR_COUNT, PCR_SELECT } from './pcrs';
import { ACTIVE_SESSIONS, LOADED_SESSIONS } from './sessions';
import { TRANSIENT_OBJECTS } from './object-slots';
import type { TpmState } from './tpm-state';

/** TPMA_ALGORITHM (Part 2, clause 8.2) */
const ASYMMETRIC = 1 << 0;
const SYMMETRIC = 1 << 1;
const HASH = 1 << 2;
const OBJECT = 1 << 3;
const SIGNING = 1 << 8;
const ENCRYPTING = 1 << 9;
const METHOD = 1 << 10;

/** Every algorithm that is implemented, by number */
export const algorithmProperties = (): [number, number][] =>
  (
    [
      ...Object.keys(HASHES).map((alg): [number, number] => [Number(alg), HASH]),
      [Alg.HMAC, HASH | SIGNING],
      [Alg.AES, SYMMETRIC],
      [Alg.KEYEDHASH, HASH | OBJECT | SIGNING | ENCRYPTING],
      [Alg.XOR, HASH | SYMMETRIC],
      [Alg.ECDSA, ASYMMETRIC | SIGNING | METHOD],
      [Alg.ECDH, ASYMMETRIC | METHOD],
      [Alg.KDF1_SP800_56A, HASH | METHOD],
      [Alg.KDF1_SP800_108, HASH | METHOD],
      [Alg.ECC, ASYMMETRIC | OBJECT],
      [Alg.SYMCIPHER, OBJECT],
      [Alg.CFB, SYMMETRIC | ENCRYPTING],
    ] as [number, number][]
  ).sort(([a], [b]) => a - b);

/** Four letters as a number, the first in the highest byte */
const letters = (text: string): number =>
  Array.from(text.padEnd(4, '\0')).reduce((value, letter) => value * 256 + letter.charCodeAt(0), 0);

const FIXED: readonly (readonly [number, number])[] = [
  [0x100, letters('2.0')], // Family
  [0x101, 0], // Level
  [0x102, 159], // Revision 1.59 of the library specification, of 8 November 2019
  [0x103, 312],
  [0x104, 2019],
  [0x105, letters('UNDV')], // Manufacturer: this name is not in TCG's registry of vendors
  [0x106, letters('Unde')], // Vendor string
  [0x107, letters('rvis')],
  [0x108, letters('or')],
  [0x109, 0],
  [0x10a, 1], // Vendor's type
  [0x10b, 0x00000001], // Firmware version
  [0x10c, 0],
  [0x10d, INPUT_BUFFER],
  [0x10e, TRANSIENT_OBJECTS],
  [0x10f, 7], // Persistent objects
  [0x110, LOADED_SESSIONS],
  [0x111, ACTIVE_SESSIONS],
  [0x112, PCR_COUNT],
  [0x113, PCR_SELECT],
  [0x114, 0xffffffff], // Context gap: context numbers have 64 bits
  [0x116, 0], // Counters: as many as indexes
  [0x117, LARGEST_NV],
  [0x118, 0x6], // Memory: NV and objects share nothing; persistent objects are used where they lie
  [0x119, 1], // Clock update in milliseconds
  [0x11a, Alg.SHA256], // Contexts: integrity, cipher and its key size
  [0x11b, Alg.AES],
  [0x11c, 256],
  [0x11d, 0],
  [0x11e, 4096], // Command, response
  [0x11f, 4096],
  [0x120, LARGEST_DIGEST],
  [0x121, 2048], // Contexts of objects and sessions
  [0x122, 1024],
  [0x123, 1], // PC Client profile, level 0, revision 1.05, of 4 September 2020
  [0x124, 0],
  [0x125, 105],
  [0x126, 248],
  [0x127, 2020],
  [0x128, 0], // Split signing
];

const PERMANENT_OWNER_AUTH = 1 << 0;
const PERMANENT_ENDORSEMENT_AUTH = 1 << 1;
const PERMANENT_LOCKOUT_AUTH = 1 << 2;
const PERMANENT_DISABLE_CLEAR = 1 << 8;
const PERMANENT_IN_LOCKOUT = 1 << 9;
const PERMANENT_OWN_ENDORSEMENT_SEED = 1 << 10;

function permanent({ hierarchies, lockout, seconds }: TpmState): number {
  const withAuth = (handle: number, bit: number): number => (hierarchies.get(handle).auth.length > 0 ? bit : 0);
  return (
    withAuth(Rh.OWNER, PERMANENT_OWNER_AUTH) |
    withAuth(Rh.ENDORSEMENT, PERMANENT_ENDORSEMENT_AUTH) |
    withAuth(Rh.LOCKOUT, PERMANENT_LOCKOUT_AUTH) |
    (hierarchies.clearDisabled ? PERMANENT_DISABLE_CLEAR : 0) |
    (lockout.locked(seconds) ? PERMANENT_IN_LOCKOUT : 0) |
    PERMANENT_OWN_ENDORSEMENT_SEED
  );
}

function startupClear({ hierarchies, shutdown }: TpmState): number {
  const enabled = (handle: number, bit: number): number => (hierarchies.get(handle).enabled ? bit : 0);
  return (
    enabled(Rh.PLATFORM, 1) |
    enabled(Rh.OWNER, 2) |
    enabled(Rh.ENDORSEMENT, 4) |
    8 | // The NV indexes of the platform are enabled with it.
    (shutdown >= 0 ? 0x80000000 : 0)
  );
}

/** TPM_PT (Part 2, clause 6.13), in ascending order */
export function tpmProperties(tpm: TpmState, commands: number): (readonly [number, number])[] {
  const { nv, sessions, objects, lockout } = tpm;
  const counters = [...nv.indexes.values()].filter((index) => nvType(index) === NvType.COUNTER).length;
  return [
    ...FIXED,
    [0x129, commands],
    [0x12a, commands],
    [0x12b, 0],
    [0x12c, NV_BUFFER],
    [0x12d, 0], // No FIPS mode
    [0x12e, 1024], // Capability buffer
    [0x200, permanent(tpm)],
    [0x201, startupClear(tpm) >>> 0],
    [0x202, nv.indexes.size],
    [0x203, sessions.loadedCount],
    [0x204, LOADED_SESSIONS - sessions.loadedCount],
    [0x205, sessions.activeCount],
    [0x206, ACTIVE_SESSIONS - sessions.activeCount],
    [0x207, objects.free],
    [0x208, nv.persistent.size],
    [0x209, nv.persistentFree],
    [0x20a, counters],
    [0x20b, nv.indexesFree],
    [0x20c, 0],
    [0x20d, curveIds().length],
    [0x20e, lockout.failedTries],
    [0x20f, lockout.maxTries],
    [0x210, lockout.recoveryTime],
    [0x211, lockout.lockoutRecovery],
    [0x212, 0],
    [0x213, 0],
    [0x214, 0],
  ];
}
