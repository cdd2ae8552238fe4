import type { StateReader, StateWriter } from '../device';
import { EMPTY } from './buffer';
import { Ht, Rc, Se } from './constants';
import { fail } from './error';
import { digestSize } from './hash';

/** TPMT_SYM_DEF of a session: AES in CFB mode, XOR with a hash, or NULL (Part 2, clause 11.1.6) */
export interface SessionCipher {
  readonly alg: number;
  /** AES: the key's size. XOR: the hash */
  readonly detail: number;
}

/** What the policy commands have recorded, and the digest that they extended (Part 1, clause 19.7). */
export interface PolicyState {
  digest: Uint8Array;
  commandCode: number;
  cpHash: Uint8Array;
  nameHash: Uint8Array;
  /** Bit per locality that is allowed; 0: not asked */
  locality: number;
  authValueNeeded: boolean;
  passwordNeeded: boolean;
  /** pcrUpdateCounter when PolicyPCR looked; -1: it did not */
  pcrUpdates: number;
  /** Milliseconds of the TPM's clock at which it expires; 0: never */
  expires: number;
  /** TPMA_NV_WRITTEN must be 0 or 1; -1: not asked */
  nvWritten: number;
}

const noPolicy = (alg: number): PolicyState => ({
  digest: new Uint8Array(digestSize(alg)),
  commandCode: 0,
  cpHash: EMPTY,
  nameHash: EMPTY,
  locality: 0,
  authValueNeeded: false,
  passwordNeeded: false,
  pcrUpdates: -1,
  expires: 0,
  nvWritten: -1,
});

export interface SessionStart {
  readonly type: number;
  readonly hash: number;
  readonly cipher: SessionCipher;
  readonly key: Uint8Array;
  readonly nonceTpm: Uint8Array;
  readonly startedAt: number;
  /** Name and authorization value of the entity that it was bound to */
  readonly bound: { readonly name: Uint8Array; readonly auth: Uint8Array } | undefined;
}

export class Session {
  nonceTpm: Uint8Array;
  policy: PolicyState;
  /** Digest of a session audit; empty until it is used as one */
  audit: Uint8Array = EMPTY;

  constructor(readonly start: SessionStart) {
    this.nonceTpm = start.nonceTpm;
    this.policy = noPolicy(start.hash);
  }

  get isPolicy(): boolean {
    return this.start.type !== Se.HMAC;
  }

  get isTrial(): boolean {
    return this.start.type === Se.TRIAL;
  }

  resetPolicy(): void {
    this.policy = noPolicy(this.start.hash);
  }

  save(out: StateWriter): void {
    const { type, hash, cipher, key, startedAt, bound } = this.start;
    out.u8(type);
    out.u32(hash);
    out.u32(cipher.alg);
    out.u32(cipher.detail);
    out.f64(startedAt);
    out.u8(bound ? 1 : 0);
    for (const part of [key, bound?.name ?? EMPTY, bound?.auth ?? EMPTY, this.nonceTpm, this.audit]) out.blob(part);
    const { policy } = this;
    for (const part of [policy.digest, policy.cpHash, policy.nameHash]) out.blob(part);
    out.u32(policy.commandCode);
    out.u8(policy.locality);
    out.u8((policy.authValueNeeded ? 1 : 0) | (policy.passwordNeeded ? 2 : 0));
    for (const part of [policy.pcrUpdates, policy.expires, policy.nvWritten]) out.f64(part);
  }

  static restore(from: StateReader): Session {
    const type = from.u8();
    const hash = from.u32();
    const cipher = { alg: from.u32(), detail: from.u32() };
    const startedAt = from.f64();
    const isBound = from.u8() !== 0;
    const key = from.blob();
    const entity = { name: from.blob(), auth: from.blob() };
    const nonceTpm = from.blob();
    const session = new Session({ type, hash, cipher, key, nonceTpm, startedAt, bound: isBound ? entity : undefined });
    session.audit = from.blob();
    const { policy } = session;
    policy.digest = from.blob();
    policy.cpHash = from.blob();
    policy.nameHash = from.blob();
    policy.commandCode = from.u32();
    policy.locality = from.u8();
    const needs = from.u8();
    policy.authValueNeeded = (needs & 1) !== 0;
    policy.passwordNeeded = (needs & 2) !== 0;
    policy.pcrUpdates = from.f64();
    policy.expires = from.f64();
    policy.nvWritten = from.f64();
    return session;
  }
}

/** A session that was started and not flushed: in memory, or saved under a number that can be loaded once */
type Active = { readonly type: number; session: Session | undefined; savedAs: bigint };

export const LOADED_SESSIONS = 3;
export const ACTIVE_SESSIONS = 64;
const INDEX = 0xffffff;

/** The TPM's sessions by handle. Saved ones keep their handle (Part 1, clause 30.4). */
export class Sessions {
  private readonly active = new Map<number, Active>();

  clear(): void {
    this.active.clear();
  }

  get loadedCount(): number {
    return [...this.active.values()].filter(({ session }) => session).length;
  }

  get activeCount(): number {
    return this.active.size;
  }

  add(start: SessionStart): number {
    if (this.loadedCount >= LOADED_SESSIONS) fail(Rc.SESSION_MEMORY);
    for (let index = 0; index < ACTIVE_SESSIONS; index++) {
      if (this.active.has(index)) continue;
      const type = start.type === Se.HMAC ? Ht.HMAC_SESSION : Ht.POLICY_SESSION;
      this.active.set(index, { type, session: new Session(start), savedAs: 0n });
      return type * 0x1000000 + index;
    }
    return fail(Rc.SESSION_HANDLES);
  }

  private at(handle: number): Active | undefined {
    const found = this.active.get(handle & INDEX);
    return found && found.type === handle >>> 24 ? found : undefined;
  }

  find(handle: number): Session | undefined {
    return this.at(handle)?.session;
  }

  isSaved(handle: number): boolean {
    const found = this.at(handle);
    return found !== undefined && !found.session;
  }

  flush(handle: number): boolean {
    return this.at(handle) !== undefined && this.active.delete(handle & INDEX);
  }

  /** The session's memory is freed; what remains is the number under which it can come back. */
  saveContext(handle: number, sequence: bigint): void {
    const found = this.at(handle);
    if (!found) return;
    found.session = undefined;
    found.savedAs = sequence;
  }

  loadContext(handle: number, sequence: bigint, session: Session): void {
    const found = this.at(handle);
    if (!found || found.session || found.savedAs !== sequence) fail(Rc.HANDLE);
    if (this.loadedCount >= LOADED_SESSIONS) fail(Rc.SESSION_MEMORY);
    found.session = session;
  }

  /** Handles of this type (TPM_HT) that are loaded, or saved */
  handles(saved: boolean): number[] {
    return [...this.active.entries()]
      .filter(([, { session }]) => saved === !session)
      .map(([index, { type }]) => type * 0x1000000 + index)
      .sort((a, b) => a - b);
  }

  save(out: StateWriter): void {
    out.u32(this.active.size);
    for (const [index, { type, session, savedAs }] of this.active) {
      out.u32(index);
      out.u8(type);
      out.u64(savedAs);
      out.u8(session ? 1 : 0);
      session?.save(out);
    }
  }

  restore(from: StateReader): void {
    this.active.clear();
    for (let left = from.u32(); left > 0; left--) {
      const index = from.u32();
      const type = from.u8();
      const savedAs = from.u64();
      this.active.set(index, { type, savedAs, session: from.u8() ? Session.restore(from) : undefined });
    }
  }
}
