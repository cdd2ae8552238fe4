import { closeSync, existsSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { exportRun } from '../export/export';
import { FORMATS, mayBeReplaced, type ExportFormat } from '../export/writer';
import { resolveLaunch } from '../launch/description';
import type { Debuggee } from '../launch/debuggee';
import { follower } from '../launch/open';
import { load } from '../launch/load';
import { materialsOf, readRecording } from '../launch/recorded-materials';
import { messageOf, userError } from '../session/errors';
import { nodeEnvironment } from './environment';
import { nodeFiles } from './node-files';
import { Printer } from './print';
import type { RunOptions } from './run';
import { runOptions } from './run-options';
import { UsageError, whole } from './usage';

export interface ExportToOptions {
  readonly format: ExportFormat;
  readonly out: string | undefined;
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly source: { readonly recording: string } | { readonly run: RunOptions };
}

/** The arguments of `undervisor export`. @throws UsageError */
export function exportOptions(args: readonly string[]): ExportToOptions {
  const rest: string[] = [];
  const own: Record<string, string> = {};
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (!['--format', '--out', '--from', '--to'].includes(arg)) rest.push(arg);
    else {
      const value = args[++at];
      if (value === undefined) throw new UsageError(`${arg} needs a value`);
      own[arg] = value;
    }
  }
  const { '--format': format = 'perfetto', '--out': out, '--from': from, '--to': to } = own;
  if (!FORMATS.some((one) => one === format))
    throw new UsageError(`export: unknown format "${format}": ${FORMATS.join(', ')}`);
  const moment = (name: string, text: string | undefined) =>
    text === undefined ? undefined : whole(text, name, Number.MAX_SAFE_INTEGER);
  const range = { from: moment('--from', from), to: moment('--to', to) };
  const common = { format: format as ExportFormat, out, ...range };
  const recording = rest.find((arg) => arg.endsWith('.uvrec'));
  if (recording === undefined) {
    const other = rest.find((arg) => ['--json', '--serial', '--exit-status', '--record'].includes(arg));
    if (other !== undefined) throw new UsageError(`export: "${other}" has no meaning here`);
    return { ...common, source: { run: runOptions(rest, 'export') } };
  }
  const beside = rest.find((arg) => arg !== recording);
  if (beside !== undefined) throw new UsageError(`export: "${beside}" has no meaning for a recording`);
  return { ...common, source: { recording } };
}

/** `undervisor export`. Resolves with the exit code. */
export async function exportTo({ format, out, from, to, source }: ExportToOptions): Promise<number> {
  const { debuggee, end, maxInstructions } = await opened(source);
  debuggee.tape.tell = (text) => process.stderr.write(`undervisor: ${text}\n`);
  const sink = out === undefined ? standardOutput() : fileOutput(out);
  try {
    const task = exportRun(debuggee, {
      format,
      write: (text) => sink.write(text),
      maxInstructions,
      ...(from === undefined ? {} : { from }),
      ...(end === undefined ? (to === undefined ? {} : { to }) : { end, to: Math.min(to ?? end, end) }),
    });
    for (let next = task.next(); ; next = task.next()) {
      await sink.drain();
      if (next.done) return next.value.divergence === undefined ? 0 : 1;
    }
  } catch (error) {
    throw error instanceof RangeError ? userError(`export: ${error.message}`) : error;
  } finally {
    await sink.close();
  }
}

async function opened(
  source: ExportToOptions['source'],
): Promise<{ debuggee: Debuggee; end: number | undefined; maxInstructions: number }> {
  if ('run' in source) {
    const { launch, maxInstructions } = source.run;
    const debuggee = await load(await resolveLaunch({ ...launch, noDebug: true }, nodeFiles), nodeEnvironment);
    return { debuggee, end: undefined, maxInstructions };
  }
  const recording = await readRecording(source.recording, nodeFiles);
  if (recording.loss !== undefined) process.stderr.write(`undervisor: ${source.recording}: ${recording.loss}\n`);
  const materials = materialsOf(recording, source.recording);
  const debuggee = await follower(materials, recording, nodeEnvironment, false);
  return { debuggee, end: recording.end, maxInstructions: Infinity };
}

function beginningOf(file: string): Uint8Array {
  const handle = openSync(file, 'r');
  const byte = new Uint8Array(1);
  const length = readSync(handle, byte);
  closeSync(handle);
  return byte.subarray(0, length);
}

interface Output {
  write(text: string): void;
  drain(): Promise<void>;
  close(): Promise<void>;
}

function standardOutput(): Output {
  const printer = new Printer();
  return { write: (text) => printer.text(text), drain: () => printer.drain(), close: () => printer.drain() };
}

function fileOutput(file: string): Output {
  let handle: number;
  try {
    if (existsSync(file) && statSync(file).isFile() && !mayBeReplaced(beginningOf(file)))
      throw new Error('it is there already, and is no export');
    handle = openSync(file, 'w');
  } catch (error) {
    throw userError(`cannot write ${file}: ${messageOf(error)}`);
  }
  let waiting: string[] = [];
  const drain = () => {
    const bytes = Buffer.from(waiting.join(''));
    waiting = [];
    for (let done = 0; done < bytes.length;) done += writeSync(handle, bytes, done);
    return Promise.resolve();
  };
  return {
    write: (text) => void waiting.push(text),
    drain,
    close: async () => {
      await drain();
      closeSync(handle);
    },
  };
}
