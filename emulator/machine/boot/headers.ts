/**
 * The headers of the two multiboot protocols in an image. "Multiboot Specification version 0.6.96", 3.1; "Multiboot2
 * Specification version 2.0", 3.1.
 */
export const MULTIBOOT_MAGIC = 0x1badb002;
export const MULTIBOOT2_MAGIC = 0xe85250d6;
const MULTIBOOT_SEARCH = 8192;
const MULTIBOOT_SIZE = 12;
const MULTIBOOT2_SEARCH = 32768;
const MULTIBOOT2_SIZE = 16;

export interface FoundHeader {
  /** File offset */
  readonly offset: number;
  /** What is wrong with a place that has the magic number; absent: it is a header */
  readonly problem?: string;
}

const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;

/** The first valid header, else the first place that has only the magic number, else undefined. */
function find(
  bytes: Uint8Array,
  magic: number,
  search: number,
  size: number,
  step: number,
  problemAt: (view: DataView, at: number) => string | undefined,
): FoundHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let broken: FoundHeader | undefined;
  for (let offset = 0; offset + size <= Math.min(search, bytes.length); offset += step) {
    if (view.getUint32(offset, true) !== magic) continue;
    const problem = problemAt(view, offset);
    if (problem === undefined) return { offset };
    broken ??= { offset, problem };
  }
  return broken;
}

export const findMultiboot = (bytes: Uint8Array): FoundHeader | undefined =>
  find(bytes, MULTIBOOT_MAGIC, MULTIBOOT_SEARCH, MULTIBOOT_SIZE, 4, (view, at) => {
    const flags = view.getUint32(at + 4, true);
    const sum = (MULTIBOOT_MAGIC + flags + view.getUint32(at + 8, true)) >>> 0;
    if (sum === 0) return undefined;
    return `its checksum is ${hex(view.getUint32(at + 8, true))}, not ${hex(-(MULTIBOOT_MAGIC + flags))}`;
  });

export const findMultiboot2 = (bytes: Uint8Array): FoundHeader | undefined =>
  find(bytes, MULTIBOOT2_MAGIC, MULTIBOOT2_SEARCH, MULTIBOOT2_SIZE, 8, (view, at) => {
    const architecture = view.getUint32(at + 4, true);
    const length = view.getUint32(at + 8, true);
    const sum = (MULTIBOOT2_MAGIC + architecture + length + view.getUint32(at + 12, true)) >>> 0;
    if (sum !== 0) {
      const right = hex(-(MULTIBOOT2_MAGIC + architecture + length));
      return `its checksum is ${hex(view.getUint32(at + 12, true))}, not ${right}`;
    }
    if (architecture !== 0) return `it is for architecture ${architecture}, not 0 (i386)`;
    if (length < MULTIBOOT2_SIZE + 8 || at + length > Math.min(bytes.length, MULTIBOOT2_SEARCH)) {
      return `its length of ${length} bytes does not fit in the first ${MULTIBOOT2_SEARCH} bytes of the file`;
    }
    return undefined;
  });
