import type { StateReader, StateWriter } from '../device';
import type { BarRegion } from './bar';
import type { ConfigSpace } from './config-space';

export const MSI_X_CAPABILITY = 0x11;
export const MSI_X_SIZE = 12;
/** Message control */
const ENABLE = 0x8000;
const FUNCTION_MASK = 0x4000;
const ENTRY_WORDS = 4;
const VECTOR_CONTROL = 3;
const MASKED = 1;
const PENDING_OFFSET = 0x800;
const REGION_SIZE = 0x1000;

/** MSI-X (PCI Local Bus Specification 3.0, 6.8.2): table and pending bits in a BAR of their own. */
export class MsiX {
  readonly region: BarRegion;
  private readonly table: Uint32Array;
  private pending = 0;

  /** @param at offset of the capability; the BAR's index is in its table and pending-bit fields */
  constructor(
    private readonly config: ConfigSpace,
    private readonly at: number,
    private readonly vectors: number,
    bar: number,
    private readonly send: (address: bigint, data: number) => void,
  ) {
    this.table = new Uint32Array(vectors * ENTRY_WORDS);
    this.reset();
    config.define(at + 2, 2, vectors - 1, ENABLE | FUNCTION_MASK);
    config.define(at + 4, 4, bar);
    config.define(at + 8, 4, PENDING_OFFSET | bar);
    this.region = {
      name: 'MSI-X table',
      size: REGION_SIZE,
      read: (offset, size) => this.readTable(offset, size),
      write: (offset, size, value) => this.writeTable(offset, size, value),
    };
  }

  get enabled(): boolean {
    return (this.control & ENABLE) !== 0;
  }

  /** Raises a vector; while it is masked it waits as pending. */
  raise(vector: number): void {
    if (vector >= this.vectors) return;
    this.pending |= 1 << vector;
    this.sendPending();
  }

  /** The control word changed: what waited may go. */
  controlChanged(): void {
    this.sendPending();
  }

  reset(): void {
    this.table.fill(0);
    for (let i = 0; i < this.vectors; i++) this.table[i * ENTRY_WORDS + VECTOR_CONTROL] = MASKED;
    this.pending = 0;
  }

  private get control(): number {
    return this.config.get16(this.at + 2);
  }

  private sendPending(): void {
    if (!this.enabled || this.control & FUNCTION_MASK) return;
    for (let vector = 0; vector < this.vectors; vector++) {
      const entry = vector * ENTRY_WORDS;
      if (!(this.pending & (1 << vector)) || (this.table[entry + VECTOR_CONTROL] ?? 0) & MASKED) continue;
      this.pending &= ~(1 << vector);
      const address = (BigInt(this.table[entry + 1] ?? 0) << 32n) | BigInt(this.table[entry] ?? 0);
      this.send(address, this.table[entry + 2] ?? 0);
    }
  }

  private readTable(offset: number, size: number): number {
    if (size !== 4 || offset & 3) return 0;
    if (offset === PENDING_OFFSET) return this.pending;
    return this.table[offset >>> 2] ?? 0;
  }

  /** Doublewords only, as the specification asks of software */
  private writeTable(offset: number, size: number, value: number): void {
    if (size !== 4 || offset & 3 || offset >>> 2 >= this.table.length) return;
    const word = offset >>> 2;
    this.table[word] =
      word % ENTRY_WORDS === VECTOR_CONTROL ? value & MASKED : word % ENTRY_WORDS === 0 ? value & ~3 : value;
    this.sendPending();
  }

  save(out: StateWriter): void {
    for (const word of this.table) out.u32(word);
    out.u32(this.pending);
  }

  restore(from: StateReader): void {
    for (let i = 0; i < this.table.length; i++) this.table[i] = from.u32();
    this.pending = from.u32();
  }
}
