import type { AcpiTableSource } from '../acpi-table';
import { TPM_BASE } from './memory-interface';

export type TpmInterface = 'tis' | 'crb';

const CONTROL_AREA = 0x40n;
const START_FIFO = 6;
const START_CRB = 7;

/** The TPM2 table (TCG ACPI Specification 1.2, clause 8), without an event log, and the device in the namespace */
export const tpm2Table = (kind: TpmInterface): AcpiTableSource => ({
  signature: 'TPM2',
  revision: 4,
  body: () => {
    // Platform class (client), reserved, control area, start method, its twelve bytes of parameters
    const body = new Uint8Array(28);
    const view = new DataView(body.buffer);
    if (kind === 'crb') view.setBigUint64(4, TPM_BASE + CONTROL_AREA, true);
    view.setUint32(12, kind === 'crb' ? START_CRB : START_FIFO, true);
    return body;
  },
  aml: () =>
    device([...named('_HID', string('MSFT0101')), ...named('_STA', [0x0a, 0x0f]), ...named('_CRS', resources())]),
});

const letters = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0));
const string = (text: string): number[] => [0x0d, ...letters(text), 0];
const named = (name: string, value: readonly number[]): number[] => [0x08, ...letters(name), ...value];

/** PkgLength of something below 4 KiB (ACPI 6.5, clause 20.2.4): it counts its own bytes. */
function packaged(content: readonly number[]): number[] {
  if (content.length + 1 < 64) return [content.length + 1, ...content];
  const length = content.length + 2;
  return [0x40 | (length & 15), length >>> 4, ...content];
}

const device = (content: readonly number[]): Uint8Array =>
  Uint8Array.from([0x5b, 0x82, ...packaged([...letters('TPM0'), ...content])]);

/** Buffer with Memory32Fixed, read-write, over the five localities, and the end tag */
function resources(): number[] {
  const base = Number(TPM_BASE);
  const at = [base, 0x5000].flatMap((value) => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff));
  const template = [0x86, 0x09, 0x00, 0x01, ...at, 0x79, 0x00];
  return [0x11, ...packaged([0x0a, template.length, ...template])];
}
