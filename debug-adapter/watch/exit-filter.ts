import type { Debuggee } from '../launch/debuggee';
import type { ExitsArguments } from '../protocol/requests';
import { badArguments } from '../session/errors';
import type { LoggedExit } from './exit-log';

/** Positions that are forgotten together once their records have been dropped */
const BATCH = 1 << 16;

/**
 * The recorded exits of some layers and reasons, numbered by themselves. Where they are in the log is kept for the last
 * choice that was asked about, so a page costs its rows, and more of the log is read only as the log grows.
 */
export class ExitFilter {
  private key = '';
  /** Whether exits of a kind (ExitLog.kinds) are chosen */
  private chosen = new Map<number, boolean>();
  /** Positions in the log of the chosen exits, without the first `forgotten` of them */
  private found: number[] = [];
  private forgotten = 0;
  private read = 0;

  constructor(private readonly debuggee: Pick<Debuggee, 'exits' | 'exitKind'>) {}

  /** Chosen exits `start` to `start + count - 1` as far as they are still there, and how many there have been. */
  slice({ start, count, layers, reasons }: ExitsArguments): { total: number; records: LoggedExit[] } {
    this.choose(layers, reasons);
    this.readOn(layers, reasons);
    const from = Math.max(0, Math.floor(start) - this.forgotten);
    const to = Math.max(0, Math.floor(start) + Math.floor(count) - this.forgotten);
    const { exits } = this.debuggee;
    const records = this.found.slice(from, to).flatMap((index) => exits.get(index) ?? []);
    return { total: this.forgotten + this.found.length, records };
  }

  private choose(layers: readonly unknown[] | undefined, reasons: readonly unknown[] | undefined): void {
    if (!(layers ?? []).every((layer) => typeof layer === 'string'))
      throw badArguments('undervisor/exits', 'layers must be names');
    if (!(reasons ?? []).every((reason) => typeof reason === 'number'))
      throw badArguments('undervisor/exits', 'reasons must be numbers');
    const key = JSON.stringify([layers, reasons, this.debuggee.exits.generation]);
    if (key === this.key) return;
    this.key = key;
    this.chosen = new Map();
    this.found = [];
    this.forgotten = 0;
    this.read = this.debuggee.exits.first;
  }

  private readOn(layers: readonly string[] | undefined, reasons: readonly number[] | undefined): void {
    const { exits } = this.debuggee;
    for (let index = Math.max(this.read, exits.first); index < exits.total; index++) {
      const kind = exits.kind(index);
      let chosen = this.chosen.get(kind);
      if (chosen === undefined) {
        const { layer, reason } = this.debuggee.exitKind(kind);
        chosen = (layers?.includes(layer) ?? true) && (reasons?.includes(reason) ?? true);
        this.chosen.set(kind, chosen);
      }
      if (chosen) this.found.push(index);
    }
    this.read = exits.total;
    while ((this.found[BATCH - 1] ?? Infinity) < exits.first) {
      this.found.splice(0, BATCH);
      this.forgotten += BATCH;
    }
  }
}
