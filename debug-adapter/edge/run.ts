import { runHeadless, textOf } from '../launch/headless';
import { load } from '../launch/load';
import { resolveLaunch } from '../launch/description';
import { nodeEnvironment } from './environment';

export interface RunOptions {
  readonly program: string;
  readonly json: boolean;
  readonly maxInstructions: number;
}

/** `undervisor run`: the machine without a debugger. Resolves with the exit code. */
export async function run(options: RunOptions): Promise<number> {
  const launch = await resolveLaunch({ program: options.program, noDebug: true }, nodeEnvironment.files);
  const debuggee = await load(launch, nodeEnvironment);
  let lines: string[] = [];
  const drain = async () => {
    const text = lines.join('');
    lines = [];
    if (text !== '') await new Promise<void>((done) => process.stdout.write(text, () => done()));
    await new Promise<void>((done) => setImmediate(done));
  };
  const code = await runHeadless(debuggee, {
    maxInstructions: options.maxInstructions,
    breathe: drain,
    write: (row) => {
      const line = options.json ? JSON.stringify(row) : textOf(row);
      if (line !== undefined) lines.push(`${line}\n`);
    },
  });
  await drain();
  return code;
}
