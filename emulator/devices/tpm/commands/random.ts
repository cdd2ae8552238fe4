import { command, type CommandRow } from '../command';
import { Cc } from '../constants';
import { LARGEST_DIGEST } from '../hash';
import { additional, u16 } from '../parameters';

/** Part 3, clause 16 */
export const randomCommands: readonly CommandRow[] = [
  command(Cc.GetRandom, 'GetRandom', { parameters: [u16], encrypts: true }, ({ tpm, out }, count) => {
    out.sized(tpm.drbg.bytes(Math.min(count, LARGEST_DIGEST)));
  }),
  command(Cc.StirRandom, 'StirRandom', { parameters: [additional], nv: true }, ({ tpm }, bytes) => {
    tpm.drbg.stir(bytes);
  }),
];
