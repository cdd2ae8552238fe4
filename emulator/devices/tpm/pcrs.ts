import type { StateReader, StateWriter } from '../device';
import { concat, TpmReader, TpmWriter } from './buffer';
import { Alg, Rc } from './constants';
import { fail } from './error';
import { digestSize, hash } from './hash';

export const PCR_COUNT = 24;
export const PCR_SELECT = PCR_COUNT / 8;
const PCR_BANKS: readonly number[] = [Alg.SHA1, Alg.SHA256, Alg.SHA384];
/** The PCR of the static root of trust, and that of the dynamic one */
export const SRTM_PCR = 0;
export const DRTM_PCR = 17;

interface PcrRow {
  /** Kept by Shutdown(STATE) */
  readonly saved: boolean;
  /** Bit per locality that may reset or extend it */
  readonly reset: number;
  readonly extend: number;
  /** A change does not count in pcrUpdateCounter */
  readonly uncounted: boolean;
}

const row = (saved: boolean, reset: number, extend: number, uncounted = false): PcrRow => ({
  saved,
  reset,
  extend,
  uncounted,
});

/** PC Client Platform TPM Profile 1.05, clause 4.6.2 (PCR attributes) */
const ROWS: readonly PcrRow[] = [
  ...Array.from({ length: 16 }, () => row(true, 0x00, 0x1f)),
  row(false, 0x0f, 0x1f, true), // 16: debug
  row(false, 0x10, 0x1c), // 17: dynamic root of trust, and what it measures
  row(false, 0x10, 0x1c), // 18
  row(false, 0x10, 0x0c), // 19
  row(false, 0x14, 0x0e), // 20
  row(false, 0x14, 0x04, true), // 21: the dynamically launched system
  row(false, 0x14, 0x04, true), // 22
  row(false, 0x0f, 0x1f, true), // 23: application
];

const LOCALITY_4 = 0x10;
const resetByLaunch = (pcr: number): boolean => (rowOf(pcr).reset & LOCALITY_4) !== 0;

function rowOf(pcr: number): PcrRow {
  return ROWS[pcr] ?? fail(Rc.VALUE);
}

/** TPMS_PCR_SELECTION: bit n of the mask is PCR n */
export interface PcrSelection {
  readonly alg: number;
  readonly mask: number;
  /** As given, for the copy that is signed or hashed */
  readonly octets: number;
}

const MOST_SELECTIONS = 4;

/** TPML_PCR_SELECTION (Part 2, clause 10.9.7) */
export function readSelections(from: TpmReader): PcrSelection[] {
  const count = from.u32();
  if (count > MOST_SELECTIONS) fail(Rc.SIZE);
  return Array.from({ length: count }, () => {
    const alg = from.u16();
    if (!digestSize(alg)) fail(Rc.HASH);
    const octets = from.u8();
    if (octets < PCR_SELECT || octets > PCR_SELECT) fail(Rc.VALUE);
    let mask = 0;
    for (let i = 0; i < octets; i++) mask |= from.u8() << (8 * i);
    return { alg, mask, octets };
  });
}

export function writeSelections(out: TpmWriter, selections: readonly PcrSelection[]): TpmWriter {
  out.u32(selections.length);
  for (const { alg, mask, octets } of selections) {
    out.u16(alg).u8(octets);
    for (let i = 0; i < octets; i++) out.u8((mask >>> (8 * i)) & 0xff);
  }
  return out;
}

/** The platform configuration registers: 24 in each bank. */
export class Pcrs {
  readonly banks: readonly number[] = PCR_BANKS;
  /** pcrUpdateCounter */
  updates = 0;
  private readonly values = new Map<number, Uint8Array[]>();

  constructor() {
    for (const alg of PCR_BANKS) {
      this.values.set(
        alg,
        ROWS.map(() => new Uint8Array(digestSize(alg))),
      );
    }
  }

  value(alg: number, pcr: number): Uint8Array {
    return this.values.get(alg)?.[pcr] ?? fail(Rc.VALUE);
  }

  /** Startup (Part 3, clause 9.3): the dynamic PCR are all ones until a dynamic launch. */
  startup(locality: number, keepSaved: boolean, keepFirst: boolean): void {
    if (!keepSaved) this.updates = 0;
    ROWS.forEach(({ saved }, pcr) => {
      if (!keepSaved || !saved) this.changed(pcr);
    });
    for (const [alg, bank] of this.values) {
      bank.forEach((value, pcr) => {
        if ((keepSaved && rowOf(pcr).saved) || (keepFirst && pcr === SRTM_PCR)) return;
        value.fill(resetByLaunch(pcr) ? 0xff : 0);
        if (pcr === SRTM_PCR && locality !== 0) value[digestSize(alg) - 1] = locality;
      });
    }
  }

  mayExtend(pcr: number, locality: number): boolean {
    return (rowOf(pcr).extend & (1 << locality)) !== 0;
  }

  mayReset(pcr: number, locality: number): boolean {
    return (rowOf(pcr).reset & (1 << locality)) !== 0;
  }

  extend(alg: number, pcr: number, digest: Uint8Array): void {
    const bank = this.values.get(alg);
    const value = bank?.[pcr];
    if (!value) return; // No such bank: Part 3, clause 22.2.1, has it ignored.
    value.set(hash(alg, value, digest));
    this.changed(pcr);
  }

  reset(pcr: number): void {
    for (const bank of this.values.values()) bank[pcr]?.fill(0);
    this.changed(pcr);
  }

  /** _TPM_Hash_Start of a dynamic launch clears every PCR that locality 4 may reset. */
  resetDynamic(): void {
    ROWS.forEach((_row, pcr) => {
      if (resetByLaunch(pcr)) for (const bank of this.values.values()) bank[pcr]?.fill(0);
    });
    this.updates++;
  }

  /** PCR 0 before a measurement of the host's root of trust that comes before Startup (Part 1, clause 34.3) */
  prepareStaticRoot(): void {
    for (const [alg, bank] of this.values) {
      bank[SRTM_PCR]?.fill(0);
      bank[SRTM_PCR]?.set([4], digestSize(alg) - 1);
    }
  }

  private changed(pcr: number): void {
    if (!rowOf(pcr).uncounted) this.updates = (this.updates + 1) >>> 0;
  }

  /** Only what exists: banks that are not there select nothing (Part 3, clause 22.4.1). */
  existing(selections: readonly PcrSelection[]): PcrSelection[] {
    return selections.map((selection) => (this.values.has(selection.alg) ? selection : { ...selection, mask: 0 }));
  }

  /** The digest of all selected PCR in order, as a quote and PolicyPCR take it */
  digest(alg: number, selections: readonly PcrSelection[]): Uint8Array {
    const parts: Uint8Array[] = [];
    for (const { alg: bank, mask } of selections) {
      for (let pcr = 0; pcr < PCR_COUNT; pcr++) if (mask & (1 << pcr)) parts.push(this.value(bank, pcr));
    }
    return hash(alg, concat(...parts));
  }

  /** TPM_PT_PCR (Part 2, clause 6.14): which PCR have a property; undefined when there is no such property */
  withProperty(property: number): number | undefined {
    const having = (test: (row: PcrRow, pcr: number) => boolean): number =>
      ROWS.reduce((mask, candidate, pcr) => mask | (test(candidate, pcr) ? 1 << pcr : 0), 0);
    if (property === 0) return having((candidate) => candidate.saved);
    if (property >= 1 && property <= 10) {
      const locality = (property - 1) >> 1;
      return having(({ extend, reset }) => ((property & 1 ? extend : reset) & (1 << locality)) !== 0);
    }
    if (property === 0x11) return having((candidate) => candidate.uncounted);
    if (property === 0x12) return having((_candidate, pcr) => resetByLaunch(pcr));
    return property === 0x13 || property === 0x14 ? 0 : undefined;
  }

  save(out: StateWriter): void {
    out.u32(this.updates);
    for (const bank of this.values.values()) for (const value of bank) out.blob(value);
  }

  restore(from: StateReader): void {
    this.updates = from.u32();
    for (const bank of this.values.values()) for (const value of bank) value.set(from.blob());
  }
}
