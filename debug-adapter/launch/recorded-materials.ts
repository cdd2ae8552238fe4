import type { DiskConfiguration } from '../../emulator/machine/api';
import { RecordingError } from '../../emulator/timeline/recording/chunks';
import { RecordedDisk } from '../../emulator/timeline/recording/disk';
import type { RecordedMachine } from '../../emulator/timeline/recording/header';
import { recordedDisks } from '../../emulator/timeline/recording/playback';
import { openRecording, type Recording } from '../../emulator/timeline/recording/recording';
import type { FileSource } from '../session/file-source';
import { messageOf, userError } from '../session/errors';
import { readFile } from './description';
import type { LayerImage, Materials } from './load';

/** What the debugger puts into a recording for itself; the images' bytes are beside it, in the same order. */
interface Notes {
  readonly folder: string;
  readonly images: readonly { readonly layer: string; readonly file: string; readonly bias: string }[];
}

/** The materials as a machine is recorded that is made of them. */
export function recordedMachine({ configuration, disks, images, folder }: Materials): RecordedMachine {
  const notes: Notes = {
    folder,
    images: images.map(({ layer, file, bias }) => ({ layer, file, bias: String(bias) })),
  };
  return {
    configuration,
    disks: disks.map(({ source, ...shape }) => ({ ...shape, size: source.size })),
    images: images.map(({ bytes }) => bytes),
    notes,
  };
}

/** The materials with some of their disks as such whose contents can be recorded. */
export function recordable(materials: Materials, which: (disk: DiskConfiguration) => boolean): Materials {
  const disks = materials.disks.map((disk, number) =>
    disk.source instanceof RecordedDisk || !which(disk)
      ? disk
      : { ...disk, source: new RecordedDisk(number, disk.source) },
  );
  return { ...materials, disks };
}

/** Reads a recording for the user. @throws RequestError that names the file */
export async function readRecording(file: string, files: FileSource): Promise<Recording> {
  try {
    return await openRecording(await readFile(files, file));
  } catch (error) {
    throw error instanceof RecordingError ? userError(`${file} ${error.message}`) : error;
  }
}

/** What a recorded machine was made of. @throws RequestError */
export function materialsOf(recording: Recording, file: string): Materials {
  const { machine } = recording;
  const sources = recordedDisks(recording);
  const disks = machine.disks.map(({ size: _, ...shape }, number) => ({
    ...shape,
    source: sources[number] as RecordedDisk,
  }));
  try {
    const notes = machine.notes as Notes;
    const images = notes.images.map(({ layer, file: path, bias }, index): LayerImage => {
      if (typeof layer !== 'string' || typeof path !== 'string') throw new TypeError('an image without a name');
      return { layer, file: path, bias: BigInt(bias), bytes: machine.images[index] ?? new Uint8Array() };
    });
    if (typeof notes.folder !== 'string') throw new TypeError('no folder');
    return { configuration: machine.configuration, disks, images, folder: notes.folder };
  } catch (error) {
    throw userError(`${file} is damaged: what the debugger wrote into it cannot be read: ${messageOf(error)}`);
  }
}
