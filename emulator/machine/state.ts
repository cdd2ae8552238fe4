import type { CpuKept } from '../cpu/cpu';
import type { TableWatchState } from '../memory/table-watch';
import type { Outcome } from './api';
import type { TrackerState } from './contexts';

/**
 * All of a machine but RAM, as `Machine.saveState` gives it: plain data that later running does not change. Together with
 * the contents of RAM at the same moment, `restoreState` of it makes the machine what it was, caches of translations included.
 */
export interface MachineState {
  readonly moment: number;
  readonly running: number;
  readonly vcpus: readonly VcpuState[];
  /** Saved state of all devices, disks included */
  readonly board: Uint8Array;
  /** Of the scheduler: who is to look for interrupts before it may sleep */
  readonly called: readonly boolean[];
  readonly outcome: Outcome | undefined;
  /** Contexts that exist, of all vCPUs */
  readonly contexts: number;
  /** Strict mode */
  readonly tables: TableWatchState | undefined;
}

export interface VcpuState {
  /** The state block */
  readonly block: Uint8Array;
  readonly cpu: CpuKept;
  /** `Tlb.save` */
  readonly tlb: Int32Array;
  readonly tracker: TrackerState;
}
