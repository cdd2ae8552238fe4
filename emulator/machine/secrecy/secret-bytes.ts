import { pageOf } from '../../memory/machine-memory';

const PAGE = 4096;
const PAGE_SHIFT = 12;

/** The secret bytes of one page of RAM. */
export interface SecretPage {
  /** Not 0: every bit of the page belongs to these owners, since step `origin`; the arrays do not count. */
  whole: number;
  origin: number;
  /** Secret bits of each byte */
  bits: Uint8Array | undefined;
  labels: Uint8Array | undefined;
  origins: Int32Array | undefined;
  /** Bytes with a secret bit */
  count: number;
  /** A snapshot has it too: to be copied before it changes */
  kept: boolean;
}

/** What is known of some bytes. One object, overwritten by each question. */
export interface Secret {
  /** Secret bits, those of the first byte lowest; at most 8 bytes */
  bits: bigint;
  labels: number;
  /** Of the first secret byte */
  origin: number;
}

/**
 * Which bits of RAM are secret, whose they are (a bit for each owner), and the step that brought them there (Flows).
 * Addresses are wasm addresses. A page without secrets takes no memory.
 */
export class SecretBytes {
  private pages = new Map<number, SecretPage>();
  readonly found: Secret = { bits: 0n, labels: 0, origin: 0 };

  /**
   * @param changed what generated code may do with a page by itself is to be asked again: it has got its first secret, or is
   *   no longer whole
   */
  constructor(private readonly changed: (ramPage: number) => void) {}

  page(ramPage: number): SecretPage | undefined {
    return this.pages.get(ramPage >>> PAGE_SHIFT);
  }

  /** wasm addresses of the pages that hold secrets */
  *all(): IterableIterator<readonly [number, SecretPage]> {
    for (const [number, page] of this.pages) yield [number * PAGE, page];
  }

  get size(): number {
    return this.pages.size;
  }

  /** Whether one of the bytes is secret; within a page */
  touches(at: number, size: number): boolean {
    const page = this.pages.get(at >>> PAGE_SHIFT);
    if (!page) return false;
    if (page.whole !== 0) return true;
    const { bits } = page;
    if (!bits) return false;
    const first = at & (PAGE - 1);
    for (let i = first; i < first + size; i++) if (bits[i] !== 0) return true;
    return false;
  }

  /** At most 8 bytes within a page; the answer is `found`. */
  read(at: number, size: number): Secret {
    const { found } = this;
    found.bits = 0n;
    found.labels = 0;
    found.origin = 0;
    const page = this.pages.get(at >>> PAGE_SHIFT);
    if (!page) return found;
    if (page.whole !== 0) {
      found.bits = (1n << BigInt(8 * size)) - 1n;
      found.labels = page.whole;
      found.origin = page.origin;
      return found;
    }
    const { bits, labels, origins } = page;
    if (!bits || !labels || !origins) return found;
    const first = at & (PAGE - 1);
    for (let i = size - 1; i >= 0; i--) {
      const byte = bits[first + i] ?? 0;
      if (byte === 0) continue;
      found.bits |= BigInt(byte) << BigInt(8 * i);
      found.labels |= labels[first + i] ?? 0;
      found.origin = origins[first + i] ?? 0;
    }
    return found;
  }

  /** The bytes have these secret bits from now on (0: none); within a page, at most 8. */
  write(at: number, size: number, secret: bigint, labels: number, origin: number): void {
    if (secret === 0n) {
      this.clean(at, size);
      return;
    }
    const page = this.parts(at);
    const first = at & (PAGE - 1);
    const { bits, labels: owners, origins } = page;
    if (!bits || !owners || !origins) return;
    for (let i = 0; i < size; i++) {
      const byte = Number((secret >> BigInt(8 * i)) & 0xffn);
      const index = first + i;
      page.count += Number(byte !== 0) - Number(bits[index] !== 0);
      bits[index] = byte;
      owners[index] = byte ? labels : 0;
      origins[index] = byte ? origin : 0;
    }
    if (page.count === 0) this.forget(at);
  }

  /** All bits of any number of bytes */
  fill(at: number, size: number, labels: number, origin: number): void {
    for (let done = 0; done < size;) {
      const part = Math.min(8 - ((at + done) & 7), size - done);
      this.write(at + done, part, (1n << BigInt(8 * part)) - 1n, labels, origin);
      done += part;
    }
  }

  /** Any number of bytes hold no secret any more. */
  clean(at: number, size: number): void {
    for (let done = 0; done < size;) {
      const here = at + done;
      const part = Math.min(PAGE - (here & (PAGE - 1)), size - done);
      this.cleanInPage(here, part);
      done += part;
    }
  }

  private cleanInPage(at: number, size: number): void {
    const known = this.pages.get(at >>> PAGE_SHIFT);
    if (!known) return;
    if (size === PAGE) {
      this.forget(at);
      return;
    }
    const page = this.parts(at);
    const first = at & (PAGE - 1);
    const { bits, labels, origins } = page;
    if (!bits || !labels || !origins) return;
    for (let i = first; i < first + size; i++) {
      if (bits[i] === 0) continue;
      bits[i] = 0;
      labels[i] = 0;
      origins[i] = 0;
      page.count--;
    }
    if (page.count === 0) this.forget(at);
  }

  private forget(at: number): void {
    this.pages.delete(at >>> PAGE_SHIFT);
    this.changed(pageOf(at));
  }

  /** Every bit of the page belongs to these owners. */
  fillPage(ramPage: number, labels: number, origin: number): void {
    const known = this.pages.get(ramPage >>> PAGE_SHIFT);
    this.pages.set(ramPage >>> PAGE_SHIFT, {
      whole: labels,
      origin,
      bits: undefined,
      labels: undefined,
      origins: undefined,
      count: PAGE,
      kept: false,
    });
    if (!known || known.whole !== 0) this.changed(ramPage);
  }

  /** The page, kept byte by byte */
  private parts(at: number): SecretPage {
    const number = at >>> PAGE_SHIFT;
    let page = this.pages.get(number);
    if (page?.bits) return page.kept ? this.copied(number, page) : page;
    const { whole = 0, origin = 0 } = page ?? {};
    page = {
      whole: 0,
      origin: 0,
      bits: new Uint8Array(PAGE).fill(whole ? 0xff : 0),
      labels: new Uint8Array(PAGE).fill(whole),
      origins: new Int32Array(PAGE).fill(origin),
      count: whole ? PAGE : 0,
      kept: false,
    };
    this.pages.set(number, page);
    this.changed(pageOf(at));
    return page;
  }

  private copied(number: number, { bits, labels, origins, ...page }: SecretPage): SecretPage {
    const copy = { ...page, bits: bits?.slice(), labels: labels?.slice(), origins: origins?.slice(), kept: false };
    this.pages.set(number, copy);
    return copy;
  }

  /** Costs a reference a page; what changes later is copied then. */
  save(): ReadonlyMap<number, SecretPage> {
    for (const page of this.pages.values()) page.kept = true;
    return new Map(this.pages);
  }

  restore(saved: ReadonlyMap<number, SecretPage>): void {
    this.pages = new Map(saved);
  }
}
