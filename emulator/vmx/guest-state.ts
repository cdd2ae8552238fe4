import { Segment, State } from '../memory/layout';
import { Slot } from './vmcs';

/** The slots of one segment register in the guest-state area. */
export interface SegmentSlots {
  readonly segment: Segment;
  readonly name: 'ES' | 'CS' | 'SS' | 'DS' | 'FS' | 'GS' | 'LDTR' | 'TR';
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  readonly access: number;
  /** Offset in the state block: selector there, access rights at +4, limit at +8, base at +16 */
  readonly state: number;
}

const slots = (segment: Segment, name: SegmentSlots['name']): SegmentSlots => ({
  segment,
  name,
  selector: Slot[`GUEST_${name}_SELECTOR`],
  base: Slot[`GUEST_${name}_BASE`],
  limit: Slot[`GUEST_${name}_LIMIT`],
  access: Slot[`GUEST_${name}_ACCESS_RIGHTS`],
  state: State.SEGMENTS + segment * 32,
});

export const GUEST_SEGMENTS: readonly SegmentSlots[] = [
  slots(Segment.ES, 'ES'),
  slots(Segment.CS, 'CS'),
  slots(Segment.SS, 'SS'),
  slots(Segment.DS, 'DS'),
  slots(Segment.FS, 'FS'),
  slots(Segment.GS, 'GS'),
  slots(Segment.LDTR, 'LDTR'),
  slots(Segment.TR, 'TR'),
];

/** Slots of PDPTE0 to PDPTE3 */
export const GUEST_PDPTES = [Slot.GUEST_PDPTE0, Slot.GUEST_PDPTE1, Slot.GUEST_PDPTE2, Slot.GUEST_PDPTE3] as const;
