import type { StateReader, StateWriter } from '../device';
import { concat, u32Bytes } from './buffer';
import { Alg } from './constants';
import { hash, hmac } from './hash';

/**
 * HMAC_DRBG of SP 800-90A with SHA-256. It has no entropy source: the machine is deterministic, so two machines with the
 * same seed draw the same numbers. What it protects is therefore no secret from whoever knows the configuration.
 */
export class Drbg {
  private key = new Uint8Array(32);
  private value = new Uint8Array(32).fill(1);

  constructor(seed: Uint8Array) {
    this.update(seed);
  }

  bytes(count: number): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let have = 0; have < count; have += 32) {
      this.value = hmac(Alg.SHA256, this.key, this.value) as Uint8Array<ArrayBuffer>;
      parts.push(this.value);
    }
    this.update(new Uint8Array(0));
    return concat(...parts).slice(0, count);
  }

  /** Mixes additional input in (TPM2_StirRandom). */
  stir(data: Uint8Array): void {
    this.update(data);
  }

  private update(data: Uint8Array): void {
    for (const round of data.length > 0 ? [0, 1] : [0]) {
      this.key = hmac(Alg.SHA256, this.key, this.value, Uint8Array.of(round), data) as Uint8Array<ArrayBuffer>;
      this.value = hmac(Alg.SHA256, this.key, this.value) as Uint8Array<ArrayBuffer>;
    }
  }

  save(out: StateWriter): void {
    out.blob(this.key);
    out.blob(this.value);
  }

  restore(from: StateReader): void {
    this.key = from.blob() as Uint8Array<ArrayBuffer>;
    this.value = from.blob() as Uint8Array<ArrayBuffer>;
  }
}

/** The DRBG that derives a primary key: repeatable from the hierarchy's seed and the template (Part 1, clause 14.4). */
export const primaryDrbg = (seed: Uint8Array, template: Uint8Array): Drbg =>
  new Drbg(concat(seed, hash(Alg.SHA256, u32Bytes(template.length), template)));
