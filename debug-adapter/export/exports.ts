import { follower, soFar, type Opened } from '../launch/open';
import type { ExportArguments, ExportedEventBody, ExportResponse } from '../protocol/requests';
import { defer } from '../session/defer';
import type { Environment } from '../session/environment';
import { badArguments, messageOf, userError } from '../session/errors';
import { Progress, type ProgressEvents } from '../time/progress';
import { exportRun, type ExportSummary } from './export';
import { FORMATS, mayBeReplaced, type ExportFormat } from './writer';

const SLICE_MS = 12;
/** Text is gathered to pieces of this size. */
const PIECE = 1 << 18;

/**
 * Exports of a session's run so far. Each goes through the run again on a machine of its own, in slices, so that the
 * session can go on meanwhile.
 */
export class Exports {
  private readonly active = new Map<string, { cancelled: boolean }>();
  private ordinal = 0;

  constructor(
    private readonly environment: Environment,
    private readonly events: ProgressEvents,
  ) {}

  /** undervisor/export: answers when it has begun; 'undervisor/exported' tells how it ended. @throws RequestError */
  async start(args: ExportArguments, opened: Opened): Promise<{ body: ExportResponse; run: () => void }> {
    const { files } = this.environment;
    const format = args.format ?? 'perfetto';
    if (!isFormat(format)) throw badArguments('undervisor/export', `"format" must be one of ${FORMATS.join(', ')}`);
    if (!files.recordTo) throw userError('files cannot be written here');
    const { materials, recording } = soFar(opened);
    for (const name of ['from', 'to'] as const) {
      const moment = args[name];
      if (moment === undefined) continue;
      if (!Number.isSafeInteger(moment) || moment < 0 || moment > recording.end)
        throw userError(`export: "${name}" must be a moment of the run, from 0 to ${recording.end}`);
    }
    const path = files.absolute(args.path);
    const sink = await files.recordTo(path, mayBeReplaced, 'export').catch((error: unknown) => {
      throw userError(`cannot write ${path}: ${messageOf(error)}`);
    });
    let waiting = '';
    const write = (text: string) => {
      waiting += text;
      if (waiting.length >= PIECE) flush();
    };
    const flush = () => {
      if (waiting !== '') sink.append(new TextEncoder().encode(waiting));
      waiting = '';
    };
    const id = `undervisor-export-${++this.ordinal}`;
    const run = async (): Promise<ExportSummary | undefined> => {
      try {
        const debuggee = await follower(materials, recording, this.environment, false);
        const { from, to = recording.end } = args;
        const range = { to, ...(from === undefined ? {} : { from }), end: recording.end };
        const summary = await this.drive(id, exportRun(debuggee, { format, write, ...range }));
        flush();
        return summary;
      } finally {
        sink.close();
      }
    };
    return { body: { progressId: id, end: recording.end }, run: () => void this.tell(path, run()) };
  }

  /** False: there is no such export */
  cancel(progressId: string): boolean {
    const one = this.active.get(progressId);
    if (one) one.cancelled = true;
    return one !== undefined;
  }

  abandon(): void {
    for (const one of this.active.values()) one.cancelled = true;
  }

  private async tell(path: string, done: Promise<ExportSummary | undefined>): Promise<void> {
    let body: ExportedEventBody;
    try {
      const summary = await done;
      if (!summary) body = { path, error: 'cancelled' };
      else {
        const { from, to, rows, divergence } = summary;
        body = { path, from, to, rows, ...(divergence === undefined ? {} : { error: divergence }) };
      }
    } catch (error) {
      body = { path, error: messageOf(error) };
    }
    const text = body.error ?? `${body.rows} rows, moments ${body.from} to ${body.to}`;
    this.events.emit('output', { category: 'console', output: `Export to ${path}: ${text}\n` });
    this.events.emit('undervisor/exported', body);
  }

  /** @returns undefined when it was cancelled */
  private async drive(id: string, task: ReturnType<typeof exportRun>): Promise<ExportSummary | undefined> {
    const progress = new Progress(this.events, id, 'Exporting the run');
    const state = { cancelled: false };
    this.active.set(id, state);
    try {
      for (let end = performance.now() + SLICE_MS; ;) {
        const next = task.next();
        if (next.done) return next.value;
        if (performance.now() < end) continue;
        progress.at(next.value);
        await new Promise<void>(defer);
        if (state.cancelled) return undefined;
        end = performance.now() + SLICE_MS;
      }
    } finally {
      this.active.delete(id);
      progress.end();
    }
  }
}

const isFormat = (format: string): format is ExportFormat => FORMATS.some((one) => one === format);
