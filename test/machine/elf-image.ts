/** Builds small ELF64 images byte by byte, right or wrong, for the boot tests. */
export interface ImageSegment {
  readonly vaddr?: number;
  readonly paddr: number;
  readonly bytes: Uint8Array | readonly number[];
  readonly memsz?: number;
}

export interface ImageOptions {
  readonly entry: number;
  readonly segments: readonly ImageSegment[];
  /** Adds the note XEN_ELFNOTE_PHYS32_ENTRY with this value */
  readonly pvh?: number;
  readonly machine?: number;
  readonly bits?: 32 | 64;
}

const NOTE_SIZE = 20;

export function elfImage({ entry, segments, pvh, machine, bits = 64 }: ImageOptions): Uint8Array {
  const wide = bits === 64;
  const headerSize = wide ? 64 : 52;
  const stride = wide ? 56 : 32;
  const count = segments.length + (pvh === undefined ? 0 : 1);
  let offset = headerSize + stride * count;
  const offsets = segments.map((segment) => {
    const at = offset;
    offset += segment.bytes.length;
    return at;
  });
  const image = new Uint8Array(offset + NOTE_SIZE);
  const view = new DataView(image.buffer);
  const word = (at: number, value: number) =>
    wide ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, value, true);
  image.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, machine ?? (wide ? 62 : 3), true);
  view.setUint32(20, 1, true);
  word(24, entry);
  word(wide ? 32 : 28, headerSize);
  view.setUint16(wide ? 52 : 40, headerSize, true);
  view.setUint16(wide ? 54 : 42, stride, true);
  view.setUint16(wide ? 56 : 44, count, true);
  const fields = wide
    ? { flags: 4, offset: 8, vaddr: 16, paddr: 24, filesz: 32, memsz: 40 }
    : { flags: 24, offset: 4, vaddr: 8, paddr: 12, filesz: 16, memsz: 20 };
  const header = (
    index: number,
    type: number,
    at: number,
    vaddr: number,
    paddr: number,
    size: number,
    memsz: number,
  ) => {
    const base = headerSize + index * stride;
    view.setUint32(base, type, true);
    view.setUint32(base + fields.flags, 7, true);
    word(base + fields.offset, at);
    word(base + fields.vaddr, vaddr);
    word(base + fields.paddr, paddr);
    word(base + fields.filesz, size);
    word(base + fields.memsz, memsz);
  };
  segments.forEach((segment, i) => {
    const at = offsets[i] ?? 0;
    image.set(segment.bytes, at);
    const { length } = segment.bytes;
    header(i, 1, at, segment.vaddr ?? segment.paddr, segment.paddr, length, segment.memsz ?? length);
  });
  if (pvh !== undefined) {
    view.setUint32(offset, 4, true);
    view.setUint32(offset + 4, 4, true);
    view.setUint32(offset + 8, 18, true);
    image.set([0x58, 0x65, 0x6e, 0], offset + 12);
    view.setUint32(offset + 16, pvh, true);
    header(segments.length, 4, offset, 0, 0, NOTE_SIZE, NOTE_SIZE);
  }
  return image;
}
