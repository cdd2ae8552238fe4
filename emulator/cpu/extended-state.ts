import {
  FCW_INITIAL,
  FCW_RESET,
  FTW_RESET,
  Legacy,
  MXCSR_DEFINED,
  MXCSR_INITIAL,
  StateComponent,
} from '../arch/extended-state';
import { State } from '../memory/layout';
import type { CpuState } from './state';

/**
 * The registers that FXSAVE and XSAVE keep, in the state block in the form in which FXSAVE writes them. Nothing but these
 * instructions reaches them yet: x87 and SSE do not exist here.
 */

/** Bytes from..to of the legacy region */
export interface LegacyPart {
  readonly from: number;
  readonly to: number;
}

/** Where the components lie; outside 64-bit mode XMM8 to XMM15 are left alone (SDM vol. 1, 10.5.1). */
export function legacyParts(components: bigint, long: boolean): LegacyPart[] {
  const parts: LegacyPart[] = [];
  if (components & StateComponent.X87) parts.push({ from: 0, to: Legacy.MXCSR }, { from: Legacy.X87, to: Legacy.XMM });
  if (components & StateComponent.SSE) parts.push({ from: Legacy.XMM, to: long ? Legacy.END : Legacy.XMM + 128 });
  return parts;
}

export function copyLegacy(state: CpuState, bytes: DataView, components: bigint, long: boolean): void {
  for (const { from, to } of legacyParts(components, long))
    for (let at = from; at < to; at += 8) state.set64(State.LEGACY_STATE + at, bytes.getBigUint64(at, true));
}

/** Initial configuration (SDM vol. 1, 13.6). MXCSR is no part of it but in the compacted form (`withMxcsr`). */
export function initializeComponent(state: CpuState, component: bigint, long: boolean, withMxcsr = false): void {
  if (withMxcsr) {
    state.set32(State.LEGACY_STATE + Legacy.MXCSR, MXCSR_INITIAL);
    return;
  }
  for (const { from, to } of legacyParts(component, long))
    for (let at = from; at < to; at += 8) state.set64(State.LEGACY_STATE + at, 0n);
  if (component === StateComponent.X87) state.set32(State.LEGACY_STATE + Legacy.FCW, FCW_INITIAL);
}

/** XINUSE (SDM vol. 1, 13.6): which components differ from their initial configuration. */
export function componentsInUse(state: CpuState, withMxcsr = false): bigint {
  let inUse = 0n;
  for (const component of Object.values(StateComponent)) {
    for (const { from, to } of legacyParts(component, true))
      for (let at = from; at < to; at += 8) {
        const initial = at === Legacy.FCW && component === StateComponent.X87 ? BigInt(FCW_INITIAL) : 0n;
        if (state.get64(State.LEGACY_STATE + at) !== initial) inUse |= component;
      }
  }
  if (withMxcsr && state.get32(State.LEGACY_STATE + Legacy.MXCSR) !== MXCSR_INITIAL) inUse |= StateComponent.SSE;
  return inUse;
}

/** After power-up or reset (SDM vol. 3, table 10-1); INIT leaves all of it. */
export function resetExtendedState(state: CpuState): void {
  state.set32(State.LEGACY_STATE + Legacy.FCW, FCW_RESET);
  state.set32(State.LEGACY_STATE + Legacy.FTW, FTW_RESET);
  state.set32(State.LEGACY_STATE + Legacy.MXCSR, MXCSR_INITIAL);
  state.set32(State.LEGACY_STATE + Legacy.MXCSR_MASK, MXCSR_DEFINED);
}
