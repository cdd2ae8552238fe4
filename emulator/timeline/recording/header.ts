import type { DiskConfiguration, MachineConfiguration } from '../../machine/api';
import { StateReader, StateWriter } from '../../devices/device';
import { ChunkType, RecordingError } from './chunks';
import { crc32 } from '../../memory/crc32';
import { deflate, inflate } from './deflate';

/** A disk of a recording: all but its contents */
export type DiskShape = Omit<DiskConfiguration, 'source'> & { readonly size: number };

/** What a machine is made of, with the disks' shapes in place of their contents */
export interface RecordedMachine {
  readonly configuration: Omit<MachineConfiguration, 'disks'>;
  readonly disks: readonly DiskShape[];
  /** Images beside the machine's own, such as those that bring only symbols */
  readonly images: readonly Uint8Array[];
  /** For whoever opens it: a JSON value that the emulator does not look into */
  readonly notes: unknown;
}

interface Payload {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** Bytes of images are put once, however often they are used; in the JSON stands their number. */
interface Numbered {
  readonly image: number;
}

/** The chunks that begin a recording. */
export async function headerChunks(machine: RecordedMachine): Promise<Payload[]> {
  const pool: Uint8Array[] = [];
  const numbered = (bytes: Uint8Array): Numbered => {
    const there = pool.findIndex((other) => other === bytes || equal(other, bytes));
    return { image: there >= 0 ? there : pool.push(bytes) - 1 };
  };
  const { kernel, modules, raw, ...rest } = machine.configuration;
  const text = JSON.stringify({
    machine: {
      ...rest,
      kernel: { ...kernel, bytes: numbered(kernel.bytes) },
      modules: modules.map((module) => ({ ...module, bytes: numbered(module.bytes) })),
      ...(raw === undefined ? {} : { raw: { ...raw, ...hexOf('address', raw.address), ...hexOf('entry', raw.entry) } }),
    },
    disks: machine.disks,
    images: machine.images.map(numbered),
    notes: machine.notes,
  });
  const chunks: Payload[] = [];
  for (const bytes of pool) chunks.push({ type: ChunkType.IMAGE, payload: await imagePayload(bytes) });
  // Last: whoever has read it has all the images.
  return [...chunks, { type: ChunkType.HEADER, payload: new TextEncoder().encode(text) }];
}

/** @throws RecordingError, RangeError when the chunks are no header */
export async function readHeader(chunks: readonly Payload[]): Promise<RecordedMachine> {
  const header = chunks.at(-1);
  if (header?.type !== ChunkType.HEADER) throw new RecordingError('is damaged: what it starts with is not its header');
  const pool: Uint8Array[] = [];
  for (const { payload } of chunks.slice(0, -1)) pool.push(await readImage(payload));
  const imageOf = (given: unknown): Uint8Array => {
    const bytes = isRecord(given) && typeof given.image === 'number' ? pool[given.image] : undefined;
    if (!bytes) throw new RecordingError('is damaged: an image is missing');
    return bytes;
  };
  const parsed: unknown = JSON.parse(new TextDecoder().decode(header.payload));
  if (!isRecord(parsed) || !isRecord(parsed.machine)) throw new RecordingError('is damaged: its header has no machine');
  const { machine } = parsed;
  const module = (given: unknown) => ({
    ...(given as object),
    bytes: imageOf((given as { bytes?: unknown } | null)?.bytes),
  });
  const raw = isRecord(machine.raw) ? machine.raw : undefined;
  const configuration = {
    ...machine,
    kernel: module(machine.kernel),
    modules: list(machine.modules).map(module),
    ...(raw ? { raw: { ...raw, ...bigintOf('address', raw.address), ...bigintOf('entry', raw.entry) } } : {}),
  } as unknown as RecordedMachine['configuration'];
  return {
    configuration,
    disks: list(parsed.disks).map(diskOf),
    images: list(parsed.images).map(imageOf),
    notes: parsed.notes,
  };
}

/** u8 form (0 as it is, 1 deflated), u32 length, u32 CRC of the image, its bytes */
async function imagePayload(bytes: Uint8Array): Promise<Uint8Array> {
  const small = await deflate(bytes);
  const deflated = small.length < bytes.length;
  const out = new StateWriter();
  out.u8(deflated ? 1 : 0);
  out.u32(bytes.length);
  out.u32(crc32(bytes));
  out.blob(deflated ? small : bytes);
  return out.finish();
}

async function readImage(payload: Uint8Array): Promise<Uint8Array> {
  const from = new StateReader(payload);
  const [form, length, sum, stored] = [from.u8(), from.u32(), from.u32(), from.blob()];
  const bytes = form === 1 ? await inflate(stored, length) : stored;
  if (form > 1 || bytes.length !== length || crc32(bytes) !== sum)
    throw new RecordingError('is damaged: an image in it does not have its checksum');
  return bytes;
}

function diskOf(given: unknown): DiskShape {
  const disk = given as Partial<DiskShape> | null;
  if (
    typeof disk?.name !== 'string' ||
    (disk.interface !== 'ide' && disk.interface !== 'virtio') ||
    !Number.isSafeInteger(disk.size)
  )
    throw new RecordingError('is damaged: a disk in its header is none');
  return disk as DiskShape;
}

type Json = Record<string, unknown>;

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const list = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
const hexOf = (name: string, value: bigint | undefined): Json =>
  value === undefined ? {} : { [name]: `0x${value.toString(16)}` };

function bigintOf(name: string, value: unknown): Json {
  if (value === undefined) return {};
  if (typeof value !== 'string' || !/^0x[0-9a-f]{1,16}$/.test(value))
    throw new RecordingError(`is damaged: "${name}" of a raw image is no address`);
  return { [name]: BigInt(value) };
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, at) => byte === b[at]);
