import { concat, EMPTY, trimmed } from '../buffer';
import { command, type CommandRow, type Execution } from '../command';
import { Cc, ObjectAttribute, Rc, Rh } from '../constants';
import { loadContext, readContext, saveContext } from '../contexts';
import { authOf, keyAt, nameOfEntity, objectAt } from '../entities';
import { failHandle, failParameter, numbered, ofHandle, ofParameter, TpmError } from '../error';
import { digestSize } from '../hash';
import { kdfA } from '../kdf';
import { contextHandle, encryptedSecret, hashAlg, nonce, sessionCipher, sessionType } from '../parameters';
import { has } from '../public-area';
import { digestBits, recoverSecret } from '../secret-exchange';
import type { SessionCipher } from '../sessions';

const SMALLEST_NONCE = 16;
const NULL: number = Rh.NULL;

/** The salt that only this TPM's key can decrypt (Part 1, clause 19.6.13) */
function saltOf({ tpm, handles: [keyHandle = 0] }: Execution, encrypted: Uint8Array): Uint8Array {
  if (keyHandle === NULL) return encrypted.length === 0 ? EMPTY : failParameter(Rc.VALUE, 2);
  const key = numbered(
    (code) => ofHandle(code, 1),
    () => keyAt(tpm, keyHandle),
  );
  if (!has(key.area, ObjectAttribute.DECRYPT)) failHandle(Rc.ATTRIBUTES, 1);
  if (!key.sensitive) failHandle(Rc.HANDLE, 1);
  if (encrypted.length === 0) failParameter(Rc.VALUE, 2);
  try {
    return recoverSecret(key, 'SECRET', encrypted);
  } catch (error) {
    if (error instanceof TpmError) return failParameter(Rc.VALUE, 2);
    throw error;
  }
}

function startSession(
  x: Execution,
  nonceCaller: Uint8Array,
  encrypted: Uint8Array,
  type: number,
  cipher: SessionCipher,
  hash: number,
): void {
  const { tpm, handles, out } = x;
  const [key = 0, bind = 0] = handles;
  if (nonceCaller.length < SMALLEST_NONCE || nonceCaller.length > digestSize(hash)) failParameter(Rc.SIZE, 1);
  const salt = saltOf(x, encrypted);
  const bound = bind === NULL ? undefined : objectAt(tpm, bind);
  if (bound && (bound.kind !== 'key' || !bound.sensitive)) failHandle(Rc.HANDLE, 2);
  const auth = bind === NULL ? EMPTY : trimmed(authOf(tpm, bind));
  const nonceTpm = tpm.drbg.bytes(nonceCaller.length);
  const plain = key === NULL && bind === NULL;
  x.resultHandle = tpm.sessions.add({
    type,
    hash,
    cipher,
    key: plain ? EMPTY : kdfA(hash, concat(auth, salt), 'ATH', nonceTpm, nonceCaller, digestBits(hash)),
    nonceTpm,
    startedAt: tpm.time,
    bound: bind === NULL ? undefined : { name: nameOfEntity(tpm, bind), auth },
  });
  out.sized(nonceTpm);
}

/** Part 3, clauses 11.1, 28.1 to 28.4 */
export const sessionCommands: readonly CommandRow[] = [
  command(
    Cc.StartAuthSession,
    'StartAuthSession',
    {
      handles: [{ kind: 'object or null' }, { kind: 'entity or null' }],
      parameters: [nonce, encryptedSecret, sessionType, sessionCipher, hashAlg],
      encrypts: true,
      resultHandle: true,
    },
    startSession,
  ),
  command(Cc.ContextSave, 'ContextSave', { handles: [{ kind: 'context' }], noSessions: true }, (x) => {
    const { sequence, savedHandle, hierarchy, blob } = saveContext(x.tpm, x.handles[0] ?? 0);
    x.out.u64(sequence).u32(savedHandle).u32(hierarchy).sized(blob);
  }),
  command(
    Cc.ContextLoad,
    'ContextLoad',
    { parameters: [readContext], noSessions: true, resultHandle: true },
    (x, context) => {
      x.resultHandle = numbered(
        (code) => ofParameter(code, 1),
        () => loadContext(x.tpm, context),
      );
    },
  ),
  command(Cc.FlushContext, 'FlushContext', { parameters: [contextHandle], noSessions: true }, ({ tpm }, handle) => {
    if (!tpm.objects.flush(handle) && !tpm.sessions.flush(handle)) failParameter(Rc.HANDLE, 1);
  }),
];
