import type { CpuKept } from '../cpu/cpu';
import type { SharedState } from '../devices/device';
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
  readonly board: BoardState;
  /** Of the scheduler: who is to look for interrupts before it may sleep */
  readonly called: readonly boolean[];
  readonly outcome: Outcome | undefined;
  /** Contexts that exist, of all vCPUs */
  readonly contexts: number;
  /** Strict mode */
  readonly tables: TableWatchState | undefined;
  /** Secrecy tracking: `SecrecyTracking.save` */
  readonly secrecy: unknown;
}

/** Bytes, and what states kept one after another have in common */
export interface BoardState {
  readonly bytes: Uint8Array;
  readonly shared: readonly SharedState[];
}

export interface VcpuState {
  /** The state block */
  readonly block: Uint8Array;
  readonly cpu: CpuKept;
  /** `Tlb.save` */
  readonly tlb: Int32Array;
  readonly tracker: TrackerState;
}
