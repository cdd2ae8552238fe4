import { concat, EMPTY, equal, TpmWriter, u32Bytes } from '../buffer';
import { command, type CommandRow, type Execution } from '../command';
import { Alg, Cc, Rc, Rh, Se, St } from '../constants';
import { keyAt, nameOfEntity } from '../entities';
import { fail, failHandle, failParameter, numbered, ofHandle, ofParameter } from '../error';
import { digestSize, hash } from '../hash';
import {
  authTicket,
  digest,
  digestList,
  i32,
  name,
  nonce,
  selections,
  u32,
  u8,
  verifiedTicket,
  yesNo,
  type Ticket,
} from '../parameters';
import { writeSelections, type PcrSelection } from '../pcrs';
import type { Session } from '../sessions';
import { readSignature, verifySignature } from '../signatures';
import { authorized, sameTicket, verified, writeTicket } from '../tickets';

const POLICY = { kind: 'policy session' } as const;

/** The policy session among the handles; it is loaded, the dispatcher has seen to that. */
const sessionOf = ({ tpm, handles }: Execution, i = 0): Session =>
  tpm.sessions.find(handles[i] ?? 0) ?? fail(Rc.HANDLE);

/** policyDigest := H(policyDigest || command code || what the command asserts) (Part 1, clause 19.7.5) */
function extend({ policy, start }: Session, code: number, ...parts: readonly Uint8Array[]): void {
  policy.digest = hash(start.hash, policy.digest, u32Bytes(code), ...parts);
}

/** The form of those that also take a policyRef: two extensions (Part 3, clause 23.2.3) */
function extendReferenced(session: Session, code: number, subject: Uint8Array, policyRef: Uint8Array): void {
  extend(session, code, subject);
  session.policy.digest = hash(session.start.hash, session.policy.digest, policyRef);
}

function setCpHash(session: Session, cpHash: Uint8Array): void {
  if (cpHash.length === 0) return;
  const { policy } = session;
  if (policy.cpHash.length > 0 && !equal(policy.cpHash, cpHash)) fail(Rc.CPHASH);
  policy.cpHash = cpHash;
}

/** Milliseconds of TPM time at which an authorization ends; 0: never. A negative expiration asks for a ticket. */
const deadline = (from: number, expiration: number): number =>
  expiration === 0 ? 0 : from + Math.abs(expiration) * 1000;

/** What PolicySecret and PolicySigned have in common before their own proof (Part 3, clause 23.2.2) */
function checkAssertion(
  x: Execution,
  session: Session,
  nonceTpm: Uint8Array,
  cpHash: Uint8Array,
  expiration: number,
): number {
  if (nonceTpm.length > 0 && !equal(nonceTpm, session.nonceTpm)) failParameter(Rc.NONCE, 1);
  if (cpHash.length > 0 && cpHash.length !== digestSize(session.start.hash)) failParameter(Rc.SIZE, 2);
  const expires = deadline(nonceTpm.length > 0 ? session.start.startedAt : x.tpm.time, expiration);
  if (expires !== 0 && nonceTpm.length > 0 && expires < x.tpm.time) failParameter(Rc.EXPIRED, 4);
  return expires;
}

/** Records the assertion, and answers with a ticket if one was asked for. */
function assert(
  x: Execution,
  session: Session,
  assertion: {
    readonly code: number;
    readonly tag: number;
    readonly entity: number;
    readonly subject: Uint8Array;
    readonly cpHash: Uint8Array;
    readonly policyRef: Uint8Array;
    readonly expires: number;
    readonly wantsTicket: boolean;
  },
): void {
  const { code, tag, entity, subject, cpHash, policyRef, expires } = assertion;
  const { policy } = session;
  setCpHash(session, cpHash);
  extendReferenced(session, code, subject, policyRef);
  if (expires !== 0 && !session.isTrial && (policy.expires === 0 || expires < policy.expires)) policy.expires = expires;
  if (!assertion.wantsTicket || session.isTrial) {
    writeTicket(x.out.sized(EMPTY), { tag, hierarchy: Rh.NULL, digest: EMPTY });
    return;
  }
  const hierarchy = hierarchyOf(x, entity);
  const ticket = authorized(x.tpm, tag, hierarchy, { expires, cpHash, policyRef, name: subject });
  writeTicket(x.out.sized(new TpmWriter().u64(BigInt(expires)).finish()), ticket);
}

function hierarchyOf({ tpm }: Execution, entity: number): number {
  const type = entity >>> 24;
  if (type === 0x80 || type === 0x81) return keyAt(tpm, entity).hierarchy;
  const own: readonly number[] = [Rh.PLATFORM, Rh.ENDORSEMENT];
  return own.includes(entity) ? entity : Rh.OWNER;
}

const policySecret = command(
  Cc.PolicySecret,
  'PolicySecret',
  {
    handles: [{ kind: 'entity', role: 'user' }, POLICY],
    parameters: [nonce, digest, nonce, i32],
    encrypts: true,
  },
  (x, nonceTpm, cpHash, policyRef, expiration) => {
    const session = sessionOf(x, 1);
    const expires = checkAssertion(x, session, nonceTpm, cpHash, expiration);
    const entity = x.handles[0] ?? 0;
    const subject = nameOfEntity(x.tpm, entity);
    const wantsTicket = expiration < 0;
    assert(x, session, {
      code: Cc.PolicySecret,
      tag: St.AUTH_SECRET,
      entity,
      subject,
      cpHash,
      policyRef,
      expires,
      wantsTicket,
    });
  },
);

const policySigned = command(
  Cc.PolicySigned,
  'PolicySigned',
  {
    handles: [{ kind: 'object' }, POLICY],
    parameters: [nonce, digest, nonce, i32, readSignature],
    encrypts: true,
  },
  (x, nonceTpm, cpHash, policyRef, expiration, signature) => {
    const session = sessionOf(x, 1);
    const key = numbered(
      (code) => ofHandle(code, 1),
      () => keyAt(x.tpm, x.handles[0] ?? 0),
    );
    const expires = session.isTrial ? 0 : checkAssertion(x, session, nonceTpm, cpHash, expiration);
    if (!session.isTrial) {
      if (signature.alg === Alg.NULL) failParameter(Rc.SCHEME, 5);
      const aHash = hash(signature.hash, nonceTpm, u32Bytes(expiration >>> 0), cpHash, policyRef);
      numbered(
        (code) => ofParameter(code, 5),
        () => verifySignature(key, aHash, signature),
      );
    }
    assert(x, session, {
      code: Cc.PolicySigned,
      tag: St.AUTH_SIGNED,
      entity: x.handles[0] ?? 0,
      subject: key.name,
      cpHash,
      policyRef,
      expires,
      wantsTicket: expiration < 0,
    });
  },
);

const policyTicket = command(
  Cc.PolicyTicket,
  'PolicyTicket',
  { handles: [POLICY], parameters: [nonce, digest, nonce, name, authTicket] },
  (x, timeout, cpHash, policyRef, authName, ticket: Ticket) => {
    const session = sessionOf(x);
    if (session.isTrial) failHandle(Rc.ATTRIBUTES, 1);
    if (timeout.length !== 8) failParameter(Rc.SIZE, 1);
    const expires = Number(new DataView(timeout.buffer, timeout.byteOffset).getBigUint64(0));
    if (cpHash.length > 0 && cpHash.length !== digestSize(session.start.hash)) failParameter(Rc.SIZE, 2);
    const own = authorized(x.tpm, ticket.tag, ticket.hierarchy, { expires, cpHash, policyRef, name: authName });
    if (!sameTicket(own, ticket)) failParameter(Rc.TICKET, 5);
    if (expires < x.tpm.time) failParameter(Rc.EXPIRED, 1);
    const code = ticket.tag === St.AUTH_SECRET ? Cc.PolicySecret : Cc.PolicySigned;
    setCpHash(session, cpHash);
    extendReferenced(session, code, authName, policyRef);
    const { policy } = session;
    if (policy.expires === 0 || expires < policy.expires) policy.expires = expires;
  },
);

const policyPcr = command(
  Cc.PolicyPCR,
  'PolicyPCR',
  { handles: [POLICY], parameters: [digest, selections] },
  (x, expected, selected: readonly PcrSelection[]) => {
    const { pcrs } = x.tpm;
    const session = sessionOf(x);
    const { policy, start } = session;
    const existing = pcrs.existing(selected);
    const current = pcrs.digest(start.hash, existing);
    if (!session.isTrial) {
      if (policy.pcrUpdates >= 0 && policy.pcrUpdates !== pcrs.updates) fail(Rc.PCR_CHANGED);
      if (expected.length > 0 && !equal(expected, current)) failParameter(Rc.VALUE, 1);
      policy.pcrUpdates = pcrs.updates;
    }
    const asserted = session.isTrial && expected.length > 0 ? expected : current;
    extend(session, Cc.PolicyPCR, writeSelections(new TpmWriter(), existing).finish(), asserted);
  },
);

const policyOr = command(Cc.PolicyOR, 'PolicyOR', { handles: [POLICY], parameters: [digestList] }, (x, branches) => {
  const session = sessionOf(x);
  const { policy, start } = session;
  if (!session.isTrial && !branches.some((branch) => equal(branch, policy.digest))) failParameter(Rc.VALUE, 1);
  policy.digest = new Uint8Array(digestSize(start.hash));
  extend(session, Cc.PolicyOR, concat(...branches));
});

const policyAuthorize = command(
  Cc.PolicyAuthorize,
  'PolicyAuthorize',
  { handles: [POLICY], parameters: [digest, nonce, name, verifiedTicket] },
  (x, approved, policyRef, keySign, ticket: Ticket) => {
    const session = sessionOf(x);
    const { policy, start } = session;
    const nameAlg = keySign.length >= 2 ? (keySign[0] ?? 0) * 256 + (keySign[1] ?? 0) : Alg.NULL;
    if (!digestSize(nameAlg)) failParameter(Rc.HASH, 3);
    if (keySign.length !== 2 + digestSize(nameAlg)) failParameter(Rc.SIZE, 3);
    if (!session.isTrial) {
      if (!equal(approved, policy.digest)) failParameter(Rc.VALUE, 1);
      const aHash = hash(nameAlg, approved, policyRef);
      if (!sameTicket(verified(x.tpm, ticket.hierarchy, aHash, keySign), ticket)) failParameter(Rc.VALUE, 4);
    }
    policy.digest = new Uint8Array(digestSize(start.hash));
    extendReferenced(session, Cc.PolicyAuthorize, keySign, policyRef);
  },
);

const policyCommandCode = (known: (code: number) => boolean): CommandRow =>
  command(Cc.PolicyCommandCode, 'PolicyCommandCode', { handles: [POLICY], parameters: [u32] }, (x, code) => {
    const session = sessionOf(x);
    if (session.policy.commandCode !== 0 && session.policy.commandCode !== code) failParameter(Rc.VALUE, 1);
    if (!known(code)) failParameter(Rc.POLICY_CC, 1);
    extend(session, Cc.PolicyCommandCode, u32Bytes(code));
    session.policy.commandCode = code;
  });

const policyLocality = command(
  Cc.PolicyLocality,
  'PolicyLocality',
  { handles: [POLICY], parameters: [u8] },
  (x, locality) => {
    const session = sessionOf(x);
    const { policy } = session;
    if (locality === 0) failParameter(Rc.RANGE, 1);
    const previous = policy.locality;
    if (previous !== 0 && previous < 32 !== locality < 32) failParameter(Rc.RANGE, 1);
    if (previous >= 32 && previous !== locality) failParameter(Rc.RANGE, 1);
    const both = previous === 0 || previous >= 32 ? locality : previous & locality;
    if (both === 0) failParameter(Rc.RANGE, 1);
    extend(session, Cc.PolicyLocality, Uint8Array.of(locality));
    policy.locality = both;
  },
);

const policyHashes: readonly CommandRow[] = [
  command(Cc.PolicyCpHash, 'PolicyCpHash', { handles: [POLICY], parameters: [digest] }, (x, cpHash) => {
    const session = sessionOf(x);
    if (cpHash.length !== digestSize(session.start.hash)) failParameter(Rc.SIZE, 1);
    if (session.policy.nameHash.length > 0) fail(Rc.CPHASH);
    setCpHash(session, cpHash);
    extend(session, Cc.PolicyCpHash, cpHash);
  }),
  command(Cc.PolicyNameHash, 'PolicyNameHash', { handles: [POLICY], parameters: [digest] }, (x, nameHash) => {
    const session = sessionOf(x);
    if (nameHash.length !== digestSize(session.start.hash)) failParameter(Rc.SIZE, 1);
    const { policy } = session;
    if (policy.cpHash.length > 0 || policy.nameHash.length > 0) fail(Rc.CPHASH);
    policy.nameHash = nameHash;
    extend(session, Cc.PolicyNameHash, nameHash);
  }),
];

const policySimple: readonly CommandRow[] = [
  command(Cc.PolicyAuthValue, 'PolicyAuthValue', { handles: [POLICY] }, (x) => {
    const session = sessionOf(x);
    extend(session, Cc.PolicyAuthValue);
    session.policy.authValueNeeded = true;
    session.policy.passwordNeeded = false;
  }),
  // It asserts what PolicyAuthValue does, so that either can satisfy one policy.
  command(Cc.PolicyPassword, 'PolicyPassword', { handles: [POLICY] }, (x) => {
    const session = sessionOf(x);
    extend(session, Cc.PolicyAuthValue);
    session.policy.passwordNeeded = true;
    session.policy.authValueNeeded = false;
  }),
  command(Cc.PolicyNvWritten, 'PolicyNvWritten', { handles: [POLICY], parameters: [yesNo] }, (x, written) => {
    const session = sessionOf(x);
    const wanted = written ? 1 : 0;
    if (session.policy.nvWritten >= 0 && session.policy.nvWritten !== wanted) failParameter(Rc.VALUE, 1);
    extend(session, Cc.PolicyNvWritten, Uint8Array.of(wanted));
    session.policy.nvWritten = wanted;
  }),
  command(Cc.PolicyGetDigest, 'PolicyGetDigest', { handles: [POLICY], encrypts: true }, (x) => {
    x.out.sized(sessionOf(x).policy.digest);
  }),
  command(Cc.PolicyRestart, 'PolicyRestart', { handles: [POLICY] }, (x) => {
    const session = sessionOf(x);
    if (session.start.type !== Se.HMAC) session.resetPolicy();
  }),
];

/** Part 3, clauses 11.2 and 23 */
export const policyCommands = (known: (code: number) => boolean): readonly CommandRow[] => [
  policySigned,
  policySecret,
  policyTicket,
  policyOr,
  policyPcr,
  policyLocality,
  policyCommandCode(known),
  ...policyHashes,
  policyAuthorize,
  ...policySimple,
];
