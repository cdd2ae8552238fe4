import type { Machine } from '../../emulator/machine/api';
import type { PageDecision } from '../protocol/requests';
import { hex } from '../memory/reference';
import { InlinedCall } from '../symbols/functions';
import type { PageEvent } from './page-log';
import type { ProbeHit } from './probe-sites';

export const PROVIDER = 'undervisor';

/** Where the argument is that says what, and what is told beside it. Positions are those of the probe's declaration. */
interface PageProbe {
  readonly decision: PageDecision;
  readonly vm: number;
  readonly why: (read: ArgumentReader) => string;
}

interface ArgumentReader {
  number(position: number): bigint;
  /** The C string that the argument points to */
  text(position: number): string;
  /** 16 bytes that the argument points to, in hexadecimal */
  block(position: number): string;
}

/** One row per probe: page_owner(hpa, gpa, from, to), page_encrypted(hpa, gpa, vm, reason, iv, hash), ... */
const probes: Readonly<Record<string, PageProbe>> = {
  page_owner: { decision: 'owner', vm: 3, why: (a) => `owner ${a.number(2)} -> ${a.number(3)}` },
  page_encrypted: { decision: 'encrypted', vm: 2, why: (a) => `${a.text(3)}; iv ${a.block(4)}, hash ${a.block(5)}` },
  page_decrypted: { decision: 'decrypted', vm: 2, why: (a) => a.text(3) },
  page_refused: { decision: 'refused', vm: 2, why: (a) => a.text(3) },
  page_verified: { decision: 'verified', vm: 2, why: (a) => `hash ${a.block(3)}` },
  page_corrupt: { decision: 'corrupt', vm: 2, why: (a) => a.text(3) },
};

const LONGEST_TEXT = 200;

/** Whether a probe announces a page decision */
export const isPageProbe = ({ probe }: ProbeHit): boolean =>
  probe.provider === PROVIDER && Object.hasOwn(probes, probe.name);

/** The page decision that a probe announces; undefined for every other probe. */
export function pageDecision(hit: ProbeHit, machine: Machine): Omit<PageEvent, 'n' | 'moment'> | undefined {
  const row = hit.probe.provider === PROVIDER ? probes[hit.probe.name] : undefined;
  if (!row) return undefined;
  const { space } = hit.context;
  const number = (position: number) => hit.values[position] ?? 0n;
  const reader: ArgumentReader = {
    number,
    text: (position) => {
      const bytes = machine.readMemory(space, number(position), LONGEST_TEXT);
      const end = bytes.indexOf(0);
      return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
    },
    block: (position) =>
      Array.from(machine.readMemory(space, number(position), 16), (byte) => byte.toString(16).padStart(2, '0')).join(
        '',
      ),
  };
  return {
    instruction: machine.instructions,
    decision: row.decision,
    hpa: number(0),
    gpa: number(1),
    vm: Number(BigInt.asIntN(32, number(row.vm))),
    why: row.why(reader),
    symbol: whoDecided(hit),
  };
}

/** The function with source place: of an inlined one its own name, as the source has it. */
function whoDecided({ image: { loaded }, probe: { pc } }: ProbeHit): string {
  const symbol = loaded.symbolAt(pc);
  const inlined = loaded.program.scopesAt(loaded.toLink(pc)).findLast((scope) => scope instanceof InlinedCall);
  const place = symbol?.place ? ` (${symbol.place.file.split('/').at(-1)}:${symbol.place.line})` : '';
  return `${inlined?.name ?? symbol?.name ?? hex(pc)}${place}`;
}

/** One line for any probe: "vm_created(1)". */
export const describeProbe = (hit: ProbeHit): string =>
  `${hit.probe.name}(${hit.values.map((value) => (value === undefined ? '?' : hex(value))).join(', ')})`;
