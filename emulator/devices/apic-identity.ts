import { BROADCAST } from './apic-bus';
import type { StateReader, StateWriter } from './device';

/** Physical or logical destination "all" of an 8-bit message */
const ALL_XAPIC = 0xff;
const FLAT_MODEL = 0xf;

export const enum ApicMode {
  /** IA32_APIC_BASE bit 11 is 0: as if the processor had no local APIC */
  Disabled,
  XApic,
  X2Apic,
}

/** The names by which messages find a local APIC: its ID, LDR and DFR (SDM vol. 3, 11.6.2 and 11.12.10). */
export class ApicIdentity {
  private logical = 0;
  private format = 0xffffffff;

  /** @param id x2APIC ID; its low 8 bits are the xAPIC ID. Software cannot change it in this model. */
  constructor(readonly id: number) {}

  register(mode: ApicMode): number {
    return mode === ApicMode.X2Apic ? this.id : (this.id << 24) >>> 0;
  }

  /** LDR; in x2APIC mode it follows from the ID: cluster in 31:16, one bit within it */
  logicalDestination(mode: ApicMode): number {
    if (mode !== ApicMode.X2Apic) return this.logical;
    return ((((this.id >>> 4) & 0xffff) << 16) | (1 << (this.id & 15))) >>> 0;
  }

  setLogicalDestination(value: number): void {
    this.logical = (value & 0xff000000) >>> 0;
  }

  /** DFR: only the model, in 31:28, can be written */
  get destinationFormat(): number {
    return this.format;
  }

  set destinationFormat(value: number) {
    this.format = (value | 0x0fffffff) >>> 0;
  }

  matches(mode: ApicMode, destination: number, logical: boolean): boolean {
    if (mode === ApicMode.Disabled) return false;
    if (destination === BROADCAST) return true;
    if (mode === ApicMode.X2Apic) {
      if (!logical) return destination === this.id;
      const own = this.logicalDestination(mode);
      return destination >>> 16 === own >>> 16 && (destination & own & 0xffff) !== 0;
    }
    if (destination === ALL_XAPIC) return true;
    if (!logical) return destination === (this.id & 0xff);
    const own = this.logical >>> 24;
    if (this.format >>> 28 === FLAT_MODEL) return (own & destination & 0xff) !== 0 && destination <= ALL_XAPIC;
    return own >>> 4 === destination >>> 4 && (own & destination & 15) !== 0;
  }

  reset(): void {
    this.logical = 0;
    this.format = 0xffffffff;
  }

  save(out: StateWriter): void {
    out.u32(this.logical);
    out.u32(this.format);
  }

  restore(from: StateReader): void {
    this.logical = from.u32();
    this.format = from.u32();
  }
}
