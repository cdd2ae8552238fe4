import { AccessRights } from '../arch/segments';
import { Cr0, Efer } from '../arch/control-registers';
import type { CpuState } from '../cpu/state';
import { Segment, State } from '../memory/layout';
import type { AddressSpace } from './api';

/** The linear address space of these registers. */
export function spaceOf(state: CpuState): AddressSpace {
  const access = state.segmentAccess(Segment.CS);
  const long = (state.efer & Efer.LMA) !== 0n && (access & AccessRights.LONG) !== 0;
  const big = (access & AccessRights.DEFAULT_BIG) !== 0 && (state.cr0 & Cr0.PE) !== 0n;
  return {
    kind: 'linear',
    cr0: state.cr0,
    cr3: state.cr3,
    cr4: state.cr4,
    efer: state.efer,
    eptp: state.get64(State.EPTP),
    eptControls: state.get32(State.EPT_CONTROLS),
    codeSize: long ? 64 : big ? 32 : 16,
  };
}
