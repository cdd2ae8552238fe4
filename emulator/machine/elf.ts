/**
 * ELF images (System V ABI "gABI", chapters 4 and 5) as the loader and the symbol reader use them.
 *
 * Little-endian ELF32 and ELF64 for i386 and x86-64, executables and shared objects. Headers are read at once; symbols
 * and notes when asked for. Everything read from the file is checked against its length: a malformed file gives an
 * `ElfError` and never anything else.
 */
export class ElfError extends Error {
  override name = 'ElfError';
  /** `offset` is a file offset in bytes; the message already contains it. */
  constructor(
    readonly image: string,
    readonly offset: number,
    problem: string,
    remedy: string,
  ) {
    super(`${image}: ${problem} (at file offset 0x${offset.toString(16)}). ${remedy}`);
  }
}

export interface ElfSegment {
  /** PT_*: 1 LOAD, 2 DYNAMIC, 4 NOTE, 7 TLS, ... */
  readonly type: number;
  readonly offset: number;
  readonly vaddr: bigint;
  readonly paddr: bigint;
  readonly filesz: number;
  /** May exceed what fits in memory: the loader decides. */
  readonly memsz: bigint;
  /** PF_*: 1 execute, 2 write, 4 read */
  readonly flags: number;
  readonly align: bigint;
}

export interface ElfSection {
  readonly index: number;
  readonly name: string;
  /** SHT_*: 1 PROGBITS, 2 SYMTAB, 3 STRTAB, 7 NOTE, 8 NOBITS, 11 DYNSYM, ... */
  readonly type: number;
  readonly flags: number;
  readonly addr: bigint;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly align: number;
  readonly entsize: number;
}

export interface ElfSymbol {
  readonly name: string;
  readonly value: bigint;
  readonly size: bigint;
  /** STT_*: 0 none, 1 object, 2 function, 3 section, 4 file, 6 TLS, 10 indirect function */
  readonly type: number;
  /** STB_*: 0 local, 1 global, 2 weak */
  readonly binding: number;
  /** Section index; 0 undefined, 0xfff1 absolute, 0xfff2 common */
  readonly section: number;
}

export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly descriptor: Uint8Array;
  /** Of the note's header, in the file */
  readonly offset: number;
}

export const ElfMachine = { I386: 3, X86_64: 62 } as const;
export const SegmentType = { Load: 1, Interpreter: 3, Note: 4 } as const;
export const SectionType = { SymTab: 2, Note: 7, NoBits: 8, DynSym: 11 } as const;
export const SectionFlag = { Alloc: 2, Execute: 4, Compressed: 0x800 } as const;

const COMPILE = 'Give an x86 ELF executable made by the linker.';
const REBUILD = 'The file is damaged or was cut short: build or copy it again.';

export interface ElfFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly class: 32 | 64;
  /** e_machine: one of ElfMachine */
  readonly machine: number;
  /** e_type: 2 executable, 3 shared object or position-independent executable */
  readonly type: number;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  readonly sections: readonly ElfSection[];
  section(name: string): ElfSection | undefined;
  /** The section's bytes in the file, a view and no copy; empty for NOBITS. */
  contents(section: ElfSection): Uint8Array;
  /** The bytes of a segment in the file (filesz of them), a view and no copy. */
  segmentBytes(segment: ElfSegment): Uint8Array;
  /** .symtab, or .dynsym when the image was stripped. File order, without the null symbol. */
  symbols(): readonly ElfSymbol[];
  /** Of SHT_NOTE sections and PT_NOTE segments, each note once, in file order. */
  notes(): readonly ElfNote[];
}

/** Reads headers and tables. Throws ElfError. */
export function parseElf(bytes: Uint8Array, name: string): ElfFile {
  return new ElfImage(bytes, name);
}

/** The 32-bit physical entry of a PVH image: note "Xen", type 18 (XEN_ELFNOTE_PHYS32_ENTRY). Undefined: not a PVH image. */
export function pvhEntry(elf: ElfFile): bigint | undefined {
  const note = elf.notes().find((n) => n.name === 'Xen' && n.type === 18);
  if (!note) return undefined;
  const d = note.descriptor;
  if (d.length !== 4 && d.length !== 8) {
    throw new ElfError(elf.name, note.offset, `PVH entry note has ${d.length} bytes, not 4 or 8`, REBUILD);
  }
  return d.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

class ElfImage implements ElfFile {
  readonly class: 32 | 64;
  readonly machine: number;
  readonly type: number;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  readonly sections: readonly ElfSection[];
  private readonly view: DataView;
  private readonly byName = new Map<string, ElfSection>();
  private symbolCache: readonly ElfSymbol[] | undefined;
  private noteCache: readonly ElfNote[] | undefined;

  constructor(
    readonly bytes: Uint8Array,
    readonly name: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.checkIdentification();
    this.class = bytes[4] === 2 ? 64 : 32;
    this.need(0, this.class === 64 ? 64 : 52, 'ELF header');
    this.type = this.u16(16);
    this.machine = this.u16(18);
    this.checkKind();
    this.entry = this.word(24);
    const wide = this.class === 64;
    const at = wide
      ? { ph: 32, sh: 40, phSize: 54, phCount: 56, shSize: 58, shCount: 60, names: 62 }
      : { ph: 28, sh: 32, phSize: 42, phCount: 44, shSize: 46, shCount: 48, names: 50 };
    const sectionTable = this.offset(this.word(at.sh), at.sh, 'section header table');
    this.sections = this.readSections(sectionTable, at.shSize, at.shCount, at.names);
    let segmentCount = this.u16(at.phCount);
    // gABI: PN_XNUM means that the count is in sh_info of section 0.
    if (segmentCount === 0xffff && sectionTable !== 0) segmentCount = this.u32(sectionTable + (wide ? 44 : 28));
    this.segments = this.readSegments(
      this.offset(this.word(at.ph), at.ph, 'program header table'),
      at.phSize,
      segmentCount,
    );
  }

  section(name: string): ElfSection | undefined {
    return this.byName.get(name);
  }

  contents(section: ElfSection): Uint8Array {
    if (section.type === SectionType.NoBits) return this.bytes.subarray(0, 0);
    this.need(section.offset, section.size, `section ${section.name || section.index}`);
    return this.bytes.subarray(section.offset, section.offset + section.size);
  }

  segmentBytes(segment: ElfSegment): Uint8Array {
    this.need(segment.offset, segment.filesz, 'segment');
    return this.bytes.subarray(segment.offset, segment.offset + segment.filesz);
  }

  symbols(): readonly ElfSymbol[] {
    return (this.symbolCache ??= this.readSymbols());
  }

  notes(): readonly ElfNote[] {
    return (this.noteCache ??= this.readNotes());
  }

  private checkIdentification(): void {
    const b = this.bytes;
    if (b.length < 16) this.fail(0, `is no ELF file: it has only ${b.length} bytes`, COMPILE);
    if (b[0] !== 0x7f || b[1] !== 0x45 || b[2] !== 0x4c || b[3] !== 0x46) {
      const start = Array.from(b.subarray(0, 4), (x) => x.toString(16).padStart(2, '0')).join(' ');
      const kind = b[0] === 0x4d && b[1] === 0x5a ? ', as a PE image or bzImage does' : '';
      this.fail(0, `is no ELF file: it begins with ${start}${kind}, not 7f 45 4c 46`, COMPILE);
    }
    if (b[4] !== 1 && b[4] !== 2) this.fail(4, `ELF class ${b[4]} is neither 1 (32-bit) nor 2 (64-bit)`, REBUILD);
    if (b[5] !== 1) this.fail(5, `ELF data encoding ${b[5]} is not 1 (little-endian)`, COMPILE);
    if (b[6] !== 1) this.fail(6, `ELF version ${b[6]} is not 1`, REBUILD);
  }

  private checkKind(): void {
    if (this.machine !== ElfMachine.X86_64 && this.machine !== ElfMachine.I386) {
      const known: Record<number, string> = { 40: ' (Arm)', 183: ' (AArch64)', 243: ' (RISC-V)', 8: ' (MIPS)' };
      this.fail(
        18,
        `is for machine ${this.machine}${known[this.machine] ?? ''}, not x86-64 (62) or i386 (3)`,
        'Build it for x86.',
      );
    }
    if (this.class === 64 && this.machine === ElfMachine.I386) {
      this.fail(18, 'is ELF64 but for i386, which has only ELF32', REBUILD);
    }
    if (this.type === 1) this.fail(16, 'is a relocatable object (ET_REL)', 'Link it into an executable first.');
    if (this.type !== 2 && this.type !== 3) {
      this.fail(16, `has type ${this.type}, neither executable (2) nor shared object (3)`, COMPILE);
    }
  }

  private readSegments(table: number, sizeAt: number, count: number): ElfSegment[] {
    if (table === 0 || count === 0) return [];
    const wide = this.class === 64;
    const stride = this.entrySize(sizeAt, wide ? 56 : 32, 'program header');
    this.need(table, stride * count, `${count} program headers`);
    const segments: ElfSegment[] = [];
    for (let i = 0, at = table; i < count; i++, at += stride) {
      // The two classes order the fields differently (gABI figure 5-1).
      const [offset, vaddr, paddr, filesz, memsz, flags, align] = wide
        ? [8, 16, 24, 32, 40, 4, 48]
        : [4, 8, 12, 16, 20, 24, 28];
      const type = this.u32(at);
      const segment: ElfSegment = {
        type,
        offset: this.offset(this.word(at + offset), at + offset, `segment ${i}`),
        vaddr: this.word(at + vaddr),
        paddr: this.word(at + paddr),
        filesz: this.offset(this.word(at + filesz), at + filesz, `size of segment ${i}`),
        memsz: this.word(at + memsz),
        flags: this.u32(at + flags),
        align: this.word(at + align),
      };
      if (type === SegmentType.Load) {
        this.need(segment.offset, segment.filesz, `loadable segment ${i}`);
        if (segment.memsz < BigInt(segment.filesz)) {
          this.fail(at + memsz, `segment ${i} is larger in the file than in memory`, REBUILD);
        }
      }
      segments.push(segment);
    }
    return segments;
  }

  private readSections(table: number, sizeAt: number, countAt: number, namesAt: number): ElfSection[] {
    if (table === 0) return [];
    const wide = this.class === 64;
    const stride = this.entrySize(sizeAt, wide ? 64 : 40, 'section header');
    this.need(table, stride, 'section header 0');
    // gABI: counts that do not fit are in section 0.
    const count = this.u16(countAt) || this.offset(this.word(table + (wide ? 32 : 20)), countAt, 'number of sections');
    const nameIndex = this.u16(namesAt) === 0xffff ? this.u32(table + (wide ? 40 : 24)) : this.u16(namesAt);
    this.need(table, stride * count, `${count} section headers`);
    const field = wide
      ? { flags: 8, addr: 16, offset: 24, size: 32, link: 40, align: 48, entsize: 56 }
      : { flags: 8, addr: 12, offset: 16, size: 20, link: 24, align: 32, entsize: 36 };
    const place = (index: number, at: number) => ({
      offset: this.offset(this.word(at + field.offset), at + field.offset, `section ${index}`),
      size: Number(this.word(at + field.size)),
    });
    let names: Uint8Array | undefined;
    if (nameIndex !== 0 && nameIndex < count) {
      const at = table + nameIndex * stride;
      const { offset, size } = place(nameIndex, at);
      this.need(offset, size, 'section name table');
      names = this.bytes.subarray(offset, offset + size);
    }
    const sections: ElfSection[] = [];
    for (let index = 0, at = table; index < count; index++, at += stride) {
      const section: ElfSection = {
        index,
        name: names ? cString(names, this.u32(at)) : '',
        type: this.u32(at + 4),
        flags: Number(this.word(at + field.flags) & 0xffff_ffffn),
        addr: this.word(at + field.addr),
        ...place(index, at),
        link: this.u32(at + field.link),
        align: Number(this.word(at + field.align)),
        entsize: Number(this.word(at + field.entsize)),
      };
      sections.push(section);
      if (section.name !== '' && !this.byName.has(section.name)) this.byName.set(section.name, section);
    }
    return sections;
  }

  private readSymbols(): ElfSymbol[] {
    const table =
      this.sections.find((s) => s.type === SectionType.SymTab) ??
      this.sections.find((s) => s.type === SectionType.DynSym);
    if (!table || table.size === 0) return [];
    const wide = this.class === 64;
    const stride = wide ? 24 : 16;
    if (table.entsize !== stride) {
      this.fail(table.offset, `symbol table has entries of ${table.entsize} bytes, not ${stride}`, REBUILD);
    }
    this.need(table.offset, table.size, 'symbol table');
    const strings = this.sections[table.link];
    if (!strings)
      return this.fail(table.offset, `symbol table names string table ${table.link}, which is absent`, REBUILD);
    const names = this.contents(strings);
    const symbols: ElfSymbol[] = [];
    const end = table.offset + table.size - stride;
    for (let at = table.offset + stride; at <= end; at += stride) {
      const info = this.bytes[at + (wide ? 4 : 12)]!;
      symbols.push({
        name: cString(names, this.u32(at)),
        value: this.word(at + (wide ? 8 : 4)),
        size: this.word(at + (wide ? 16 : 8)),
        type: info & 15,
        binding: info >> 4,
        section: this.u16(at + (wide ? 6 : 14)),
      });
    }
    return symbols;
  }

  private readNotes(): ElfNote[] {
    const found = new Map<number, ElfNote>();
    for (const s of this.sections) {
      if (s.type === SectionType.Note) this.readNoteArea(s.offset, s.size, s.align, found);
    }
    for (const s of this.segments) {
      if (s.type === SegmentType.Note) this.readNoteArea(s.offset, s.filesz, Number(s.align), found);
    }
    return [...found.values()].sort((a, b) => a.offset - b.offset);
  }

  private readNoteArea(start: number, size: number, declared: number, found: Map<number, ElfNote>): void {
    this.need(start, size, 'notes');
    const align = declared === 8 ? 8 : 4;
    const up = (n: number) => Math.ceil(n / align) * align;
    for (let at = start; at + 12 <= start + size;) {
      const nameSize = this.u32(at);
      const length = this.u32(at + 4);
      const descriptor = at + up(12 + nameSize);
      const end = descriptor + length;
      if (end > start + size) this.fail(at, 'note is longer than the section or segment it is in', REBUILD);
      if (!found.has(at)) {
        found.set(at, {
          name: cString(this.bytes.subarray(at + 12, at + 12 + nameSize), 0),
          type: this.u32(at + 8),
          descriptor: this.bytes.subarray(descriptor, end),
          offset: at,
        });
      }
      at = at + up(end - at);
    }
  }

  private entrySize(at: number, least: number, what: string): number {
    const size = this.u16(at);
    if (size < least) this.fail(at, `${what} entries have ${size} bytes, fewer than ${least}`, REBUILD);
    return size;
  }

  private u16(at: number): number {
    return this.view.getUint16(at, true);
  }

  private u32(at: number): number {
    return this.view.getUint32(at, true);
  }

  /** An Addr, Off or Xword of the class */
  private word(at: number): bigint {
    return this.class === 64 ? this.view.getBigUint64(at, true) : BigInt(this.view.getUint32(at, true));
  }

  /** A file offset or size as a number; one beyond 2^53 is certainly outside. */
  private offset(value: bigint, at: number, what: string): number {
    if (value > 0x1f_ffff_ffff_ffffn)
      this.fail(at, `${what}: offset or size 0x${value.toString(16)} is absurd`, REBUILD);
    return Number(value);
  }

  private need(offset: number, size: number, what: string): void {
    if (offset + size > this.bytes.length) {
      this.fail(
        offset,
        `${what} needs bytes up to 0x${(offset + size).toString(16)}, but the file ends at 0x${this.bytes.length.toString(16)}`,
        REBUILD,
      );
    }
  }

  private fail(offset: number, problem: string, remedy: string): never {
    throw new ElfError(this.name, offset, problem, remedy);
  }
}

const utf8 = new TextDecoder();

/** The NUL-terminated string at `offset`; up to the end when no NUL follows, empty when `offset` is outside. */
export function cString(bytes: Uint8Array, offset: number): string {
  let text = '';
  for (let i = offset; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === 0) return text;
    if (byte >= 0x80) {
      const end = bytes.indexOf(0, i);
      return utf8.decode(bytes.subarray(offset, end < 0 ? bytes.length : end));
    }
    text += String.fromCharCode(byte);
  }
  return text;
}
