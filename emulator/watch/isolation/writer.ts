import type { Machine } from '../../machine/api';
import { State } from '../../memory/layout';
import type { Party } from './finding';

/** Who made a store, and when. */
export interface Writer {
  readonly moment: number;
  readonly vcpu: number;
  readonly rip: bigint;
  readonly by: Party;
}

/** The instruction that runs now. Between two `run`s of a machine it is the debugger; that is not told apart. */
export function currentWriter(machine: Machine, moment: number): Writer {
  const { processors } = machine.platform;
  const { running } = processors;
  const state = processors.state(running);
  const root = state.get32(State.VMX_ON) === 0 || state.get32(State.VMX_ROOT) !== 0;
  const by: Party = root ? { kind: 'root' } : { kind: 'vmcs', vmcs: state.get64(State.CURRENT_VMCS) };
  return { moment, vcpu: running, rip: state.rip, by };
}
