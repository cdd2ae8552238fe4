import { StateReader, StateWriter } from '../device';
import { equal, TpmReader, TpmWriter, u32Bytes } from './buffer';
import { decryptCfb, encryptCfb } from './ciphers';
import { Alg, Ht, Rc, Rh } from './constants';
import { handleType } from './entities';
import { fail } from './error';
import { digestSize, hmac } from './hash';
import { kdfA } from './kdf';
import { isTemporary, restoreObject, saveObject, type TpmObject } from './object';
import { Session } from './sessions';
import type { TpmState } from './tpm-state';

/** TPMS_CONTEXT (Part 2, clause 14.5) */
export interface Context {
  readonly sequence: bigint;
  readonly savedHandle: number;
  readonly hierarchy: number;
  readonly blob: Uint8Array;
}

/** TPMI_DH_SAVED: what an object's context says it is */
const ORDINARY = 0x80000000;
const SEQUENCE = 0x80000001;
const ST_CLEAR = 0x80000002;

/**
 * Contexts that leave the TPM, encrypted and signed with a proof (Part 1, clause 30.3). They end with the next TPM Reset,
 * those of stClear objects with any Startup(CLEAR).
 */
function protect(tpm: TpmState, context: Omit<Context, 'blob'>) {
  const { sequence, savedHandle, hierarchy } = context;
  const proof = tpm.hierarchies.proof(hierarchy);
  const number = new TpmWriter().u64(sequence).finish();
  const material = kdfA(Alg.SHA256, proof, 'CONTEXT', number, u32Bytes(savedHandle), 256 + 128);
  const epoch = new TpmWriter()
    .u32(tpm.resetCount)
    .u32(savedHandle === ST_CLEAR ? tpm.restartCount : 0)
    .finish();
  return {
    key: material.slice(0, 32),
    iv: material.slice(32),
    integrity: (encrypted: Uint8Array) =>
      hmac(Alg.SHA256, proof, epoch, number, u32Bytes(savedHandle), u32Bytes(hierarchy), encrypted),
  };
}

function seal(tpm: TpmState, context: Omit<Context, 'blob'>, content: Uint8Array): Context {
  const { key, iv, integrity } = protect(tpm, context);
  const encrypted = encryptCfb(key, iv, content);
  return { ...context, blob: new TpmWriter().sized(integrity(encrypted)).raw(encrypted).finish() };
}

function open(tpm: TpmState, context: Context): StateReader {
  const { key, iv, integrity } = protect(tpm, context);
  const from = new TpmReader(context.blob);
  const given = from.sized(digestSize(Alg.SHA256));
  const encrypted = from.rest();
  if (!equal(given, integrity(encrypted))) fail(Rc.INTEGRITY);
  return new StateReader(decryptCfb(key, iv, encrypted));
}

function savedHandleOf(object: TpmObject): number {
  if (object.kind !== 'key') return SEQUENCE;
  return object.stClear ? ST_CLEAR : ORDINARY;
}

export function saveContext(tpm: TpmState, handle: number): Context {
  const content = new StateWriter();
  const sequence = ++tpm.contextCount;
  if (handleType(handle) !== Ht.TRANSIENT) {
    const session = tpm.sessions.find(handle) ?? fail(Rc.HANDLE);
    session.save(content);
    tpm.sessions.saveContext(handle, sequence);
    return seal(tpm, { sequence, savedHandle: handle, hierarchy: Rh.NULL }, content.finish());
  }
  const object = tpm.objects.find(handle) ?? fail(Rc.HANDLE);
  saveObject(content, object);
  const hierarchy = object.kind === 'key' && !isTemporary(object) ? object.hierarchy : Rh.NULL;
  return seal(tpm, { sequence, savedHandle: savedHandleOf(object), hierarchy }, content.finish());
}

export function loadContext(tpm: TpmState, context: Context): number {
  const { savedHandle, hierarchy, sequence } = context;
  if (!tpm.hierarchies.get(hierarchy).enabled) fail(Rc.HIERARCHY);
  const content = open(tpm, context);
  if (handleType(savedHandle) !== Ht.TRANSIENT) {
    tpm.sessions.loadContext(savedHandle, sequence, Session.restore(content));
    return savedHandle;
  }
  return tpm.objects.add(restoreObject(content));
}

export function readContext(from: TpmReader): Context {
  const sequence = from.u64();
  const savedHandle = from.u32();
  const type = handleType(savedHandle);
  const isSession = type === Ht.HMAC_SESSION || type === Ht.POLICY_SESSION;
  if (!isSession && (savedHandle < ORDINARY || savedHandle > ST_CLEAR)) fail(Rc.VALUE);
  const hierarchy = from.u32();
  const hierarchies: readonly number[] = [Rh.OWNER, Rh.PLATFORM, Rh.ENDORSEMENT, Rh.NULL];
  if (!hierarchies.includes(hierarchy)) fail(Rc.VALUE);
  return { sequence, savedHandle, hierarchy, blob: from.sized(4096) };
}
