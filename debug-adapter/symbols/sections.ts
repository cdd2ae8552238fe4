import { type ElfFile, SectionFlag, cString } from '../../emulator/machine/elf';
import { Cursor } from './cursor';
import { DwarfError } from './dwarf-error';
import { inflateZlib } from './inflate';

const NONE = new Uint8Array(0);
const ELFCOMPRESS_ZLIB = 1;

/** The DWARF sections of one image, found when asked for. */
export class DwarfSections {
  private readonly found = new Map<string, Uint8Array>();

  constructor(private readonly elf: ElfFile) {}

  /** Contents; empty when the image has no such section. Throws DwarfError for one that cannot be decompressed. */
  bytes(name: string): Uint8Array {
    let bytes = this.found.get(name);
    if (!bytes) {
      const section = this.elf.section(name);
      bytes = section ? this.elf.contents(section) : NONE;
      if (section && section.flags & SectionFlag.Compressed) bytes = this.decompress(name, bytes);
      this.found.set(name, bytes);
    }
    return bytes;
  }

  /** A section with a compression header (gABI, "Section Compression"): type, size when decompressed, alignment */
  private decompress(name: string, bytes: Uint8Array): Uint8Array {
    const cursor = new Cursor(bytes, name);
    const wide = this.elf.class === 64;
    const type = cursor.u32();
    if (wide) cursor.skip(4);
    const size = cursor.offset(wide);
    cursor.skip(wide ? 8 : 4);
    if (type !== ELFCOMPRESS_ZLIB) {
      throw new DwarfError(
        name,
        0,
        `the section is compressed by method ${type}, and only zlib (1) is supported`,
        'Link with -gz=zlib or -gz=none, or run objcopy --decompress-debug-sections on the image.',
      );
    }
    // No DEFLATE stream expands more than 1032 to 1.
    if (size > bytes.length * 1040) throw new DwarfError(name, 0, `decompressed size ${size} is absurd`);
    return inflateZlib(bytes.subarray(cursor.at), size, (problem, at) => new DwarfError(name, cursor.at + at, problem));
  }

  cursor(name: string, at = 0): Cursor {
    const bytes = this.bytes(name);
    if (at > bytes.length) throw new DwarfError(name, at, 'offset is outside the section');
    return new Cursor(bytes, name, at);
  }

  string(name: string, offset: number): string {
    const bytes = this.bytes(name);
    if (offset >= bytes.length) throw new DwarfError(name, offset, 'string offset is outside the section');
    return cString(bytes, offset);
  }
}
