/**
 * What the board asks of every device: its state as bytes, so that a snapshot can keep it, bring it back and hash it.
 * A device writes its state in a fixed order and reads it in the same one; both directions are one method each.
 */
export interface Device {
  readonly name: string;
  save(out: StateWriter): void;
  restore(from: StateReader): void;
}

/** State that is kept as an object which never changes, and shares with others what they have in common */
export interface SharedState {
  /** What it takes of its own */
  readonly bytes: number;
}

/** Collects little-endian values. */
export class StateWriter {
  private bytes = new Uint8Array(256);
  private view = new DataView(this.bytes.buffer);
  private length = 0;

  /**
   * @param sharing where objects go that stay in memory with the bytes, for a snapshot that does not leave this process;
   * absent: the bytes are all
   */
  constructor(private readonly sharing?: SharedState[]) {}

  /** True: the object itself is kept, and nothing else of it need be written. It must never change. */
  shares(state: () => SharedState): boolean {
    this.sharing?.push(state());
    return this.sharing !== undefined;
  }

  u8(value: number): void {
    const at = this.reserve(1);
    this.view.setUint8(at, value);
  }

  u32(value: number): void {
    const at = this.reserve(4);
    this.view.setUint32(at, value, true);
  }

  u64(value: bigint): void {
    const at = this.reserve(8);
    this.view.setBigUint64(at, value, true);
  }

  /** A clock value: exact to 2^53, and infinity */
  f64(value: number): void {
    const at = this.reserve(8);
    this.view.setFloat64(at, value, true);
  }

  blob(bytes: Uint8Array): void {
    this.u32(bytes.length);
    const at = this.reserve(bytes.length);
    this.bytes.set(bytes, at);
  }

  finish(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  /** Where the next value goes. `bytes` and `view` may be others afterwards. */
  private reserve(size: number): number {
    const at = this.length;
    this.length += size;
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.length, this.bytes.length * 2));
      grown.set(this.bytes);
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    return at;
  }
}

/** Reads what a StateWriter wrote. Running past the end is a RangeError: the bytes are of another version. */
export class StateReader {
  private readonly view: DataView;
  private at = 0;

  private nextShared = 0;

  /** @param sharing what the writer was given, when it was */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly sharing?: readonly SharedState[],
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The object that the writer kept at this place, or undefined when everything is in the bytes */
  shared(): SharedState | undefined {
    return this.sharing?.[this.nextShared++];
  }

  u8(): number {
    return this.view.getUint8(this.advance(1));
  }

  u32(): number {
    return this.view.getUint32(this.advance(4), true);
  }

  u64(): bigint {
    return this.view.getBigUint64(this.advance(8), true);
  }

  f64(): number {
    return this.view.getFloat64(this.advance(8), true);
  }

  blob(): Uint8Array {
    const length = this.u32();
    const at = this.advance(length);
    if (this.at > this.bytes.length) throw new RangeError('device state ends early');
    return this.bytes.slice(at, at + length);
  }

  /** Bytes that are still to be read */
  get left(): number {
    return this.bytes.length - this.at;
  }

  private advance(size: number): number {
    const at = this.at;
    this.at += size;
    return at;
  }
}
