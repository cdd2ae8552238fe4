import { BROADCAST, type ApicMessage } from './apic-bus';
import { Delivery, Shorthand } from './apic-registers';
import type { StateReader, StateWriter } from './device';

const FIRST_VECTOR = 16;
const LOGICAL = 0x800;
/** Level (14) and trigger mode (15) */
const LEVEL_AND_TRIGGER = 0xc000;
const LEVEL_DEASSERT = 0x8000;
const WRITABLE = 0xccfff;

/** The interrupt-command register (SDM vol. 3, 11.6.1): two registers in xAPIC mode, one of 64 bits in x2APIC mode */
export class InterprocessorCommand {
  private lowWord = 0;
  private highWord = 0;

  get low(): number {
    return this.lowWord;
  }

  set low(value: number) {
    this.lowWord = value & WRITABLE;
  }

  get high(): number {
    return this.highWord;
  }

  setXApicDestination(value: number): void {
    this.highWord = (value & 0xff000000) >>> 0;
  }

  setX2ApicDestination(value: number): void {
    this.highWord = value >>> 0;
  }

  /**
   * The message that the register asks for; undefined when its vector is illegal. Level and trigger mode mean something
   * for "INIT level de-assert" only: every IPI is edge-triggered.
   */
  message(x2apic: boolean): ApicMessage | undefined {
    const vector = this.lowWord & 0xff;
    const delivery = (this.lowWord >>> 8) & 7;
    if (delivery <= (Delivery.LowestPriority as number) && vector < FIRST_VECTOR) return undefined;
    const logical = (this.lowWord & LOGICAL) !== 0;
    const destination = x2apic ? this.highWord : this.highWord >>> 24;
    return {
      vector,
      delivery,
      logical,
      assert: (this.lowWord & LEVEL_AND_TRIGGER) !== LEVEL_DEASSERT,
      levelTriggered: false,
      shorthand: (this.lowWord >>> 18) & 3,
      destination: !x2apic && !logical && destination === 0xff ? BROADCAST : destination,
    };
  }

  reset(): void {
    this.lowWord = this.highWord = 0;
  }

  save(out: StateWriter): void {
    out.u32(this.lowWord);
    out.u32(this.highWord);
  }

  restore(from: StateReader): void {
    this.lowWord = from.u32();
    this.highWord = from.u32();
  }
}

/** SELF IPI (SDM vol. 3, 11.12.11): a fixed, edge-triggered IPI with the shorthand "self"; undefined: illegal vector */
export const selfIpi = (vector: number): ApicMessage | undefined =>
  vector < FIRST_VECTOR
    ? undefined
    : {
        vector,
        delivery: Delivery.Fixed,
        logical: false,
        assert: true,
        levelTriggered: false,
        shorthand: Shorthand.Self,
        destination: 0,
      };
