/**
 * What the board asks of every device: its state as bytes, so that a snapshot can keep it, bring it back and hash it.
 * A device writes its state in a fixed order and reads it in the same one; both directions are one method each.
 */
export interface Device {
  readonly name: string;
  save(out: StateWriter): void;
  restore(from: StateReader): void;
}

/** Collects little-endian values. */
export class StateWriter {
  private bytes = new Uint8Array(256);
  private view = new DataView(this.bytes.buffer);
  private length = 0;

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

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
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

  private advance(size: number): number {
    const at = this.at;
    this.at += size;
    return at;
  }
}
