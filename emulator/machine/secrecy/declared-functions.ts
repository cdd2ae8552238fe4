import { RAM_BASE } from '../../memory/layout';
import { OWN_SECRETS, type DeclaredFunction, type HostRange } from './api';
import type { SecretBytes } from './secret-bytes';

const PAGE = 4096;

/** A call of a declared function that has not returned yet. */
interface Call {
  readonly vcpu: number;
  readonly returnsTo: bigint;
  readonly stack: bigint;
  /** wasm address of each page of the output; -1 where there is none */
  readonly pages: readonly number[];
  readonly start: bigint;
  readonly length: number;
  readonly keyed: boolean;
  /** Which of the bytes it has written */
  readonly written: Uint8Array;
}

/** More are not kept: a call that never returns must not hold memory for ever. */
const MOST_CALLS = 64;
/** Bytes of an initialization vector, and of the key that is compared */
const VECTOR_SIZE = 16n;

/**
 * Declared encryption: when such a function returns, the bytes of its output that it has written are no secret any more.
 * Where the monitor's own secrets are declared, only bytes that depend on one: an encryption that has not used the key
 * declares nothing.
 */
export class DeclaredFunctions {
  private readonly byEntry = new Map<bigint, DeclaredFunction>();
  private calls: Call[] = [];

  constructor(
    functions: readonly DeclaredFunction[],
    keys: readonly HostRange[],
    private readonly secrets: SecretBytes,
    private readonly ivReused: (name: string) => void,
    /** Linear addresses at which `reached` is to be called before the instruction executes */
    private readonly announce: (address: bigint) => void,
    private readonly translate: (linear: bigint) => number,
    private readonly read64: (linear: bigint) => bigint | undefined,
  ) {
    this.keyed = keys.length > 0;
    for (const declared of functions) {
      this.byEntry.set(declared.entry, declared);
      announce(declared.entry);
    }
  }

  private readonly keyed: boolean;
  /** Initialization vectors with their keys */
  private vectors = new Set<string>();

  reached(rip: bigint, vcpu: number, gpr: (register: number) => bigint): void {
    const stack = gpr(4);
    this.returned(rip, stack, vcpu);
    const declared = this.byEntry.get(rip);
    const returnsTo = declared && this.read64(stack);
    if (!declared || returnsTo === undefined) return;
    // The same entry again, without an instruction between: a stop of the debugger
    if (this.calls.some((call) => call.vcpu === vcpu && call.stack === stack && call.returnsTo === returnsTo)) return;
    this.checkVector(declared, gpr);
    const start = gpr(declared.output);
    const given = 'bytes' in declared.length ? BigInt(declared.length.bytes) : gpr(declared.length.register);
    const length = Number(BigInt.asUintN(32, given));
    if (length === 0 || length > 1 << 24) return;
    const pages: number[] = [];
    for (let page = start & ~0xfffn; page < start + BigInt(length); page += 4096n) pages.push(this.translate(page));
    if (this.calls.length === MOST_CALLS) this.calls.shift();
    const keyed = this.keyed && declared.keyed;
    this.calls.push({ vcpu, returnsTo, stack, pages, start, length, keyed, written: new Uint8Array(length) });
    this.announce(returnsTo);
  }

  private checkVector({ name, entry, iv, key }: DeclaredFunction, gpr: (register: number) => bigint): void {
    if (iv === undefined) return;
    const words: string[] = [entry.toString(16)];
    for (const pointer of key === undefined ? [iv] : [iv, key])
      for (let at = 0n; at < VECTOR_SIZE; at += 8n) words.push(String(this.read64(gpr(pointer) + at)));
    const pair = words.join();
    if (this.vectors.has(pair)) this.ivReused(name);
    else this.vectors.add(pair);
  }

  private returned(rip: bigint, stack: bigint, vcpu: number): void {
    const call = this.calls.findLast((candidate) => candidate.vcpu === vcpu && candidate.returnsTo === rip);
    if (!call || stack <= call.stack) return;
    this.calls = this.calls.filter((other) => other !== call);
    for (let i = 0; i < call.length; i++) {
      if (call.written[i] === 0) continue;
      const at = this.addressOf(call, i);
      if (at < 0) continue;
      const { bits, labels } = this.secrets.read(at, 1);
      if (bits !== 0n && (!call.keyed || labels & OWN_SECRETS)) this.secrets.clean(at, 1);
    }
  }

  private addressOf({ start, pages }: Call, offset: number): number {
    const inFirst = Number(start & 0xfffn) + offset;
    const page = pages[Math.floor(inFirst / PAGE)] ?? -1;
    return page < 0 ? -1 : page + (inFirst % PAGE);
  }

  /** RAM is written, within a page. */
  written(at: number, length: number, vcpu: number): void {
    const page = at - (at % PAGE);
    for (const call of this.calls) {
      if (call.vcpu !== vcpu) continue;
      for (const [index, known] of call.pages.entries()) {
        if (known !== page) continue;
        const first = index * PAGE + (at % PAGE) - Number(call.start & 0xfffn);
        const from = Math.max(first, 0);
        if (from < first + length) call.written.fill(1, from, Math.min(first + length, call.length));
      }
    }
  }

  get active(): boolean {
    return this.calls.length > 0;
  }

  save(): DeclaredState {
    return { calls: copyOf(this.calls), vectors: new Set(this.vectors) };
  }

  restore({ calls, vectors }: DeclaredState): void {
    this.calls = copyOf(calls);
    this.vectors = new Set(vectors);
  }
}

interface DeclaredState {
  readonly calls: readonly Call[];
  readonly vectors: ReadonlySet<string>;
}

const copyOf = (calls: readonly Call[]): Call[] => calls.map((call) => ({ ...call, written: call.written.slice() }));

export const wasmRange = ({ start, end }: HostRange): { readonly start: number; readonly end: number } => ({
  start: RAM_BASE + start,
  end: RAM_BASE + end,
});
