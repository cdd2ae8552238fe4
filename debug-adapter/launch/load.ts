import type { DiskConfiguration, MachineConfiguration, RawPlace } from '../../emulator/machine/api';
import { SegmentType } from '../../emulator/machine/elf';
import { createTimeline, type TimelineOptions } from '../../emulator/timeline/timeline';
import { parsePolicy, PolicyError } from '../../emulator/watch/isolation/policy';
import { resolvePolicy } from '../../emulator/watch/isolation/resolve';
import type { Environment } from '../session/environment';
import { messageOf, userError } from '../session/errors';
import type { FileSource } from '../session/file-source';
import { baseName } from '../session/paths';
import { Image } from '../stack/image';
import { ProgramSet } from '../symbols/program-set';
import { Program } from '../symbols/program';
import { Debuggee } from './debuggee';
import { openDisks } from './disks';
import { layerNameOf, readFile, type ResolvedLaunch } from './description';

/** An image with symbols, and the layer that runs it. */
export interface LayerImage {
  readonly layer: string;
  readonly file: string;
  readonly bytes: Uint8Array;
  /** Difference between run-time and link-time addresses */
  readonly bias: bigint;
}

/** All that a machine and its debugging are made of: files have been read, nothing has been built. */
export interface Materials {
  readonly configuration: Omit<MachineConfiguration, 'disks'>;
  readonly disks: readonly DiskConfiguration[];
  readonly images: readonly LayerImage[];
  /** Where relative source paths begin */
  readonly folder: string;
}

/**
 * Reads all images and builds the machine, ready to run its first instruction. Whatever is wrong with a file or with
 * the configuration is a RequestError that names it.
 */
export async function load(launch: ResolvedLaunch, environment: Environment): Promise<Debuggee> {
  const debuggee = await build(await gather(launch, environment.files), environment, launch.history);
  await checkIsolation(debuggee, launch, environment.files);
  return debuggee;
}

/** Reads all files that a launch names. @throws RequestError */
export async function gather(launch: ResolvedLaunch, files: FileSource): Promise<Materials> {
  const read = (file: string) => readFile(files, file, launch.build);
  const kernel = await read(launch.program);
  // An image that is not ELF has no symbols; whether it can be booted the machine says.
  const images: LayerImage[] = [];
  if (looksLikeElf(kernel)) images.push({ layer: launch.layer, file: launch.program, bytes: kernel, bias: 0n });
  const modules: { name: string; bytes: Uint8Array; commandLine?: string }[] = [];
  for (const { file, layer, commandLine } of launch.modules ?? []) {
    const bytes = await read(file);
    // Its command line, by which the program that boots finds it, is the layer's name unless another is given.
    modules.push({ name: layer ?? baseName(file), bytes, ...(commandLine === undefined ? {} : { commandLine }) });
    // A module may be anything (a disk, a configuration): only one that names a layer has to be an image.
    if (layer !== undefined || looksLikeElf(bytes))
      images.push({ layer: layer ?? layerNameOf(file), file, bytes, bias: 0n });
  }
  for (const { file, layer, bias } of launch.symbols ?? []) {
    images.push({ layer, file, bytes: await read(file), bias: parseBias(bias) });
  }
  const configuration: Materials['configuration'] = {
    memory: launch.memory,
    kernel: { name: baseName(launch.program), bytes: kernel },
    modules,
    commandLine: launch.commandLine ?? '',
    translator: launch.translator ?? true,
    boot: launch.boot ?? 'auto',
    ...(launch.startTime === undefined ? {} : { startTime: Date.parse(launch.startTime) / 1000 }),
    ...(launch.processors === undefined ? {} : { processors: launch.processors }),
    ...(launch.quantum === undefined ? {} : { quantum: launch.quantum }),
    iommu: launch.iommu ?? false,
    strictTranslation: launch.strictTranslation ?? false,
    ...(launch.tpm === undefined ? {} : { tpm: launch.tpm }),
    ...(launch.randomSeed === undefined ? {} : { randomSeed: launch.randomSeed }),
    ...(launch.raw === undefined ? {} : { raw: rawPlace(launch.raw) }),
  };
  const disks = await openDisks(launch.disks ?? [], files, launch.build);
  return { configuration, disks, images, folder: launch.folder };
}

/** Builds the machine of these materials. @throws RequestError */
export async function build(
  materials: Materials,
  environment: Environment,
  history?: ResolvedLaunch['history'],
): Promise<Debuggee> {
  const sets = new Map<string, ProgramSet>();
  const images = materials.images.map(({ bytes, file, layer, bias }) => {
    const program = openProgram(bytes, file);
    const set = sets.get(layer) ?? new ProgramSet();
    sets.set(layer, set);
    return new Image(layer, file, set.add(program, bias), set);
  });
  const { configuration, disks, folder } = materials;
  try {
    const machine = await environment.createMachine({ ...configuration, disks });
    return new Debuggee(machine, images, folder, createTimeline(machine, historyOf(history)));
  } catch (error) {
    throw isExpected(error) ? userError(messageOf(error)) : error;
  }
}

/**
 * With a policy isolation is checked from now on: before the first instruction. `isolation` is the policy itself, or the
 * file that holds it; its areas are found in the images. @throws RequestError
 */
export async function checkIsolation(
  debuggee: Debuggee,
  { isolation }: Pick<ResolvedLaunch, 'isolation'>,
  files: FileSource,
): Promise<void> {
  if (isolation === undefined) return;
  const where = typeof isolation === 'string' ? `${isolation}: ` : 'launch: ';
  const bytes = typeof isolation === 'string' ? await readFile(files, isolation) : undefined;
  try {
    const policy = parsePolicy(bytes ? JSON.parse(new TextDecoder().decode(bytes)) : isolation);
    const images = debuggee.images.map(({ layer, loaded }) => ({ layer, elf: loaded.program.elf }));
    debuggee.checkIsolation(resolvePolicy(policy, images));
  } catch (error) {
    if (error instanceof PolicyError || error instanceof SyntaxError) throw userError(where + messageOf(error));
    throw error;
  }
}

const HISTORY_MEBIBYTES = 256;

/** Recording is asked for: what runs on a command line has no past unless somebody wants one. */
function historyOf(history: ResolvedLaunch['history'] = false): TimelineOptions {
  if (history === false) return { recording: false };
  const { memory = HISTORY_MEBIBYTES } = history === true ? {} : history;
  return { recording: true, memoryLimit: memory * 2 ** 20 };
}

function openProgram(bytes: Uint8Array, file: string): Program {
  try {
    const program = Program.open(bytes, baseName(file));
    checkOverlap(program, file);
    return program;
  } catch (error) {
    throw isExpected(error) ? userError(`${file}: ${messageOf(error)}`) : error;
  }
}

/** Two segments that claim the same bytes of memory: the one loaded last would silently damage the other. */
function checkOverlap(program: Program, file: string): void {
  const loads = program.elf.segments
    .filter((segment) => segment.type === SegmentType.Load && segment.memsz > 0n)
    .sort((a, b) => (a.paddr < b.paddr ? -1 : a.paddr > b.paddr ? 1 : 0));
  for (const [index, segment] of loads.entries()) {
    const next = loads[index + 1];
    if (next && segment.paddr + segment.memsz > next.paddr) {
      const range = (s: typeof segment) => `0x${s.paddr.toString(16)}-0x${(s.paddr + s.memsz - 1n).toString(16)}`;
      throw userError(
        `${file}: load addresses overlap: physical ${range(segment)} and ${range(next)}. Correct the linker script (AT or LMA)`,
      );
    }
  }
}

/** Errors that are about the input; everything else is a fault of ours and keeps its stack. */
const isExpected = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'ElfError' || error.name === 'MachineError');

const looksLikeElf = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;

function rawPlace({ address, entry, bits }: NonNullable<ResolvedLaunch['raw']>): RawPlace {
  return {
    ...(address === undefined ? {} : { address: BigInt(address) }),
    ...(entry === undefined ? {} : { entry: BigInt(entry) }),
    ...(bits === undefined ? {} : { bits }),
  };
}

const parseBias = (text: string | undefined): bigint =>
  text === undefined ? 0n : text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
