import { hostPhysical } from '../../memory/address';
import type { PhysicalMemory } from '../../memory/physical';

/**
 * The header of an authenticated code module, version 0.0 (Intel TXT Software Development Guide, appendix A.1).
 * Offsets in bytes; HeaderLen, Size, KeySize and ScratchSize count doublewords.
 */
const Field = {
  MODULE_TYPE: 0,
  HEADER_LENGTH: 4,
  HEADER_VERSION: 8,
  SIZE: 24,
  CODE_CONTROL: 32,
  GDT_LIMIT: 40,
  GDT_BASE: 44,
  SEGMENT_SELECTOR: 48,
  ENTRY_POINT: 52,
  SCRATCH_SIZE: 124,
  PUBLIC_KEY: 128,
} as const;

const CHIPSET_MODULE = 2;
const HEADER_DWORDS = 161;
const SCRATCH_DWORDS = 143;
const DEFINED_CONTROL = 3;

export interface ModuleHeader {
  readonly gdtLimit: number;
  readonly gdtBase: number;
  readonly selector: number;
  readonly entryPoint: number;
}

/** The bytes of the module as it lies in memory; undefined where there is no RAM */
export function readModule(physical: PhysicalMemory, base: number, size: number): Uint8Array | undefined {
  const at = physical.hostOffset(hostPhysical(BigInt(base)));
  const last = physical.hostOffset(hostPhysical(BigInt(base + size - 1)));
  if (at < 0 || last !== at + size - 1) return undefined;
  const { buffer, byteOffset } = physical.memory.view;
  return new Uint8Array(buffer.slice(byteOffset + at, byteOffset + at + size));
}

/** The checks of GETSEC[SENTER] on the module's format (SDM vol. 2D, GETSEC[SENTER], "BadACMFormat"); undefined: refused */
export function parseModule(module: Uint8Array): ModuleHeader | undefined {
  const view = new DataView(module.buffer, module.byteOffset, module.length);
  const header = HEADER_DWORDS * 4;
  const body = header + SCRATCH_DWORDS * 4;
  if (module.length <= body) return undefined;
  const u32 = (at: number): number => view.getUint32(at, true);
  if (view.getUint16(Field.MODULE_TYPE, true) !== CHIPSET_MODULE || u32(Field.HEADER_VERSION) !== 0) return undefined;
  if (u32(Field.HEADER_LENGTH) !== HEADER_DWORDS || u32(Field.SCRATCH_SIZE) !== SCRATCH_DWORDS) return undefined;
  if (u32(Field.SIZE) * 4 !== module.length || u32(Field.CODE_CONTROL) & ~DEFINED_CONTROL) return undefined;
  const [gdtLimit, gdtBase] = [u32(Field.GDT_LIMIT), u32(Field.GDT_BASE)];
  const [selector, entryPoint] = [u32(Field.SEGMENT_SELECTOR), u32(Field.ENTRY_POINT)];
  if (gdtBase < body || gdtBase + gdtLimit >= module.length) return undefined;
  if (entryPoint < body || entryPoint >= module.length) return undefined;
  if (selector < 8 || selector > gdtLimit - 15 || selector & 7) return undefined;
  return { gdtLimit, gdtBase, selector, entryPoint };
}

/** What the signature of a module covers: all but the key, the signature itself, and the scratch area */
export const authenticatedParts = (module: Uint8Array): readonly Uint8Array[] => [
  module.slice(0, Field.PUBLIC_KEY),
  module.slice((HEADER_DWORDS + SCRATCH_DWORDS) * 4),
];
