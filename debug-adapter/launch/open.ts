import { RecordedDisk } from '../../emulator/timeline/recording/disk';
import type { Recording } from '../../emulator/timeline/recording/recording';
import type { Environment } from '../session/environment';
import type { Debuggee } from './debuggee';
import type { ResolvedLaunch } from './description';
import { build, checkIsolation, gather, type Materials } from './load';
import { materialsOf, readRecording, recordable, recordedMachine } from './recorded-materials';
import { blankTape } from './tape';

/** A machine that a launch describes, or a recording. It has not begun: nothing was written yet. */
export interface Opened {
  readonly debuggee: Debuggee;
  readonly materials: Materials;
  readonly recording: Recording | undefined;
  /** Begins to follow the recording, and to make one. Once, before the machine runs. */
  readonly begin: () => void;
}

/** Builds what a launch asks for. Whatever is wrong is a RequestError, and no file was changed. */
export async function open(launch: ResolvedLaunch, environment: Environment): Promise<Opened> {
  const { files } = environment;
  const recording = launch.recording === undefined ? undefined : await readRecording(launch.recording, files);
  const given = recording
    ? withTranslator(materialsOf(recording, launch.recording ?? ''), launch.translator)
    : await gather(launch, files);
  // Of a disk that is written through the file changes: what it held is kept, so that the run can be gone through again.
  const materials = recordable(given, (disk) => launch.record !== undefined || disk.write === 'through');
  const debuggee = await build(materials, environment, launch.history);
  await checkIsolation(debuggee, launch, files);
  const blank = launch.record === undefined ? undefined : await blankTape(launch.record, given, files);
  return {
    debuggee,
    materials,
    recording,
    begin: () => {
      const disks = recordedOf(materials);
      if (recording) debuggee.tape.follow(recording, disks);
      else debuggee.tape.wire(disks);
      if (blank) debuggee.tape.record(blank, disks);
    },
  };
}

/** The run of a session so far, as if it had been recorded: to go through it again in a machine of its own. */
export function soFar({ debuggee, materials }: Pick<Opened, 'debuggee' | 'materials'>): {
  readonly materials: Materials;
  readonly recording: Recording;
} {
  const { machine, tape } = debuggee;
  const recording: Recording = {
    machine: recordedMachine(materials),
    disks: [],
    steps: tape.journal,
    end: tape.end,
    instructions: machine.instructions,
    complete: true,
    outcome: undefined,
    loss: undefined,
    lostBytes: 0,
  };
  const disks = materials.disks.map((disk) => {
    const { source, write } = disk;
    return source instanceof RecordedDisk ? { ...disk, source: source.copy(write === 'through') } : disk;
  });
  return { materials: { ...materials, disks }, recording };
}

/** A machine that follows a recording, for a run of its own without a debugger */
export async function follower(
  materials: Materials,
  recording: Recording,
  environment: Environment,
  hashes: boolean,
): Promise<Debuggee> {
  const debuggee = await build(materials, environment);
  debuggee.tape.follow(recording, recordedOf(materials), hashes);
  return debuggee;
}

const recordedOf = ({ disks }: Materials): RecordedDisk[] =>
  disks.flatMap(({ source }) => (source instanceof RecordedDisk ? [source] : []));

const withTranslator = (materials: Materials, translator: boolean | undefined): Materials =>
  translator === undefined ? materials : { ...materials, configuration: { ...materials.configuration, translator } };
