import { type ElfFile, SectionFlag, cString } from '../../emulator/machine/elf';
import { Cursor } from './cursor';
import { DwarfError } from './dwarf-error';

const NONE = new Uint8Array(0);

/** The DWARF sections of one image, found when asked for. */
export class DwarfSections {
  private readonly found = new Map<string, Uint8Array>();

  constructor(private readonly elf: ElfFile) {}

  /** Contents; empty when the image has no such section. Throws DwarfError for one that is compressed. */
  bytes(name: string): Uint8Array {
    let bytes = this.found.get(name);
    if (!bytes) {
      const section = this.elf.section(name);
      if (section && section.flags & SectionFlag.Compressed) {
        throw new DwarfError(
          name,
          0,
          'debug sections are compressed',
          'Link with -gz=none, or run objcopy --decompress-debug-sections on the image.',
        );
      }
      bytes = section ? this.elf.contents(section) : NONE;
      this.found.set(name, bytes);
    }
    return bytes;
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
