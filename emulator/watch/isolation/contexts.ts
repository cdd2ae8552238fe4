import { STATE_BASE, State } from '../../memory/layout';
import type { AddressSpace } from '../../machine/api';
import type { Platform } from '../../machine/platform';
import { EptControl } from '../../memory/paging-context';
import { LeftState } from './left-state';
import { RegionReader, type Structure } from './entry-controls';
import type { Side } from './sides';
import type { View } from './view';

const PAGE = 4096;
const TWO_32 = 0x1_0000_0000;
const ROOT_LOW = 0xfffff000;
const ROOT_HIGH = 0xfffff;

/** A VMCS that has been entered, and who runs by it. */
export class Entered {
  readonly left: LeftState;
  readonly region: RegionReader;
  /** The vCPU that is in non-root operation by it; -1: none */
  inside = -1;
  /** The vCPU that entered it last */
  lastVcpu = -1;
  /** Of the last exit: the exit-reason field */
  reason = 0;
  view: View | undefined;
  structures: readonly Structure[] = [];
  /** Host state that was found to be the monitor's */
  hostState = '';

  constructor(
    platform: Platform,
    readonly vmcs: number,
    readonly side: Side,
    left?: LeftState,
  ) {
    this.left = left ?? new LeftState(platform.memory, vmcs);
    this.region = new RegionReader(platform.memory, vmcs);
  }
}

/** What EPT a vCPU uses; `root` is 0 without EPT. */
export interface EptInForce {
  readonly root: number;
  readonly levels: number;
  readonly modeBased: boolean;
}

/** From the space of a context */
export const inForce = ({ eptp, eptControls = 0 }: AddressSpace): EptInForce => ({
  root: Number(eptp & 0xffffffffff000n),
  levels: Number((eptp >> 3n) & 7n) + 1,
  modeBased: (eptControls & EptControl.MODE_BASED_EXECUTE) !== 0,
});

/** From a state block: that of a processor, or a copy */
export function eptInForce(view: DataView, base = STATE_BASE): EptInForce {
  const low = view.getUint32(base + State.EPTP, true);
  const high = view.getUint32(base + State.EPTP + 4, true);
  return {
    root: (high & ROOT_HIGH) * TWO_32 + ((low & ROOT_LOW) >>> 0),
    levels: ((low >>> 3) & 7) + 1,
    modeBased: (view.getUint32(base + State.EPT_CONTROLS, true) & EptControl.MODE_BASED_EXECUTE) !== 0,
  };
}

export const viewKey = ({ root, levels, modeBased }: EptInForce): string => `${root / PAGE} ${levels} ${modeBased}`;
