import type { ElfFile, ElfSymbol } from '../../emulator/machine/elf';
import { SectionFlag } from '../../emulator/machine/elf';

const STT_NOTYPE = 0;
const STT_OBJECT = 1;
const STT_FUNC = 2;
const STT_GNU_IFUNC = 10;

/** ELF symbols that stand for code or data, by address and by name: what assembly without DWARF has. */
export class SymbolTable {
  /** By address; at one address the preferred symbol last */
  private readonly sorted: readonly ElfSymbol[];
  private readonly names = new Map<string, ElfSymbol[]>();

  constructor(private readonly elf: ElfFile) {
    const rank = (s: ElfSymbol) => (s.size > 0n ? 4 : 0) + (s.type !== STT_NOTYPE ? 2 : 0) + (s.binding !== 0 ? 1 : 0);
    this.sorted = elf
      .symbols()
      .filter((s) => {
        const usable =
          s.type === STT_NOTYPE || s.type === STT_OBJECT || s.type === STT_FUNC || s.type === STT_GNU_IFUNC;
        const allocated = ((elf.sections[s.section]?.flags ?? 0) & SectionFlag.Alloc) !== 0;
        return usable && s.name !== '' && allocated;
      })
      .sort((a, b) => (a.value < b.value ? -1 : a.value > b.value ? 1 : rank(a) - rank(b)));
    for (const symbol of this.sorted) {
      const same = this.names.get(symbol.name);
      if (same) same.push(symbol);
      else this.names.set(symbol.name, [symbol]);
    }
  }

  named(name: string): readonly ElfSymbol[] {
    return this.names.get(name) ?? [];
  }

  isCode(symbol: ElfSymbol): boolean {
    return ((this.elf.sections[symbol.section]?.flags ?? 0) & SectionFlag.Execute) !== 0;
  }

  /**
   * The symbol that covers the address. One with a size covers that many bytes; a label without size covers what
   * follows it up to the next symbol or the end of its section.
   */
  at(address: bigint): ElfSymbol | undefined {
    for (let i = this.firstAfter(address) - 1; i >= 0; i--) {
      const symbol = this.sorted[i]!;
      if (symbol.size > 0n) {
        if (address < symbol.value + symbol.size) return symbol;
        // Behind a sized symbol only an enclosing one could still cover: look a little further back.
        if (this.firstAfter(address) - i > 16) return undefined;
        continue;
      }
      const section = this.elf.sections[symbol.section]!;
      const sectionEnd = section.addr + BigInt(section.size);
      if (address < sectionEnd && !this.sizedBetween(i, address)) return symbol;
      if (address >= sectionEnd) return undefined;
    }
    return undefined;
  }

  /** First address behind the symbol: its size, or the next symbol or the section's end */
  end(symbol: ElfSymbol): bigint {
    if (symbol.size > 0n) return symbol.value + symbol.size;
    const next = this.sorted[this.firstAfter(symbol.value)];
    const section = this.elf.sections[symbol.section]!;
    const sectionEnd = section.addr + BigInt(section.size);
    return next && next.value < sectionEnd ? next.value : sectionEnd;
  }

  /** A sized symbol starts between label `i` and the address: the bytes behind it belong to no label. */
  private sizedBetween(i: number, address: bigint): boolean {
    const label = this.sorted[i]!;
    for (let k = i + 1; k < this.sorted.length && this.sorted[k]!.value <= address; k++) {
      if (this.sorted[k]!.size > 0n && this.sorted[k]!.value > label.value) return true;
    }
    return false;
  }

  private firstAfter(address: bigint): number {
    let low = 0;
    let high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.sorted[middle]!.value <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
