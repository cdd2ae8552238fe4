import { enterAtRandom } from '../vmx/random-entries';
import type { ConformanceRow } from './row';

export const GROUP = 'random VMCS fields';
const MILLION = 1_000_000;
/** So that a run of all of them can be watched, and a failure leaves the other shares standing */
const SHARES = 10;

/** A million VM entries with random fields, each outcome compared with what the rows say one by one. */
export function randomEntryRows(entries = MILLION): ConformanceRow[] {
  const seed = Number(process.env.SEED ?? Date.now() & 0x7fff_ffff);
  return Array.from({ length: SHARES }, (_, share) => {
    const count = Math.ceil(entries / SHARES);
    const row = { group: GROUP, covers: [], section: '27', bochs: 'not run' as const };
    try {
      const seen = enterAtRandom(count, seed + share);
      const summary = [...seen].map(([kind, n]) => `${n} ${kind}`).sort();
      return { ...row, name: `${count} entries, SEED=${seed + share}: ${summary.join(', ')}`, here: 'pass' as const };
    } catch (error) {
      const hereDetail = error instanceof Error ? error.message : String(error);
      return { ...row, name: `${count} entries, SEED=${seed + share}`, here: 'fail' as const, hereDetail };
    }
  });
}
