import type { LaunchArguments } from '../protocol/requests';
import { messageOf, userError } from '../session/errors';
import type { FileSource } from '../session/file-source';
import { baseName, directoryOf, joinPath } from '../session/paths';
import { without } from '../protocol/without';
import { attributes, checkAttributes } from './attributes';

export const DESCRIPTION_FILE = 'undervisor.json';

/** A launch whose every path is absolute. */
export interface ResolvedLaunch extends Omit<LaunchArguments, 'record'> {
  readonly layer: string;
  readonly memory: number;
  /** Folder of the description, else of the program: where relative source paths begin */
  readonly folder: string;
  /** The file to record into, absolute */
  readonly record?: string;
}

/** What a launch of a recording may say beside it: how to debug. What the machine is, is in the recording. */
const BESIDE_RECORDING: ReadonlySet<string> = new Set(
  attributes.flatMap(({ name, described }) => (described && name !== 'translator' && name !== 'history' ? [] : [name])),
);

/**
 * `program` may be an ELF image, an undervisor.json, or a folder that holds one. Attributes of the launch itself win
 * over the description's. Throws RequestError.
 */
export async function resolveLaunch(given: unknown, files: FileSource): Promise<ResolvedLaunch> {
  const launch = checkAttributes(given, 'launch') as Partial<LaunchArguments>;
  if (launch.recording !== undefined) return ofRecording(launch, launch.recording, files);
  if (launch.program === undefined) {
    throw userError(
      `launch: "program" is missing. Name an ELF image, an ${DESCRIPTION_FILE}, or a folder that holds one; or a "recording"`,
    );
  }
  const program = files.absolute(launch.program);
  const kind = await files.kind(program);
  const isDescription = kind === 'folder' || program.toLowerCase().endsWith('.json');
  if (!isDescription)
    return withDefaults(relativeTo(directoryOf(program), { ...launch, program }), directoryOf(program));

  const path = kind === 'folder' ? joinPath(program, DESCRIPTION_FILE) : program;
  if (kind === 'folder' && (await files.kind(path)) === 'absent') {
    throw userError(`${program} has no ${DESCRIPTION_FILE}: name the ELF image to boot, or add the description`);
  }
  const described = await readDescription(path, files);
  const folder = directoryOf(path);
  return withDefaults({ ...relativeTo(folder, described), ...relativeTo(folder, without(launch, 'program')) }, folder);
}

async function readDescription(path: string, files: FileSource): Promise<Partial<LaunchArguments>> {
  let parsed: unknown;
  const bytes = await readFile(files, path);
  try {
    parsed = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw userError(`${path}: ${messageOf(error)}`);
  }
  const description = checkAttributes(parsed, path) as Partial<LaunchArguments>;
  if (description.program === undefined) throw userError(`${path}: "program" is missing: the ELF image that boots`);
  return description;
}

/** Reads a file for the user: a failure says which file and why, and the command that would make it when one is known. */
export async function readFile(files: FileSource, path: string, build?: string): Promise<Uint8Array> {
  try {
    return await files.read(path);
  } catch (error) {
    const advice = build === undefined ? '' : `. It is made by: ${build}`;
    throw userError(`cannot read ${path}: ${messageOf(error)}${advice}`);
  }
}

function relativeTo<T extends Partial<LaunchArguments>>(folder: string, launch: T): T {
  const place = <E extends { file: string }>(entries: E[]): E[] =>
    entries.map((entry) => ({ ...entry, file: joinPath(folder, entry.file) }));
  return {
    ...launch,
    ...(launch.program === undefined ? {} : { program: joinPath(folder, launch.program) }),
    ...(launch.modules === undefined ? {} : { modules: place(launch.modules) }),
    ...(launch.symbols === undefined ? {} : { symbols: place(launch.symbols) }),
    ...(launch.disks === undefined ? {} : { disks: place(launch.disks) }),
    ...(typeof launch.isolation === 'string' ? { isolation: joinPath(folder, launch.isolation) } : {}),
  };
}

function ofRecording(launch: Partial<LaunchArguments>, file: string, files: FileSource): ResolvedLaunch {
  const other = Object.keys(launch).find((name) => !BESIDE_RECORDING.has(name));
  if (other !== undefined)
    throw userError(`launch: "recording" and "${other}" exclude each other: the machine is the one that was recorded`);
  const recording = files.absolute(file);
  return withDefaults({ ...launch, program: recording, recording }, directoryOf(recording));
}

function withDefaults(launch: Partial<LaunchArguments>, folder: string): ResolvedLaunch {
  const program = launch.program ?? '';
  const layer = launch.layer ?? layerNameOf(program);
  const { record, ...rest } = launch;
  const beside = launch.recording === undefined ? '' : '-again';
  const file = record === true ? `${layer}${beside}.uvrec` : record === false ? undefined : record;
  const recorded = file === undefined ? {} : { record: joinPath(folder, file) };
  return { ...rest, ...recorded, program, folder, layer, memory: launch.memory ?? 64 };
}

/** An image that is given no layer name is called as its file: "vmm" for build/vmm.elf. */
export const layerNameOf = (file: string): string => baseName(file).replace(/\.[^.]*$/, '') || baseName(file);
