import type { StateReader, StateWriter } from '../device';
import { concat, TpmWriter, u16Bytes } from './buffer';
import { NvAttribute, NvType, Rc } from './constants';
import { fail } from './error';
import { digestSize, hash } from './hash';
import { restoreObject, saveObject, type KeyObject } from './object';

/** TPMS_NV_PUBLIC and the data of one NV index (Part 1, clause 37) */
export interface NvIndex {
  readonly handle: number;
  readonly nameAlg: number;
  attributes: number;
  readonly policy: Uint8Array;
  readonly size: number;
  auth: Uint8Array;
  data: Uint8Array;
}

export const LARGEST_NV = 2048;
export const NV_BUFFER = 1024;
const INDEXES = 64;
const PERSISTENT_OBJECTS = 7;
const COUNTER_SIZE = 8;

export const nvType = ({ attributes }: { readonly attributes: number }): number => (attributes >>> 4) & 15;

export const nvPublicBytes = ({ handle, nameAlg, attributes, policy, size }: NvIndex): Uint8Array =>
  new TpmWriter().u32(handle).u16(nameAlg).u32(attributes).sized(policy).u16(size).finish();

export const nvName = (index: NvIndex): Uint8Array =>
  concat(u16Bytes(index.nameAlg), hash(index.nameAlg, nvPublicBytes(index)));

/** The size that an index of this type must have; undefined: any */
export function nvFixedSize(type: number, nameAlg: number): number | undefined {
  if (type === NvType.COUNTER || type === NvType.BITS) return COUNTER_SIZE;
  return type === NvType.EXTEND ? digestSize(nameAlg) : undefined;
}

/** Non-volatile memory: indexes and persistent objects. It outlives every reset. */
export class NvMemory {
  readonly indexes = new Map<number, NvIndex>();
  readonly persistent = new Map<number, KeyObject>();
  /** The highest value that any counter had: a counter that is made anew starts there (Part 1, clause 37.2.4). */
  highestCount = 0n;

  define(index: Omit<NvIndex, 'data'>): void {
    if (this.indexes.has(index.handle)) fail(Rc.NV_DEFINED);
    if (this.indexes.size >= INDEXES) fail(Rc.NV_SPACE);
    this.indexes.set(index.handle, { ...index, data: new Uint8Array(index.size).fill(0xff) });
  }

  keep(handle: number, object: KeyObject): void {
    if (this.persistent.has(handle)) fail(Rc.NV_DEFINED);
    if (this.persistent.size >= PERSISTENT_OBJECTS) fail(Rc.NV_SPACE);
    this.persistent.set(handle, object);
  }

  get indexesFree(): number {
    return INDEXES - this.indexes.size;
  }

  get persistentFree(): number {
    return PERSISTENT_OBJECTS - this.persistent.size;
  }

  /** Startup: locks of this power cycle end; indexes with CLEAR_STCLEAR count as never written. */
  startup(clear: boolean): void {
    for (const index of this.indexes.values()) {
      if (!clear) continue;
      index.attributes &= ~NvAttribute.READLOCKED;
      const written = index.attributes & NvAttribute.WRITTEN;
      if (!(index.attributes & NvAttribute.WRITEDEFINE) || !written) index.attributes &= ~NvAttribute.WRITELOCKED;
      if (index.attributes & NvAttribute.CLEAR_STCLEAR && nvType(index) !== NvType.COUNTER)
        index.attributes &= ~NvAttribute.WRITTEN;
      index.attributes >>>= 0;
    }
  }

  /** TPM2_Clear: what the owner made is gone; what the platform made stays. */
  clearOwner(isOwners: (object: KeyObject) => boolean): void {
    for (const [handle, { attributes }] of this.indexes)
      if (!(attributes & NvAttribute.PLATFORMCREATE)) this.indexes.delete(handle);
    for (const [handle, object] of this.persistent) if (isOwners(object)) this.persistent.delete(handle);
  }

  save(out: StateWriter): void {
    out.u64(this.highestCount);
    out.u32(this.indexes.size);
    for (const { handle, nameAlg, attributes, policy, size, auth, data } of this.indexes.values()) {
      for (const number of [handle, nameAlg, attributes, size]) out.u32(number);
      for (const part of [policy, auth, data]) out.blob(part);
    }
    out.u32(this.persistent.size);
    for (const [handle, object] of this.persistent) {
      out.u32(handle);
      saveObject(out, object);
    }
  }

  restore(from: StateReader): void {
    this.highestCount = from.u64();
    this.indexes.clear();
    for (let left = from.u32(); left > 0; left--) {
      const [handle, nameAlg, attributes, size] = [from.u32(), from.u32(), from.u32(), from.u32()];
      const [policy, auth, data] = [from.blob(), from.blob(), from.blob()];
      this.indexes.set(handle, { handle, nameAlg, attributes, size, policy, auth, data });
    }
    this.persistent.clear();
    for (let left = from.u32(); left > 0; left--) {
      const handle = from.u32();
      const object = restoreObject(from);
      if (object.kind === 'key') this.persistent.set(handle, object);
    }
  }
}
