import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import type { BlockSource } from '../../emulator/devices/storage/block-source';

/**
 * A disk image in a file. It is opened for each access: a session may end in ways that nobody tells the image of, and
 * an access of a few kilobytes costs little more than without.
 */
export function fileBlocks(file: string, writable: boolean): BlockSource {
  const size = access(file, writable ? constants.O_RDWR : constants.O_RDONLY, (handle) => {
    const stats = fstatSync(handle);
    if (stats.isDirectory()) throw Object.assign(new Error('it is a folder'), { code: 'EISDIR' });
    return stats.size;
  });
  const source: BlockSource = {
    size,
    read: (offset, target) =>
      access(file, constants.O_RDONLY, (handle) => {
        for (let done = 0; done < target.length;) {
          const count = readSync(handle, target, done, target.length - done, offset + done);
          if (count === 0) throw new Error(`${file} has become shorter`);
          done += count;
        }
      }),
  };
  if (!writable) return source;
  return {
    ...source,
    write: (offset, bytes) =>
      access(file, constants.O_RDWR, (handle) => {
        for (let done = 0; done < bytes.length;) {
          done += writeSync(handle, bytes, done, bytes.length - done, offset + done);
        }
      }),
    flush: () => access(file, constants.O_RDWR, (handle) => fsyncSync(handle)),
  };
}

function access<T>(file: string, flags: number, action: (handle: number) => T): T {
  const handle = openSync(file, flags);
  try {
    return action(handle);
  } finally {
    closeSync(handle);
  }
}
