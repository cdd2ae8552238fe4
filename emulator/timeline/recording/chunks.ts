import { crc32 } from '../../memory/crc32';

/**
 * The container of a recording: a signature with the version, then chunks that are only ever appended. A chunk is
 *
 *   u32 type, u32 length of the payload, u32 CRC of these eight bytes and of the chunk's number; payload; u32 CRC of the payload
 *
 * all little-endian. So a file that ends early is told from a damaged one, and a chunk cannot be lost from the middle unseen.
 */
const SIGNATURE = Uint8Array.of(0x89, 0x55, 0x56, 0x52, 0x45, 0x43, 0x0d, 0x0a, 0x1a, 0x0a);
export const VERSION = 1;
/** Signature, u16 version */
export const PREAMBLE = SIGNATURE.length + 2;
const HEAD = 12;
const TAIL = 4;

export const ChunkType = { HEADER: 1, IMAGE: 2, SEGMENT: 3, END: 4 } as const;
const TYPES: ReadonlySet<number> = new Set(Object.values(ChunkType));

export interface Chunk {
  readonly type: number;
  readonly payload: Uint8Array;
  /** Where the chunk begins, and where the next one does */
  readonly at: number;
  readonly end: number;
}

export function preamble(): Uint8Array {
  const bytes = new Uint8Array(PREAMBLE);
  bytes.set(SIGNATURE);
  new DataView(bytes.buffer).setUint16(SIGNATURE.length, VERSION, true);
  return bytes;
}

/** @param number how many chunks come before it */
export function chunk(type: number, number: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD + payload.length + TAIL);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, payload.length, true);
  view.setUint32(8, headSum(bytes, number), true);
  bytes.set(payload, HEAD);
  view.setUint32(HEAD + payload.length, crc32(payload), true);
  return bytes;
}

/** Whether a file begins as a recording does: one that may be written over. An empty one may be as well. */
export const beginsAsRecording = (bytes: Uint8Array): boolean =>
  SIGNATURE.subarray(0, bytes.length).every((byte, at) => bytes[at] === byte);

/** A file that is no recording, or one that cannot be used. The message says why, for the user. */
export class RecordingError extends Error {
  override name = 'RecordingError';
}

/** What is wrong with a file behind its last whole chunk */
export interface Flaw {
  readonly kind: 'truncated' | 'damaged';
  readonly at: number;
  readonly text: string;
}

/**
 * All whole chunks, and the flaw that ends them.
 * @throws RecordingError for a file of another kind or of a newer version
 */
export function readChunks(given: Uint8Array): { chunks: Chunk[]; flaw: Flaw | undefined } {
  // Of Node's Buffer `slice` is no copy.
  const bytes = new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
  if (bytes.length === 0) throw new RecordingError('is empty');
  if (!beginsAsRecording(bytes)) throw new RecordingError('is not a recording (.uvrec)');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < PREAMBLE)
    throw new RecordingError(`ends after ${bytes.length} bytes, before anything was recorded`);
  const version = view.getUint16(SIGNATURE.length, true);
  if (version > VERSION)
    throw new RecordingError(
      `has format ${version}, and this version of Undervisor reads up to format ${VERSION}. Use a newer one`,
    );
  if (version === 0) throw new RecordingError('is damaged: it has format 0, which never was');
  const chunks: Chunk[] = [];
  for (let at = PREAMBLE; at < bytes.length;) {
    const left = bytes.length - at;
    const truncated = (): Flaw => ({
      kind: 'truncated',
      at,
      text: `the file ends inside a part of it, at byte ${bytes.length}`,
    });
    if (left < HEAD) return { chunks, flaw: truncated() };
    if (view.getUint32(at + 8, true) !== headSum(bytes.subarray(at, at + HEAD), chunks.length))
      return {
        chunks,
        flaw: { kind: 'damaged', at, text: `the checksum of the part that begins at byte ${at} is wrong` },
      };
    const length = view.getUint32(at + 4, true);
    if (left < HEAD + length + TAIL) return { chunks, flaw: truncated() };
    const payload = bytes.subarray(at + HEAD, at + HEAD + length);
    const type = view.getUint32(at, true);
    if (crc32(payload) !== view.getUint32(at + HEAD + length, true) || !TYPES.has(type))
      return {
        chunks,
        flaw: { kind: 'damaged', at, text: `the checksum of the ${length} bytes from byte ${at + HEAD} is wrong` },
      };
    const end = at + HEAD + length + TAIL;
    chunks.push({ type, payload, at, end });
    at = end;
  }
  return { chunks, flaw: undefined };
}

function headSum(head: Uint8Array, number: number): number {
  const place = new Uint8Array(4);
  new DataView(place.buffer).setUint32(0, number, true);
  return crc32(place, crc32(head.subarray(0, 8)));
}
