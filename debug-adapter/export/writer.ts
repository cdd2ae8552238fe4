import type { Moment } from '../../emulator/timeline/api';
import type { ExportRow } from './row';
import { PerfettoWriter } from './perfetto';

/** Of each vCPU */
export type Clocks = readonly number[];

/** Takes the rows of a run from power-on, and writes those of a range. */
export interface ExportWriter {
  /** The range begins: what follows is written */
  begin(clocks: Clocks, moment: Moment): void;
  row(row: ExportRow): void;
  /** The range ends */
  end(clocks: Clocks): void;
}

export const FORMATS = ['perfetto', 'jsonl'] as const;
export type ExportFormat = (typeof FORMATS)[number];

/** Whether a file that begins so may be replaced by an export: it is empty, or an export, which both begin with an object. */
export const mayBeReplaced = (beginning: Uint8Array): boolean => beginning.length === 0 || beginning[0] === 0x7b;

export const exportWriter = (format: ExportFormat, write: (text: string) => void): ExportWriter =>
  format === 'perfetto' ? new PerfettoWriter(write) : new LinesWriter(write);

/** One JSON object a line. */
class LinesWriter implements ExportWriter {
  private began = false;
  /** Who runs on each vCPU */
  private readonly running: (string | undefined)[] = [];

  constructor(private readonly write: (text: string) => void) {}

  begin(clocks: Clocks, moment: Moment): void {
    this.began = true;
    this.running.forEach((layer, vcpu) => {
      if (layer !== undefined) this.line({ kind: 'begin', moment, time: clocks[vcpu] ?? 0, vcpu, layer });
    });
  }

  row(row: ExportRow): void {
    if (this.began) this.line(row);
    else if (row.kind === 'begin' || row.kind === 'entry') this.running[row.vcpu] = row.layer;
    else if (row.kind === 'exit') this.running[row.vcpu] = row.handler ?? row.layer;
  }

  end(): void {
    this.began = false;
  }

  private line({ kind, moment, time, vcpu, ...rest }: ExportRow): void {
    this.write(`${JSON.stringify({ kind, moment, time, vcpu, ...rest })}\n`);
  }
}
