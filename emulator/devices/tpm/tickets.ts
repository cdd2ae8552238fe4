import { concat, EMPTY, equal, TpmWriter, u16Bytes } from './buffer';
import { Alg, GENERATED, Rh, St } from './constants';
import { hmac } from './hash';
import type { Ticket } from './parameters';
import type { TpmState } from './tpm-state';

/** Tickets: proof, for this TPM only, that it did a check before (Part 2, clause 10.7). Each is an HMAC with a proof. */

const TICKET_HASH = Alg.SHA256;

const noTicket = (tag: number): Ticket => ({ tag, hierarchy: Rh.NULL, digest: EMPTY });

export const writeTicket = (out: TpmWriter, { tag, hierarchy, digest }: Ticket): TpmWriter =>
  out.u16(tag).u32(hierarchy).sized(digest);

function make(tpm: TpmState, tag: number, hierarchy: number, ...parts: readonly Uint8Array[]): Ticket {
  if (hierarchy === (Rh.NULL as number)) return noTicket(tag);
  return { tag, hierarchy, digest: hmac(TICKET_HASH, tpm.hierarchies.proof(hierarchy), u16Bytes(tag), ...parts) };
}

/** Given only for a digest of data that does not begin as the TPM's own structures do, so that such can be signed. */
export function hashcheck(tpm: TpmState, hierarchy: number, alg: number, digest: Uint8Array, safe: boolean): Ticket {
  return safe ? make(tpm, St.HASHCHECK, hierarchy, u16Bytes(alg), digest) : noTicket(St.HASHCHECK);
}

export const creation = (tpm: TpmState, hierarchy: number, name: Uint8Array, creationHash: Uint8Array): Ticket =>
  make(tpm, St.CREATION, hierarchy, name, creationHash);

export const verified = (tpm: TpmState, hierarchy: number, digest: Uint8Array, keyName: Uint8Array): Ticket =>
  make(tpm, St.VERIFIED, hierarchy, digest, keyName);

export const authorized = (
  tpm: TpmState,
  tag: number,
  hierarchy: number,
  { expires, cpHash, policyRef, name }: AuthorizedFacts,
): Ticket =>
  make(tpm, tag, hierarchy, new TpmWriter().u64(BigInt(expires)).sized(cpHash).sized(policyRef).finish(), name);

export interface AuthorizedFacts {
  /** Milliseconds of the TPM's time since reset, and the reset that it counts from, as the ticket's timeout */
  readonly expires: number;
  readonly cpHash: Uint8Array;
  readonly policyRef: Uint8Array;
  readonly name: Uint8Array;
}

export const sameTicket = (a: Ticket, b: Ticket): boolean =>
  a.tag === b.tag && a.hierarchy === b.hierarchy && a.digest.length > 0 && equal(a.digest, b.digest);

const MAGIC = new TpmWriter().u32(GENERATED).finish();

/** The data may be signed by a restricted key: it does not begin with TPM_GENERATED_VALUE, as far as it can be seen. */
export const safeToSign = (firstBlock: Uint8Array): boolean => !equal(concat(firstBlock).slice(0, 4), MAGIC);
