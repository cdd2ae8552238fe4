import { concat, EMPTY, equal, TpmReader, TpmWriter, trimmed, u32Bytes } from './buffer';
import { decryptCfb, encryptCfb, xor } from './ciphers';
import type { CommandRow } from './command';
import { Alg, Ht, Rc, Rh, Se, SESSION_RESERVED, SessionAttribute } from './constants';
import {
  authOf,
  authValueUsable,
  handleType,
  nameOfEntity,
  policyOf,
  policyUsable,
  protectedFromGuessing,
  type Role,
} from './entities';
import { fail, numbered, ofSession } from './error';
import { digestSize, hash, hmac, LARGEST_DIGEST } from './hash';
import { kdfA } from './kdf';
import { policyFailure } from './policy-check';
import type { Session } from './sessions';
import type { TpmState } from './tpm-state';

const MOST_SESSIONS = 3;
const { CONTINUE, AUDIT_EXCLUSIVE, AUDIT_RESET, DECRYPT, ENCRYPT, AUDIT } = SessionAttribute;

/** One TPMS_AUTH_COMMAND */
interface Entry {
  readonly handle: number;
  readonly session: Session | undefined;
  readonly nonceCaller: Uint8Array;
  readonly attributes: number;
  readonly hmac: Uint8Array;
  /** The entity that it authorizes */
  readonly entity: number | undefined;
  readonly role: Role;
  /** The authorization value is part of the HMAC key (Part 1, clause 19.6.8). */
  includesAuth: boolean;
  /** Kept for an audit session's digest */
  cpHash: Uint8Array;
}

/**
 * The authorization area of one command: Part 1, clauses 18 and 19, in the order in which Part 3, clause 5.5, has the
 * checks made.
 */
export class Authorization {
  private readonly entries: Entry[] = [];

  constructor(
    private readonly tpm: TpmState,
    private readonly row: CommandRow,
    private readonly handles: readonly number[],
    private readonly locality: number,
  ) {}

  /** The session of the first handle */
  get first(): Session | undefined {
    return this.entries[0]?.session;
  }

  parse(area: TpmReader): void {
    while (area.left > 0) {
      const n = this.entries.length + 1;
      if (n > MOST_SESSIONS) fail(Rc.AUTHSIZE);
      this.entries.push(
        numbered(
          (code) => ofSession(code, n),
          () => this.parseEntry(area, n - 1),
        ),
      );
    }
    if (this.entries.length < this.wanted.length) fail(Rc.AUTH_MISSING);
    this.requireUse(DECRYPT, this.row.decrypts);
    this.requireUse(ENCRYPT, this.row.encrypts);
  }

  /** The handles that must be authorized, with their roles; they come first. */
  private get wanted(): { readonly handle: number; readonly role: Role }[] {
    return this.row.handles.flatMap(({ role }, i) => (role ? [{ handle: this.handles[i] ?? 0, role }] : []));
  }

  private requireUse(attribute: number, possible: boolean): void {
    const i = this.entries.findIndex(({ attributes }) => attributes & attribute);
    if (i >= 0 && !possible) fail(ofSession(Rc.ATTRIBUTES, i + 1));
  }

  private parseEntry(area: TpmReader, i: number): Entry {
    const handle = area.u32();
    const type = handleType(handle);
    if (handle !== Rh.PW && type !== Ht.HMAC_SESSION && type !== Ht.POLICY_SESSION) fail(Rc.VALUE);
    const nonceCaller = area.sized(LARGEST_DIGEST);
    const attributes = area.u8();
    if (attributes & SESSION_RESERVED) fail(Rc.RESERVED_BITS);
    const value = area.sized(LARGEST_DIGEST);
    const use = this.wanted[i];
    const session = handle === Rh.PW ? undefined : (this.tpm.sessions.find(handle) ?? fail(Rc.REFERENCE_S0 + i));
    if (session) this.checkSession(handle, session, attributes);
    else {
      if (attributes & (DECRYPT | ENCRYPT | AUDIT | AUDIT_EXCLUSIVE | AUDIT_RESET)) fail(Rc.ATTRIBUTES);
      if (nonceCaller.length !== 0) fail(Rc.NONCE);
    }
    return {
      handle,
      session,
      nonceCaller,
      attributes,
      hmac: value,
      entity: use?.handle,
      role: use?.role ?? 'user',
      includesAuth: false,
      cpHash: EMPTY,
    };
  }

  private checkSession(handle: number, session: Session, attributes: number): void {
    if (session.isTrial) fail(Rc.ATTRIBUTES);
    if (this.entries.some((other) => other.handle === handle)) fail(Rc.HANDLE);
    for (const use of [DECRYPT, ENCRYPT, AUDIT]) {
      if (!(attributes & use)) continue;
      if (this.entries.some((other) => other.attributes & use)) fail(Rc.ATTRIBUTES);
      if (use === AUDIT && session.isPolicy) fail(Rc.ATTRIBUTES);
      if (use !== AUDIT && session.start.cipher.alg === Alg.NULL) fail(Rc.SYMMETRIC);
    }
    if (!(attributes & AUDIT) && attributes & (AUDIT_EXCLUSIVE | AUDIT_RESET)) fail(Rc.ATTRIBUTES);
  }

  /** No session came with the command. */
  requireNone(): void {
    if (this.wanted.length > 0) fail(Rc.AUTH_MISSING);
  }

  /** Checks every session against the parameters as they were sent, encrypted ones too. */
  check(parameters: Uint8Array): void {
    this.entries.forEach((entry, i) =>
      numbered(
        (code) => ofSession(code, i + 1),
        () => this.checkEntry(entry, i, parameters),
      ),
    );
  }

  private checkEntry(entry: Entry, i: number, parameters: Uint8Array): void {
    const { entity, session, attributes } = entry;
    if (entity === undefined) {
      if (!session) fail(Rc.HANDLE);
      if (!(attributes & (DECRYPT | ENCRYPT | AUDIT))) fail(Rc.ATTRIBUTES);
      this.checkHmac(entry, i, parameters);
      return;
    }
    this.checkLockout(entity, entry);
    const access = this.row.nvAccess;
    if (session?.isPolicy) {
      if (!policyUsable(this.tpm, entity, access)) fail(Rc.AUTH_UNAVAILABLE);
      const failure = policyFailure(this.tpm, session, {
        commandCode: this.row.code,
        role: entry.role,
        locality: this.locality,
        policy: policyOf(this.tpm, entity),
        cpHash: () => this.cpHash(session.start.hash, parameters),
        nameHash: () => hash(session.start.hash, ...this.names()),
        entity,
      });
      if (failure) fail(failure);
      if (session.policy.passwordNeeded) this.checkPassword(entry, entity);
      else this.checkHmac(entry, i, parameters);
      return;
    }
    if (!authValueUsable(this.tpm, entity, entry.role, access)) fail(Rc.AUTH_UNAVAILABLE);
    if (session) this.checkHmac(entry, i, parameters);
    else this.checkPassword(entry, entity);
  }

  private checkLockout(entity: number, { session }: Entry): void {
    const { lockout, seconds } = this.tpm;
    if (entity === (Rh.LOCKOUT as number) && lockout.lockoutLocked(seconds)) fail(Rc.LOCKOUT);
    const usesValue = !session?.isPolicy || session.policy.authValueNeeded || session.policy.passwordNeeded;
    if (usesValue && protectedFromGuessing(this.tpm, entity) && lockout.locked(seconds)) fail(Rc.LOCKOUT);
  }

  private refuse(entity: number | undefined): never {
    const { lockout, seconds } = this.tpm;
    if (entity === Rh.LOCKOUT) {
      lockout.lockoutFailure(seconds);
      return fail(Rc.AUTH_FAIL);
    }
    if (entity === undefined || !protectedFromGuessing(this.tpm, entity)) return fail(Rc.BAD_AUTH);
    lockout.failure(seconds);
    return fail(Rc.AUTH_FAIL);
  }

  private checkPassword({ hmac: password }: Entry, entity: number): void {
    if (!equal(trimmed(password), trimmed(authOf(this.tpm, entity)))) this.refuse(entity);
  }

  private checkHmac(entry: Entry, i: number, parameters: Uint8Array): void {
    const { session, entity } = entry;
    if (!session) return;
    entry.includesAuth = entity !== undefined && this.keyHasAuth(session, entity);
    const key = this.hmacKey(entry, session);
    const { hash: alg } = session.start;
    entry.cpHash = this.cpHash(alg, parameters);
    if (key.length === 0 && entry.hmac.length === 0) return;
    const expected = hmac(
      alg,
      key,
      entry.cpHash,
      entry.nonceCaller,
      session.nonceTpm,
      ...(i === 0 && entity !== undefined ? this.otherNonces() : []),
      Uint8Array.of(entry.attributes),
    );
    if (!equal(expected, entry.hmac)) this.refuse(entity);
  }

  /** A session bound to this very entity has its authorization value in the session key already. */
  private keyHasAuth(session: Session, entity: number): boolean {
    if (session.isPolicy) return session.policy.authValueNeeded;
    const { bound } = session.start;
    return !(
      bound &&
      equal(bound.name, nameOfEntity(this.tpm, entity)) &&
      equal(bound.auth, trimmed(authOf(this.tpm, entity)))
    );
  }

  private hmacKey({ includesAuth, entity }: Entry, session: Session): Uint8Array {
    const auth = includesAuth && entity !== undefined ? trimmed(authOf(this.tpm, entity)) : EMPTY;
    return concat(session.start.key, auth);
  }

  /** The first session's HMAC also covers the nonces of other sessions that encrypt parameters (Part 1, clause 19.6.5). */
  private otherNonces(): Uint8Array[] {
    const decrypt = this.entries.findIndex(({ attributes }) => attributes & DECRYPT);
    const encrypt = this.entries.findIndex(({ attributes }) => attributes & ENCRYPT);
    const nonce = (i: number): Uint8Array => this.entries[i]?.session?.nonceTpm ?? EMPTY;
    return [decrypt > 0 ? nonce(decrypt) : EMPTY, encrypt > 0 && encrypt !== decrypt ? nonce(encrypt) : EMPTY];
  }

  private names(): Uint8Array[] {
    return this.handles.map((handle) => nameOfEntity(this.tpm, handle));
  }

  private cpHash(alg: number, parameters: Uint8Array): Uint8Array {
    return hash(alg, u32Bytes(this.row.code), ...this.names(), parameters);
  }

  /** The parameters with the first one decrypted, if a session asks for it (Part 1, clause 21). */
  decrypt(parameters: Uint8Array): Uint8Array {
    const i = this.entries.findIndex(({ attributes }) => attributes & DECRYPT);
    const entry = this.entries[i];
    if (!entry?.session) return parameters;
    const { session, nonceCaller } = entry;
    return numbered(
      (code) => ofSession(code, i + 1),
      () => this.cipher(entry, session, parameters, nonceCaller, session.nonceTpm, false),
    );
  }

  private cipher(
    entry: Entry,
    { start: { hash: alg, cipher, key } }: Session,
    parameters: Uint8Array,
    newer: Uint8Array,
    older: Uint8Array,
    encrypting: boolean,
  ): Uint8Array {
    const reader = new TpmReader(parameters);
    const data = reader.sized(0xffff);
    const sessionValue = concat(key, entry.entity === undefined ? EMPTY : trimmed(authOf(this.tpm, entry.entity)));
    let result: Uint8Array;
    if (cipher.alg === Alg.XOR) {
      result = xor(data, kdfA(cipher.detail, sessionValue, 'XOR', newer, older, data.length * 8));
    } else {
      const material = kdfA(alg, sessionValue, 'CFB', newer, older, cipher.detail + 128);
      const bytes = cipher.detail / 8;
      const run = encrypting ? encryptCfb : decryptCfb;
      result = run(material.slice(0, bytes), material.slice(bytes), data);
    }
    return new TpmWriter().sized(result).raw(reader.rest()).finish();
  }

  /** The response's parameters as they are sent, and its authorization area. */
  respond(parameters: Uint8Array): { parameters: Uint8Array; area: Uint8Array } {
    for (const { session } of this.entries)
      if (session) session.nonceTpm = this.tpm.drbg.bytes(session.nonceTpm.length);
    const encrypting = this.entries.find(({ attributes }) => attributes & ENCRYPT);
    const sent =
      encrypting?.session && parameters.length > 0
        ? this.cipher(
            encrypting,
            encrypting.session,
            parameters,
            encrypting.session.nonceTpm,
            encrypting.nonceCaller,
            true,
          )
        : parameters;
    const area = new TpmWriter();
    for (const entry of this.entries) this.respondEntry(area, entry, sent);
    return { parameters: sent, area: area.finish() };
  }

  private respondEntry(area: TpmWriter, entry: Entry, parameters: Uint8Array): void {
    const { session, attributes } = entry;
    if (!session) {
      area.sized(EMPTY).u8(CONTINUE).sized(EMPTY);
      return;
    }
    const { hash: alg } = session.start;
    const rpHash = hash(alg, u32Bytes(Rc.SUCCESS), u32Bytes(this.row.code), parameters);
    if (attributes & AUDIT) session.audit = auditDigest(session, attributes, entry.cpHash, rpHash);
    // Password sessions of a policy, and sessions without any key, have no HMAC to give back.
    const key = this.hmacKey(entry, session);
    const silent = session.policy.passwordNeeded || (key.length === 0 && entry.hmac.length === 0);
    const value = silent
      ? EMPTY
      : hmac(alg, key, rpHash, session.nonceTpm, entry.nonceCaller, Uint8Array.of(attributes));
    area.sized(session.nonceTpm).u8(attributes).sized(value);
    if (!(attributes & CONTINUE)) this.tpm.sessions.flush(entry.handle);
    else if (session.start.type === Se.POLICY) session.resetPolicy();
  }
}

/** Part 1, clause 31.3.4: a new session, or one that is reset, starts with zeros. */
function auditDigest(session: Session, attributes: number, cpHash: Uint8Array, rpHash: Uint8Array): Uint8Array {
  const { hash: alg } = session.start;
  const fresh = session.audit.length === 0 || attributes & AUDIT_RESET;
  return hash(alg, fresh ? new Uint8Array(digestSize(alg)) : session.audit, cpHash, rpHash);
}
