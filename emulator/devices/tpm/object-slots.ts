import type { StateReader, StateWriter } from '../device';
import { Ht, Rc } from './constants';
import { fail } from './error';
import { restoreObject, saveObject, type TpmObject } from './object';

const FIRST = Ht.TRANSIENT * 0x1000000;
/** As many as the PC Client profile asks for at least: software that forgets to flush notices here too. */
export const TRANSIENT_OBJECTS = 3;

/** The loaded objects, by transient handle. */
export class ObjectSlots {
  private readonly slots: (TpmObject | undefined)[] = Array.from({ length: TRANSIENT_OBJECTS }, () => undefined);

  get free(): number {
    return this.slots.filter((slot) => !slot).length;
  }

  /** @throws TPM_RC_OBJECT_MEMORY before anything was computed for an object that has no place */
  requireFree(): void {
    if (this.free === 0) fail(Rc.OBJECT_MEMORY);
  }

  add(object: TpmObject): number {
    this.requireFree();
    const slot = this.slots.findIndex((used) => !used);
    this.slots[slot] = object;
    return FIRST + slot;
  }

  find(handle: number): TpmObject | undefined {
    return this.slots[handle - FIRST];
  }

  flush(handle: number): boolean {
    if (!this.find(handle)) return false;
    this.slots[handle - FIRST] = undefined;
    return true;
  }

  flushWhere(test: (object: TpmObject) => boolean): void {
    this.slots.forEach((object, slot) => {
      if (object && test(object)) this.slots[slot] = undefined;
    });
  }

  handles(): number[] {
    return this.slots.flatMap((object, slot) => (object ? [FIRST + slot] : []));
  }

  save(out: StateWriter): void {
    for (const object of this.slots) {
      out.u8(object ? 1 : 0);
      if (object) saveObject(out, object);
    }
  }

  restore(from: StateReader): void {
    this.slots.forEach((_, slot) => (this.slots[slot] = from.u8() ? restoreObject(from) : undefined));
  }
}
