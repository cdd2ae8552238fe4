import { sha1 } from '@noble/hashes/legacy.js';
import { hmac as nobleHmac } from '@noble/hashes/hmac.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import type { StateReader, StateWriter } from '../device';
import { Alg, Rc } from './constants';
import { fail } from './error';

interface HashRow {
  readonly name: string;
  readonly size: number;
  readonly block: number;
  readonly noble: typeof sha1;
}

/** Every hash algorithm of this TPM; the order is that of TPM_ALG_ID. */
export const HASHES: Readonly<Record<number, HashRow>> = {
  [Alg.SHA1]: { name: 'sha1', size: 20, block: 64, noble: sha1 },
  [Alg.SHA256]: { name: 'sha256', size: 32, block: 64, noble: sha256 },
  [Alg.SHA384]: { name: 'sha384', size: 48, block: 128, noble: sha384 },
  [Alg.SHA512]: { name: 'sha512', size: 64, block: 128, noble: sha512 },
};

export const LARGEST_DIGEST = 64;

export function hashRow(alg: number): HashRow {
  return HASHES[alg] ?? fail(Rc.HASH);
}

export const isHash = (alg: number): boolean => HASHES[alg] !== undefined;
export const digestSize = (alg: number): number => HASHES[alg]?.size ?? 0;

export function hash(alg: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const state = hashRow(alg).noble.create();
  for (const part of parts) state.update(part);
  return state.digest();
}

export function hmac(alg: number, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const state = nobleHmac.create(hashRow(alg).noble, key);
  for (const part of parts) state.update(part);
  return state.digest();
}

/** What noble keeps of an unfinished digest: a snapshot of the machine may fall into the middle of one. */
interface Running {
  buffer: Uint8Array;
  length: number;
  pos: number;
  get(): number[];
  set(...words: number[]): void;
  update(bytes: Uint8Array): void;
  digest(): Uint8Array;
}

/** A digest under way, whose state can be saved between any two bytes. */
export class HashSequence {
  private readonly running: Running;

  constructor(readonly alg: number) {
    this.running = hashRow(alg).noble.create() as unknown as Running;
  }

  update(bytes: Uint8Array): this {
    this.running.update(bytes);
    return this;
  }

  /** The digest; the sequence is used up. */
  digest(): Uint8Array {
    return this.running.digest();
  }

  save(out: StateWriter): void {
    const { running } = this;
    out.u32(this.alg);
    out.f64(running.length);
    out.blob(running.buffer.slice(0, running.pos));
    const words = running.get();
    out.u32(words.length);
    for (const word of words) out.u32(word >>> 0);
  }

  static restore(from: StateReader): HashSequence {
    const sequence = new HashSequence(from.u32());
    const { running } = sequence;
    running.length = from.f64();
    const partial = from.blob();
    running.buffer.set(partial);
    running.pos = partial.length;
    running.set(...Array.from({ length: from.u32() }, () => from.u32() | 0));
    return sequence;
  }
}

/** HMAC (RFC 2104) as two digests, so that the inner one can be saved. */
export class HmacSequence {
  private constructor(
    private readonly inner: HashSequence,
    private readonly key: Uint8Array,
  ) {}

  static start(alg: number, key: Uint8Array): HmacSequence {
    const { block } = hashRow(alg);
    const short = key.length > block ? hash(alg, key) : key;
    const padded = new Uint8Array(block);
    padded.set(short);
    return new HmacSequence(new HashSequence(alg).update(padded.map((byte) => byte ^ 0x36)), padded);
  }

  update(bytes: Uint8Array): void {
    this.inner.update(bytes);
  }

  digest(): Uint8Array {
    return hash(
      this.inner.alg,
      this.key.map((byte) => byte ^ 0x5c),
      this.inner.digest(),
    );
  }

  save(out: StateWriter): void {
    this.inner.save(out);
    out.blob(this.key);
  }

  static restore(from: StateReader): HmacSequence {
    const inner = HashSequence.restore(from);
    return new HmacSequence(inner, from.blob());
  }
}
