import { textOf, watchRows } from '../launch/headless';
import { follower } from '../launch/open';
import { materialsOf, readRecording } from '../launch/recorded-materials';
import { describeOutcome } from '../launch/outcome';
import { RequestError } from '../session/errors';
import { nodeEnvironment } from './environment';
import { nodeFiles } from './node-files';
import { Printer } from './print';
import { UsageError, whole } from './usage';

export interface ReplayOptions {
  readonly file: string;
  /** No rows, and the hashes of the whole state compared as well */
  readonly verify: boolean;
  readonly until: number | undefined;
  readonly json: boolean;
}

const SLICE = 2_000_000;

/** The arguments of `undervisor replay`. @throws UsageError */
export function replayOptions(args: readonly string[]): ReplayOptions {
  let file: string | undefined;
  let [verify, json] = [false, false];
  let until: number | undefined;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (arg === '--verify') verify = true;
    else if (arg === '--json') json = true;
    else if (arg === '--until') until = whole(args[++at], arg, Number.MAX_SAFE_INTEGER);
    else if (arg.startsWith('-')) throw new UsageError(`replay: unknown option "${arg}"`);
    else if (file === undefined) file = arg;
    else throw new UsageError(`replay: one recording only, but "${arg}" was given beside "${file}"`);
  }
  if (file === undefined) throw new UsageError('replay: no recording given');
  return { file, verify, until, json };
}

/** `undervisor replay`. Resolves with the exit code: 0 = as it was recorded, 1 = it was not. */
export async function replay({ file, verify, until, json }: ReplayOptions): Promise<number> {
  const recording = await readRecording(file, nodeFiles);
  if (recording.loss !== undefined) process.stderr.write(`undervisor: ${file}: ${recording.loss}\n`);
  if (until !== undefined && until > recording.end)
    throw new RequestError(1000, `${file} ends at moment ${recording.end}, before ${until}`, true);
  const debuggee = await follower(materialsOf(recording, file), recording, nodeEnvironment, verify);
  const { machine, tape } = debuggee;
  const out = new Printer();
  if (!verify)
    watchRows(debuggee, (row) => {
      const line = json ? JSON.stringify(row) : textOf(row);
      if (line !== undefined) out.line(line);
    });
  tape.bound = until ?? Infinity;
  let ended: string | undefined;
  while (tape.follows && machine.moment < tape.bound && ended === undefined) {
    const before = machine.moment;
    const result = debuggee.advance(SLICE);
    if (result.why === 'ended') ended = describeOutcome(result.outcome, debuggee).text;
    else if (machine.moment === before) break;
    await out.drain();
  }
  debuggee.flushSerial();
  const { divergence, agreement } = tape;
  const { moment, instructions } = machine;
  const row = {
    kind: 'replay',
    diverged: divergence !== undefined,
    moment,
    recordedEnd: recording.end,
    instructions,
    checkpoints: agreement.checkpoints,
    hashes: agreement.hashes,
    stateHash: machine.stateHash(),
    ...(divergence === undefined ? {} : { agreedUpTo: divergence.after, description: divergence.text }),
    ...(divergence !== undefined || ended === undefined ? {} : { description: ended }),
  };
  const compared = `${row.checkpoints} checkpoints agreed${verify ? `, ${row.hashes} of them with the whole state` : ''}`;
  const verdict = divergence ? divergence.text : `As it was recorded up to moment ${moment}: ${compared}.`;
  const tail = `replay ${verdict}${ended === undefined ? '' : ` ${ended}`}\n       ${instructions} instructions, state ${row.stateHash}`;
  out.line(json ? JSON.stringify(row) : tail);
  await out.drain();
  return divergence ? 1 : 0;
}
