import { trimmed, type TpmWriter } from '../buffer';
import { command, type CommandRow, type Execution } from '../command';
import { Alg, Cc, ObjectAttribute, Rc, Rh } from '../constants';
import { keyAt } from '../entities';
import { fail, failHandle, failParameter } from '../error';
import { hash, HashSequence, hmac, HmacSequence } from '../hash';
import { auth, buffer, hashAlgOrNull, hierarchyOrNull, macScheme } from '../parameters';
import type { SequenceObject } from '../object';
import { has } from '../public-area';
import { hashcheck, safeToSign, writeTicket } from '../tickets';

/** Part 3, clauses 15.4 to 15.6, and 17 */
export const hashingCommands: readonly CommandRow[] = [
  command(
    Cc.Hash,
    'Hash',
    { parameters: [buffer, hashAlgOrNull, hierarchyOrNull], encrypts: true },
    ({ tpm, out }, data, alg, hierarchy) => {
      if (alg === (Alg.NULL as number)) failParameter(Rc.HASH, 2);
      const digest = hash(alg, data);
      writeTicket(out.sized(digest), hashcheck(tpm, hierarchy, alg, digest, safeToSign(data)));
    },
  ),
  command(
    Cc.HMAC,
    'HMAC',
    { handles: [{ kind: 'object', role: 'user' }], parameters: [buffer, macScheme], encrypts: true },
    (x, data, wanted) => {
      const { alg, key } = hmacKey(x, wanted);
      x.out.sized(hmac(alg, key, data));
    },
  ),
  command(
    Cc.HMAC_Start,
    'HMAC_Start',
    { handles: [{ kind: 'object', role: 'user' }], parameters: [auth, macScheme], resultHandle: true },
    (x, value, wanted) => {
      const { alg, key } = hmacKey(x, wanted);
      x.resultHandle = x.tpm.objects.add({
        kind: 'hmac',
        auth: trimmed(value),
        states: [HmacSequence.start(alg, key)],
        safe: undefined,
      });
    },
  ),
  command(
    Cc.HashSequenceStart,
    'HashSequenceStart',
    { parameters: [auth, hashAlgOrNull], resultHandle: true },
    (x, value, alg) => {
      // Without an algorithm it is an event sequence: a digest for each PCR bank.
      const event = alg === (Alg.NULL as number);
      const states = event ? x.tpm.pcrs.banks.map((bank) => new HashSequence(bank)) : [new HashSequence(alg)];
      x.resultHandle = x.tpm.objects.add({
        kind: event ? 'event' : 'hash',
        auth: trimmed(value),
        states,
        safe: undefined,
      });
    },
  ),
  command(
    Cc.SequenceUpdate,
    'SequenceUpdate',
    { handles: [{ kind: 'object', role: 'user' }], parameters: [buffer] },
    (x, data) => {
      update(sequenceOf(x, 0), data);
    },
  ),
  command(
    Cc.SequenceComplete,
    'SequenceComplete',
    {
      handles: [{ kind: 'object', role: 'user' }],
      parameters: [buffer, hierarchyOrNull],
      encrypts: true,
      flushed: true,
    },
    (x, data, hierarchy) => {
      const sequence = sequenceOf(x, 0);
      if (sequence.kind === 'event') failHandle(Rc.MODE, 1);
      update(sequence, data);
      const [state] = sequence.states;
      const digest = state?.digest() ?? fail(Rc.FAILURE);
      const isHash = state instanceof HashSequence;
      const alg = isHash ? state.alg : Alg.NULL;
      writeTicket(x.out.sized(digest), hashcheck(x.tpm, hierarchy, alg, digest, isHash && sequence.safe !== false));
      x.tpm.objects.flush(x.handles[0] ?? 0);
    },
  ),
  command(
    Cc.EventSequenceComplete,
    'EventSequenceComplete',
    {
      handles: [
        { kind: 'pcr or null', role: 'user' },
        { kind: 'object', role: 'user' },
      ],
      parameters: [buffer],
      nv: true,
      flushed: true,
    },
    (x, data) => {
      const { tpm, locality, handles } = x;
      const [pcr = 0, handle = 0] = handles;
      const sequence = sequenceOf(x, 1);
      if (sequence.kind !== 'event') failHandle(Rc.MODE, 2);
      if (pcr !== (Rh.NULL as number) && !tpm.pcrs.mayExtend(pcr, locality)) fail(Rc.LOCALITY);
      update(sequence, data);
      writeDigests(x.out, sequence, (alg, digest) => {
        if (pcr !== (Rh.NULL as number)) tpm.pcrs.extend(alg, pcr, digest);
      });
      tpm.objects.flush(handle);
    },
  ),
];

function sequenceOf({ tpm, handles }: Execution, i: number): SequenceObject {
  const object = tpm.objects.find(handles[i] ?? 0);
  return object && object.kind !== 'key' ? object : failHandle(Rc.MODE, i + 1);
}

function update(sequence: SequenceObject, data: Uint8Array): void {
  if (data.length > 0) sequence.safe ??= safeToSign(data);
  for (const state of sequence.states) state.update(data);
}

function writeDigests(
  out: TpmWriter,
  { states }: SequenceObject,
  each: (alg: number, digest: Uint8Array) => void,
): void {
  out.u32(states.length);
  for (const state of states) {
    if (!(state instanceof HashSequence)) continue;
    const digest = state.digest();
    out.u16(state.alg).raw(digest);
    each(state.alg, digest);
  }
}

/** The key and the hash of an HMAC key: its scheme's, which the caller may only repeat (Part 3, clause 15.5). */
function hmacKey({ tpm, handles: [handle = 0] }: Execution, wanted: number): { alg: number; key: Uint8Array } {
  const { area, sensitive } = keyAt(tpm, handle);
  if (area.type !== Alg.KEYEDHASH) failHandle(Rc.TYPE, 1);
  if (has(area, ObjectAttribute.RESTRICTED)) failHandle(Rc.ATTRIBUTES, 1);
  if (!has(area, ObjectAttribute.SIGN)) failHandle(Rc.KEY, 1);
  const { alg: scheme, hash: own } = area.scheme;
  if (scheme !== Alg.HMAC) return failHandle(Rc.TYPE, 1);
  if (wanted !== (Alg.NULL as number) && wanted !== own) failParameter(Rc.VALUE, 2);
  return { alg: own, key: sensitive?.secret ?? fail(Rc.KEY) };
}
