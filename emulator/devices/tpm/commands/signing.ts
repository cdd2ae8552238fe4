import { EMPTY, TpmWriter } from '../buffer';
import { writeClock } from './clock';
import { command, type CommandRow, type Execution } from '../command';
import { Cc, GENERATED, ObjectAttribute, Rc, Rh, St } from '../constants';
import { keyAt } from '../entities';
import { failHandle, failParameter, numbered, ofHandle, ofParameter } from '../error';
import { Alg } from '../constants';
import { digestSize, hash } from '../hash';
import { kdfA } from '../kdf';
import type { KeyObject } from '../object';
import { isTemporary } from '../object';
import { creationTicket, data, digest, hashcheckTicket, selections, signatureScheme } from '../parameters';
import { writeSelections } from '../pcrs';
import { has, NO_SCHEME, type Scheme } from '../public-area';
import {
  isSigningKey,
  NO_SIGNATURE,
  readSignature,
  selectScheme,
  signDigest,
  verifySignature,
  writeSignature,
} from '../signatures';
import { creation, hashcheck, sameTicket, verified, writeTicket } from '../tickets';
import type { TpmState } from '../tpm-state';
import { isHash } from '../hash';

const FIRMWARE_VERSION = 1n << 32n;

/** The key that signs; undefined when the handle is TPM_RH_NULL, and nothing is signed. */
function signer(x: Execution, i: number): KeyObject | undefined {
  const handle = x.handles[i] ?? 0;
  if (handle === (Rh.NULL as number)) return undefined;
  const key = numbered(
    (code) => ofHandle(code, i + 1),
    () => keyAt(x.tpm, handle),
  );
  return isSigningKey(key) ? key : failHandle(Rc.KEY, i + 1);
}

function schemeOf(key: KeyObject | undefined, wanted: Scheme, parameter: number): Scheme {
  if (!key) return NO_SCHEME;
  return numbered(
    (code) => ofParameter(code, parameter),
    () => selectScheme(key, wanted),
  );
}

/** TPMS_ATTEST and its signature (Part 2, clause 10.12.12): what the key vouches for, and when. */
function attest(
  { tpm, out }: Execution,
  key: KeyObject | undefined,
  scheme: Scheme,
  tag: number,
  extraData: Uint8Array,
  body: Uint8Array,
): void {
  const attested = new TpmWriter()
    .u32(GENERATED)
    .u16(tag)
    .sized(key?.qualifiedName ?? EMPTY)
    .sized(extraData);
  writeCounts(attested, tpm, key).raw(body);
  const bytes = attested.finish();
  out.sized(bytes);
  writeSignature(out, key ? signDigest(key, scheme, hash(scheme.hash, bytes)) : NO_SIGNATURE);
}

/**
 * clockInfo and firmwareVersion. For a key that is not of the endorsement or platform hierarchy the counters are
 * obfuscated, so that attestations of different keys cannot be linked by them (Part 1, clause 36.7).
 */
function writeCounts(out: TpmWriter, tpm: TpmState, key: KeyObject | undefined): TpmWriter {
  const open = !key || (!isTemporary(key) && (key.hierarchy === Rh.ENDORSEMENT || key.hierarchy === Rh.PLATFORM));
  if (open) return writeClock(out, tpm).u64(FIRMWARE_VERSION);
  const mask = kdfA(Alg.SHA256, tpm.hierarchies.proof(Rh.OWNER), 'OBFUSCATE', key.qualifiedName, EMPTY, 128);
  const view = new DataView(mask.buffer, mask.byteOffset);
  return out
    .u64(BigInt(tpm.clock))
    .u32((tpm.resetCount + view.getUint32(8)) >>> 0)
    .u32((tpm.restartCount + view.getUint32(12)) >>> 0)
    .u8(1)
    .u64(BigInt.asUintN(64, FIRMWARE_VERSION + view.getBigUint64(0)));
}

/** Part 3, clauses 18, 20 */
export const signingCommands: readonly CommandRow[] = [
  command(
    Cc.Quote,
    'Quote',
    {
      handles: [{ kind: 'object or null', role: 'user' }],
      parameters: [data, signatureScheme, selections],
      encrypts: true,
    },
    (x, extraData, wanted, selected) => {
      const key = signer(x, 0);
      const scheme = schemeOf(key, wanted, 2);
      const existing = x.tpm.pcrs.existing(selected);
      // Without a key the scheme that is asked for still says how the PCR are digested.
      const alg = key ? scheme.hash : wanted.hash;
      if (!isHash(alg)) failParameter(Rc.SCHEME, 2);
      const body = writeSelections(new TpmWriter(), existing).sized(x.tpm.pcrs.digest(alg, existing)).finish();
      attest(x, key, scheme, St.ATTEST_QUOTE, extraData, body);
    },
  ),
  command(
    Cc.Certify,
    'Certify',
    {
      handles: [
        { kind: 'object', role: 'admin' },
        { kind: 'object or null', role: 'user' },
      ],
      parameters: [data, signatureScheme],
      encrypts: true,
    },
    (x, extraData, wanted) => {
      const object = numbered(
        (code) => ofHandle(code, 1),
        () => keyAt(x.tpm, x.handles[0] ?? 0),
      );
      const key = signer(x, 1);
      const scheme = schemeOf(key, wanted, 2);
      const body = new TpmWriter().sized(object.name).sized(object.qualifiedName).finish();
      attest(x, key, scheme, St.ATTEST_CERTIFY, extraData, body);
    },
  ),
  command(
    Cc.CertifyCreation,
    'CertifyCreation',
    {
      handles: [{ kind: 'object or null', role: 'user' }, { kind: 'object' }],
      parameters: [data, digest, signatureScheme, creationTicket],
      encrypts: true,
    },
    (x, extraData, creationHash, wanted, ticket) => {
      const key = signer(x, 0);
      const object = numbered(
        (code) => ofHandle(code, 2),
        () => keyAt(x.tpm, x.handles[1] ?? 0),
      );
      if (!sameTicket(creation(x.tpm, ticket.hierarchy, object.name, creationHash), ticket))
        failParameter(Rc.TICKET, 4);
      const scheme = schemeOf(key, wanted, 3);
      const body = new TpmWriter().sized(object.name).sized(creationHash).finish();
      attest(x, key, scheme, St.ATTEST_CREATION, extraData, body);
    },
  ),
  command(
    Cc.Sign,
    'Sign',
    {
      handles: [{ kind: 'object', role: 'user' }],
      parameters: [digest, signatureScheme, hashcheckTicket],
    },
    (x, value, wanted, ticket) => {
      const key = signer(x, 0) ?? failHandle(Rc.KEY, 1);
      // Such a key signs certificates only (TPM2_CertifyX509), and that command is not here.
      if (has(key.area, ObjectAttribute.X509_SIGN)) failHandle(Rc.ATTRIBUTES, 1);
      const scheme = schemeOf(key, wanted, 2);
      if (value.length !== digestSize(scheme.hash)) failParameter(Rc.SIZE, 1);
      // A restricted key signs only what this TPM has digested and found not to look like its own structures.
      if (ticket.digest.length > 0 || has(key.area, ObjectAttribute.RESTRICTED)) {
        const own = hashcheck(x.tpm, ticket.hierarchy, scheme.hash, value, true);
        if (!sameTicket(own, ticket)) failParameter(Rc.TICKET, 3);
      }
      writeSignature(x.out, signDigest(key, scheme, value));
    },
  ),
  command(
    Cc.VerifySignature,
    'VerifySignature',
    { handles: [{ kind: 'object' }], parameters: [digest, readSignature] },
    (x, value, signature) => {
      const key = numbered(
        (code) => ofHandle(code, 1),
        () => keyAt(x.tpm, x.handles[0] ?? 0),
      );
      if (!isSigningKey(key)) failHandle(Rc.ATTRIBUTES, 1);
      numbered(
        (code) => ofParameter(code, 2),
        () => verifySignature(key, value, signature),
      );
      writeTicket(x.out, verified(x.tpm, key.hierarchy, value, key.name));
    },
  ),
];
