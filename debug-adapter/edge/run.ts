import type { Debuggee } from '../launch/debuggee';
import type { HeadlessRow } from '../launch/headless';
import { resolveLaunch } from '../launch/description';
import { runHeadless, textOf } from '../launch/headless';
import { open } from '../launch/open';
import type { LaunchArguments } from '../protocol/requests';
import { nodeEnvironment } from './environment';

/** What goes to standard output: rows for people, rows as JSON, or the bytes of COM1 and nothing else */
export type OutputForm = 'text' | 'json' | 'serial';

export interface RunOptions {
  /** The program, and whatever the command line says beside its description */
  readonly launch: Partial<LaunchArguments>;
  readonly form: OutputForm;
  readonly maxInstructions: number;
  /** Exit code as QEMU's */
  readonly exitStatus: boolean;
}

/** `undervisor run`: the machine without a debugger. Resolves with the exit code. */
export async function run(options: RunOptions): Promise<number> {
  const { form, maxInstructions, exitStatus } = options;
  const launch = await resolveLaunch({ ...options.launch, noDebug: true }, nodeEnvironment.files);
  const { debuggee, begin } = await open(launch, nodeEnvironment);
  debuggee.tape.tell = (text) => process.stderr.write(`undervisor: ${text}\n`);
  begin();
  closeOnSignal(debuggee);
  let waiting: (string | number)[] = [];
  const drain = async () => {
    const bytes = form === 'serial' ? Buffer.from(waiting as number[]) : Buffer.from(waiting.join(''));
    waiting = [];
    if (bytes.length > 0) await new Promise<void>((done) => process.stdout.write(bytes, () => done()));
    await new Promise<void>((done) => setImmediate(done));
  };
  if (form === 'serial') debuggee.machine.onSerial((byte) => waiting.push(byte));
  const code = await runHeadless(debuggee, {
    maxInstructions,
    exitStatus,
    breathe: drain,
    write: (row) => {
      if (form === 'serial') {
        complain(row);
        return;
      }
      const line = form === 'json' ? JSON.stringify(row) : textOf(row);
      if (line !== undefined) waiting.push(`${line}\n`);
    },
  });
  await drain();
  return code;
}

/** Ctrl+C: the recording is closed as it should be. */
function closeOnSignal({ tape }: Debuggee): void {
  if (!tape.records) return;
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.once(signal, () => {
      tape.close();
      process.exit(code);
    });
}

/** Where only the serial port is printed, an end that the program did not choose is told on standard error. */
function complain(row: HeadlessRow): void {
  if (row.kind === 'end' && row.qemuStatus === undefined) process.stderr.write(`undervisor: ${row.description}\n`);
}
