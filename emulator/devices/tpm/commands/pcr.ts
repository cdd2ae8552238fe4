import { command, type CommandRow } from '../command';
import { Cc, Rc, Rh } from '../constants';
import { fail } from '../error';
import { hash } from '../hash';
import { buffer, digestValues, selections } from '../parameters';
import { PCR_COUNT, writeSelections, type PcrSelection } from '../pcrs';

/** TPML_DIGEST holds eight: TPM2_PCR_Read gives the first eight and says which they are. */
const DIGESTS = 8;

/** Part 3, clause 22 */
export const pcrCommands: readonly CommandRow[] = [
  command(
    Cc.PCR_Extend,
    'PCR_Extend',
    { handles: [{ kind: 'pcr or null', role: 'user' }], parameters: [digestValues], nv: true },
    ({ tpm, handles: [pcr = 0], locality }, values) => {
      if (pcr === (Rh.NULL as number)) return;
      if (!tpm.pcrs.mayExtend(pcr, locality)) fail(Rc.LOCALITY);
      for (const { alg, digest } of values) tpm.pcrs.extend(alg, pcr, digest);
    },
  ),
  command(
    Cc.PCR_Event,
    'PCR_Event',
    { handles: [{ kind: 'pcr or null', role: 'user' }], parameters: [buffer], nv: true },
    ({ tpm, handles: [pcr = 0], locality, out }, event) => {
      if (pcr !== (Rh.NULL as number) && !tpm.pcrs.mayExtend(pcr, locality)) fail(Rc.LOCALITY);
      out.u32(tpm.pcrs.banks.length);
      for (const alg of tpm.pcrs.banks) {
        const digest = hash(alg, event);
        out.u16(alg).raw(digest);
        if (pcr !== (Rh.NULL as number)) tpm.pcrs.extend(alg, pcr, digest);
      }
    },
  ),
  command(Cc.PCR_Read, 'PCR_Read', { parameters: [selections] }, ({ tpm, out }, wanted) => {
    const digests: Uint8Array[] = [];
    const read = tpm.pcrs.existing(wanted).map((selection): PcrSelection => {
      let mask = 0;
      for (let pcr = 0; pcr < PCR_COUNT && digests.length < DIGESTS; pcr++) {
        if (!(selection.mask & (1 << pcr))) continue;
        mask |= 1 << pcr;
        digests.push(tpm.pcrs.value(selection.alg, pcr));
      }
      return { ...selection, mask };
    });
    writeSelections(out.u32(tpm.pcrs.updates), read).u32(digests.length);
    for (const digest of digests) out.sized(digest);
  }),
  command(
    Cc.PCR_Reset,
    'PCR_Reset',
    { handles: [{ kind: 'pcr', role: 'user' }], nv: true },
    ({ tpm, handles: [pcr = 0], locality }) => {
      if (!tpm.pcrs.mayReset(pcr, locality)) fail(Rc.LOCALITY);
      tpm.pcrs.reset(pcr);
    },
  ),
];
