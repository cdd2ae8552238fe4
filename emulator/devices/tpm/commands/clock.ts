import type { TpmWriter } from '../buffer';
import { command, type CommandRow } from '../command';
import { Cc } from '../constants';
import type { TpmState } from '../tpm-state';

/** TPMS_CLOCK_INFO. The clock never goes back, so it is always safe. */
export const writeClock = (out: TpmWriter, { clock, resetCount, restartCount }: TpmState): TpmWriter =>
  out.u64(BigInt(clock)).u32(resetCount).u32(restartCount).u8(1);

/** Part 3, clause 29 */
export const clockCommands: readonly CommandRow[] = [
  command(Cc.ReadClock, 'ReadClock', {}, ({ tpm, out }) => {
    writeClock(out.u64(BigInt(tpm.time)), tpm);
  }),
];
