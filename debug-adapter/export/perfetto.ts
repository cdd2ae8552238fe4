import { without } from '../protocol/without';
import type { ExportRow } from './row';
import type { Clocks, ExportWriter } from './writer';

/**
 * JSON in the Trace Event Format, as ui.perfetto.dev and chrome://tracing read it: a process for each vCPU, in it a thread
 * for each layer. On the thread of whoever runs lies a slice, so that each vCPU has one at a time: "runs" from a VM entry,
 * the name of the exit in the layer that handles it. Everything else is an instant. Slices are pairs of B and E and follow
 * each other in time, so nothing can overlap; timestamps are microseconds with three decimals, the vCPU's clock in full.
 */
export class PerfettoWriter implements ExportWriter {
  private readonly tracks = new Map<string, number>();
  /** The slice that is open on each vCPU */
  private readonly open: (OpenSlice | undefined)[] = [];
  private began = false;
  private first = true;

  constructor(private readonly write: (text: string) => void) {
    this.write('{"displayTimeUnit":"ns","traceEvents":[');
  }

  begin(clocks: Clocks): void {
    this.began = true;
    this.open.forEach((slice, vcpu) => slice && this.beginSlice(vcpu, slice, clocks[vcpu] ?? 0));
  }

  row(row: ExportRow): void {
    const { vcpu, time, moment } = row;
    switch (row.kind) {
      case 'begin':
        this.switchTo(vcpu, time, { layer: row.layer, name: 'runs', category: 'boot', args: { moment } });
        return;
      case 'exit': {
        const { n, reason, name, layer, rip, symbol, qualification, handler = layer, instruction } = row;
        const args = { n, from: layer, reason, rip, symbol, qualification, moment, instruction };
        this.switchTo(vcpu, time, { layer: handler, name, category: 'exit', args });
        return;
      }
      case 'entry': {
        const { n, launch, rip, symbol, layer, instruction } = row;
        const args = { n, by: launch ? 'VMLAUNCH' : 'VMRESUME', rip, symbol, moment, instruction };
        this.switchTo(vcpu, time, { layer, name: 'runs', category: 'entry', args });
        return;
      }
      case 'entry-failed':
        return this.instant(row, `VM entry failed: ${row.check}`, row.layer);
      case 'page':
        return this.instant(row, `${row.decision} ${row.hpa}`, undefined);
      case 'probe':
      case 'exception':
        return this.instant(row, row.name, row.layer);
      case 'interrupt':
        return this.instant(row, `interrupt ${row.vector}`, row.layer);
      case 'dma':
        return this.instant(
          row,
          `DMA ${row.write ? 'write' : 'read'}${row.blocked === undefined ? '' : ', blocked'}`,
          row.layer,
        );
      case 'serial':
        return this.instant(row, row.text === '' ? 'an empty line' : row.text, row.layer);
      case 'stale':
        return this.instant(row, `stale translation: ${row.missing} is missing`, undefined);
      case 'isolation':
        return this.instant(row, `isolation broken: ${row.title}`, undefined);
      case 'boot':
        return this.instant(row, `boot: ${row.protocol}`, undefined);
      case 'end':
        return this.instant(row, `end: ${row.outcome}`, undefined);
    }
  }

  end(clocks: Clocks): void {
    for (const vcpu of this.open.keys()) this.endSlice(vcpu, clocks[vcpu] ?? 0);
    this.write('\n]}\n');
  }

  private switchTo(vcpu: number, time: number, slice: OpenSlice): void {
    this.endSlice(vcpu, time);
    this.open[vcpu] = slice;
    if (this.began) this.beginSlice(vcpu, slice, time);
  }

  private beginSlice(vcpu: number, { layer, name, category, args }: OpenSlice, time: number): void {
    this.event({ name, cat: category, ph: 'B', ...this.place(vcpu, layer), args }, time);
  }

  private endSlice(vcpu: number, time: number): void {
    const slice = this.open[vcpu];
    if (slice && this.began) this.event({ ph: 'E', ...this.place(vcpu, slice.layer) }, time);
    this.open[vcpu] = undefined;
  }

  /** @param layer undefined: the one that runs */
  private instant(row: ExportRow, name: string, layer: string | undefined): void {
    const running = this.open[row.vcpu];
    // Software that has just been loaded shows itself first by what it does, before any VM entry.
    if (layer !== undefined && running?.category === 'boot' && running.layer !== layer)
      this.switchTo(row.vcpu, row.time, { ...running, layer });
    const on = layer ?? running?.layer ?? 'machine';
    const args = without(row, 'kind', 'time', 'vcpu');
    if (this.began) this.event({ name, cat: row.kind, ph: 'i', s: 't', ...this.place(row.vcpu, on), args }, row.time);
  }

  private place(vcpu: number, layer: string): { pid: number; tid: number } {
    const key = `${vcpu} ${layer}`;
    const pid = vcpu + 1;
    let tid = this.tracks.get(key);
    if (tid === undefined) {
      tid = this.tracks.size + 1;
      this.tracks.set(key, tid);
      this.event({ name: 'process_name', ph: 'M', pid, tid, args: { name: `vcpu${vcpu}` } });
      this.event({ name: 'thread_name', ph: 'M', pid, tid, args: { name: layer } });
      this.event({ name: 'thread_sort_index', ph: 'M', pid, tid, args: { sort_index: tid } });
    }
    return { pid, tid };
  }

  private event(event: object, time?: number): void {
    const text = JSON.stringify(event);
    this.write(
      `${this.first ? '' : ','}\n${time === undefined ? text : `${text.slice(0, -1)},"ts":${microseconds(time)}}`}`,
    );
    this.first = false;
  }
}

interface OpenSlice {
  readonly layer: string;
  readonly name: string;
  /** 'boot' until the first VM entry or exit of the vCPU */
  readonly category: 'boot' | 'exit' | 'entry';
  readonly args: object;
}

/** Ticks in full: as a floating-point number of microseconds a late one would lose its last digits. */
const microseconds = (ticks: number): string => `${Math.floor(ticks / 1000)}.${String(ticks % 1000).padStart(3, '0')}`;
