import { eptPermissions } from '../../emulator/arch/ept-bits';
import type { StaleEntry, StaleTranslation } from '../../emulator/cpu/taps';
import { hex } from '../memory/reference';
import type { Explanation } from './explain';

export const STALE_TRANSLATION = 'stale-translation';

/** "PTE at 0x1008: 0x5067 became 0x0" */
export const entryInWords = ({ name, address, before, now }: StaleEntry): string =>
  `${name} at ${hex(address)}: ${hex(before)} became ${hex(now)}`;

/** What the tables say about the access now, in words */
function current({ difference, currentHostPhysical, currentPermissions }: StaleTranslation): string {
  if (currentHostPhysical === undefined) return difference;
  return `host-physical ${hex(currentHostPhysical)}, ${eptPermissions(BigInt(currentPermissions))}: ${difference}`;
}

function tag({ vpid, pcid, eptRoot, guestPhysical }: StaleTranslation): string {
  const words = [`VPID ${vpid}`, `PCID ${pcid}`];
  if (guestPhysical !== undefined) words.push(`EPT root ${hex(eptRoot)}`);
  return words.join(', ');
}

function changed(entry: StaleEntry | undefined): string {
  if (!entry) return 'No entry on the way was changed: another table is at the root.';
  const { vcpu, rip, instruction, root } = entry.writer;
  const by =
    vcpu < 0
      ? 'a device'
      : `vCPU ${vcpu} ${root ? '' : 'in VMX non-root operation '}at RIP ${hex(rip)}, instruction ${instruction}`;
  return `Changed: ${entryInWords(entry)}, by ${by}.`;
}

/** The use of a stale translation for the stopped event and exceptionInfo. `place`: "guest at guest_main+0x10". */
export function explainStale(use: StaleTranslation, place: string): Explanation {
  const to = `${use.access} of ${hex(use.linear)}`;
  const guest = use.guestPhysical === undefined ? '' : `guest-physical ${hex(use.guestPhysical)}, `;
  return {
    id: STALE_TRANSLATION,
    title: `Stale translation: ${to} uses host-physical ${hex(use.hostPhysical)}; missing: ${use.invalidation}`,
    text: [
      `The ${to} by ${place} used a cached translation that the tables in memory contradict.`,
      `Cached: ${guest}host-physical ${hex(use.hostPhysical)}, ${eptPermissions(BigInt(use.permissions))} (${tag(use)}).`,
      `Tables: ${current(use)}.`,
      changed(use.entry),
      `Missing: ${use.invalidation}. Until then a processor may use the old translation or the new one (SDM vol. 3, 4.10.4 and 29.4.3).`,
    ].join('\n'),
  };
}
