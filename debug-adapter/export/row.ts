import type { HeadlessRow } from '../launch/headless';

/** When and where a row of an export happened */
export interface Stamp {
  /** Transitions of all vCPUs since power-on: the number by which the debugger names this point of the run */
  readonly moment: number;
  /** Clock of the vCPU, in ticks: nanoseconds of virtual time */
  readonly time: number;
  readonly vcpu: number;
}

/** What an export has beside the rows of a headless run */
export type MoreRow =
  /** Beside a VM exit: who handles it */
  | { kind: 'interrupt'; layer: string; vector: number }
  | { kind: 'exception'; layer: string; vector: number; name: string; errorCode?: number; linear?: string }
  /** A static probe that announces no page decision */
  | { kind: 'probe'; layer: string; name: string; text: string }
  | { kind: 'dma'; layer: string; requester: string; hpa?: string; length: number; write: boolean; blocked?: string };

/** The run's first row: what runs on a vCPU where the export begins; `layer` absent where it does not run yet */
export type BeginRow = { kind: 'begin'; layer: string };

export type ExportRow = ((Exclude<HeadlessRow, { kind: 'recorded' }> & { handler?: string }) | MoreRow | BeginRow) &
  Stamp;
