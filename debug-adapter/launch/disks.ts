import type { DiskConfiguration } from '../../emulator/machine/api';
import { memorySource, type BlockSource } from '../../emulator/devices/storage/block-source';
import type { LaunchArguments } from '../protocol/requests';
import { messageOf, userError } from '../session/errors';
import type { FileSource } from '../session/file-source';
import { baseName } from '../session/paths';
import { readFile } from './description';

type Disk = NonNullable<LaunchArguments['disks']>[number];

/** The disks of a launch, their images opened. A file that cannot be used is a RequestError that names it. */
export async function openDisks(
  disks: readonly Disk[],
  files: FileSource,
  build: string | undefined,
): Promise<DiskConfiguration[]> {
  const opened: DiskConfiguration[] = [];
  for (const { file, interface: kind = 'ide', readOnly = false, write = 'copy-on-write' } of disks) {
    if (readOnly && write === 'through') {
      throw userError(`disks: ${file} cannot be both "readOnly" and written through`);
    }
    const source = await open(file, write === 'through', files, build);
    opened.push({ name: baseName(file), source, interface: kind, readOnly, write });
  }
  return opened;
}

async function open(
  file: string,
  writable: boolean,
  files: FileSource,
  build: string | undefined,
): Promise<BlockSource> {
  if (files.blocks) {
    try {
      return await files.blocks(file, writable);
    } catch (error) {
      const advice = build === undefined ? '' : `. It is made by: ${build}`;
      throw userError(`cannot open the disk image ${file}: ${messageOf(error)}${advice}`);
    }
  }
  if (writable) throw userError(`disks: ${file} cannot be written here. Leave "write" away to keep changes in memory`);
  return memorySource(await readFile(files, file, build));
}
