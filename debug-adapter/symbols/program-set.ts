/**
 * Several images in one address space, each with a load bias: a layer of the stack that is debugged. Usage:
 *
 *   const set = new ProgramSet();
 *   const image = set.add(Program.open(bytes, 'guest.elf'), bias);
 *   set.symbolAt(rip)?.name
 *
 * All addresses in and out are run-time addresses: link address + bias, modulo 2^64.
 */
import type { AddressRange, FunctionSymbol, LineAddresses, LineRow, Probe, SymbolPlace } from './api';
import type { Program } from './program';

const wrap = (address: bigint) => BigInt.asUintN(64, address);

/** An image at its place. */
export class LoadedProgram {
  constructor(
    readonly program: Program,
    /** Run-time address minus link address */
    readonly bias: bigint,
  ) {}

  get name(): string {
    return this.program.name;
  }

  toLink(address: bigint): bigint {
    return wrap(address - this.bias);
  }

  toRun(address: bigint): bigint {
    return wrap(address + this.bias);
  }

  contains(address: bigint): boolean {
    return this.program.contains(this.toLink(address));
  }

  symbolAt(address: bigint): SymbolPlace | undefined {
    const place = this.program.symbolAt(this.toLink(address));
    if (!place) return undefined;
    return { ...place, address: this.toRun(place.address) };
  }

  lineAt(address: bigint): LineRow | undefined {
    const row = this.program.lineAt(this.toLink(address));
    return row && { ...row, address: this.toRun(row.address), end: this.toRun(row.end) };
  }

  functionAt(address: bigint): FunctionSymbol | undefined {
    const f = this.program.functionAt(this.toLink(address));
    return f && this.shiftFunction(f);
  }

  functionsNamed(name: string): readonly FunctionSymbol[] {
    return this.program.functionsNamed(name).map((f) => this.shiftFunction(f));
  }

  addressesOf(path: string, line: number): readonly LineAddresses[] {
    return this.program
      .addressesOf(path, line)
      .map((l) => ({ ...l, addresses: l.addresses.map((a) => this.toRun(a)) }));
  }

  breakAddressesOf(name: string): readonly bigint[] {
    return this.program.breakAddressesOf(name).map((a) => this.toRun(a));
  }

  afterPrologue(entry: bigint): bigint {
    return this.toRun(this.program.afterPrologue(this.toLink(entry)));
  }

  probes(): readonly Probe[] {
    return this.program.probes().map((p) => ({
      ...p,
      pc: this.toRun(p.pc),
      semaphore: p.semaphore === 0n ? 0n : this.toRun(p.semaphore),
      arguments: p.arguments.map((a) => ({
        ...a,
        evaluate: (registers, memory, bias = this.bias) => a.evaluate(registers, memory, bias),
      })),
    }));
  }

  private shiftFunction(f: FunctionSymbol): FunctionSymbol {
    const shift = (r: AddressRange) => ({ low: this.toRun(r.low), high: this.toRun(r.high) });
    return { ...f, entry: this.toRun(f.entry), ranges: f.ranges.map(shift) };
  }
}

export class ProgramSet {
  private readonly loaded: LoadedProgram[] = [];

  get images(): readonly LoadedProgram[] {
    return this.loaded;
  }

  add(program: Program, bias = 0n): LoadedProgram {
    const image = new LoadedProgram(program, wrap(bias));
    this.loaded.push(image);
    return image;
  }

  remove(image: LoadedProgram): void {
    const index = this.loaded.indexOf(image);
    if (index >= 0) this.loaded.splice(index, 1);
  }

  /** The image whose loaded parts contain the address */
  imageAt(address: bigint): LoadedProgram | undefined {
    return this.loaded.find((image) => image.contains(address));
  }

  symbolAt(address: bigint): (SymbolPlace & { image: LoadedProgram }) | undefined {
    const image = this.imageAt(address);
    const symbol = image?.symbolAt(address);
    return image && symbol && { ...symbol, image };
  }

  lineAt(address: bigint): LineRow | undefined {
    return this.imageAt(address)?.lineAt(address);
  }

  functionAt(address: bigint): FunctionSymbol | undefined {
    return this.imageAt(address)?.functionAt(address);
  }

  functionsNamed(name: string): readonly FunctionSymbol[] {
    return this.loaded.flatMap((image) => image.functionsNamed(name));
  }

  addressesOf(path: string, line: number): readonly (LineAddresses & { image: LoadedProgram })[] {
    return this.loaded.flatMap((image) => image.addressesOf(path, line).map((l) => ({ ...l, image })));
  }

  probes(): readonly (Probe & { image: LoadedProgram })[] {
    return this.loaded.flatMap((image) => image.probes().map((p) => ({ ...p, image })));
  }

  /** "name+0x12" or "0x..." when no symbol covers the address */
  format(address: bigint): string {
    const symbol = this.symbolAt(address);
    if (!symbol) return `0x${address.toString(16)}`;
    return symbol.offset === 0n ? symbol.name : `${symbol.name}+0x${symbol.offset.toString(16)}`;
  }
}
