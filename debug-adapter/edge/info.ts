import type { Recording } from '../../emulator/timeline/recording/recording';
import { materialsOf, readRecording } from '../launch/recorded-materials';
import { nodeFiles } from './node-files';
import { Printer } from './print';
import { UsageError } from './usage';

/** The arguments of `undervisor info`. @throws UsageError */
export function infoOptions(args: readonly string[]): { file: string; json: boolean } {
  const unknown = args.find((arg) => arg.startsWith('-') && arg !== '--json');
  if (unknown !== undefined) throw new UsageError(`info: unknown option "${unknown}"`);
  const [file, more] = args.filter((arg) => arg !== '--json');
  if (file === undefined) throw new UsageError('info: no recording given');
  if (more !== undefined) throw new UsageError(`info: one recording only, but "${more}" was given beside "${file}"`);
  return { file, json: args.includes('--json') };
}

/** `undervisor info`: what is in a recording. */
export async function info({ file, json }: { file: string; json: boolean }): Promise<number> {
  const recording = await readRecording(file, nodeFiles);
  const row = infoOf(recording, file);
  const out = new Printer();
  if (json) out.line(JSON.stringify(row));
  else for (const line of textOf(row)) out.line(line);
  await out.drain();
  return 0;
}

function infoOf(recording: Recording, file: string) {
  const { configuration } = recording.machine;
  const { images, folder } = materialsOf(recording, file);
  const inputs = recording.steps.filter(({ kind }) => kind === 'input').length;
  const checkpoints = recording.steps.flatMap((step) => (step.kind === 'checkpoint' ? [step] : []));
  return {
    file,
    program: configuration.kernel.name,
    modules: configuration.modules.map(({ name }) => name),
    memory: configuration.memory,
    processors: configuration.processors ?? 1,
    randomSeed: configuration.randomSeed ?? 0,
    layers: images.map(({ layer, file: image }) => ({ layer, file: image })),
    folder,
    disks: recording.machine.disks.map(({ name, size, interface: kind }, number) => ({
      name,
      size,
      interface: kind,
      blocks: recording.disks.filter((entry) => entry.kind === 'block' && entry.disk === number).length,
    })),
    end: recording.end,
    instructions: recording.instructions,
    inputs,
    checkpoints: checkpoints.length,
    hashes: checkpoints.filter(({ stateHash }) => stateHash !== undefined).length,
    complete: recording.complete,
    ...(recording.outcome === undefined ? {} : { outcome: recording.outcome }),
    ...(recording.loss === undefined ? {} : { loss: recording.loss }),
  };
}

function* textOf(row: ReturnType<typeof infoOf>): Iterable<string> {
  const processors = row.processors === 1 ? 'one processor' : `${row.processors} processors`;
  yield `recording   ${row.file}`;
  yield `machine     ${row.memory} MiB, ${processors}, random seed ${row.randomSeed}`;
  yield `program     ${[row.program, ...row.modules].join(', ')}`;
  for (const { layer, file } of row.layers) yield `layer       ${layer}: ${file}`;
  for (const { name, size, interface: kind, blocks } of row.disks)
    yield `disk        ${name}: ${kind}, ${size} bytes, of which ${blocks} blocks of 4096 were read`;
  yield `run         up to moment ${row.end}, ${row.instructions} instructions; ${row.inputs} inputs`;
  yield `checkpoints ${row.checkpoints}, of which ${row.hashes} with a hash of the whole state`;
  yield `end         ${row.loss ?? (row.outcome === undefined ? 'closed while the machine could go on' : `the machine had ended: ${row.outcome}`)}`;
}
