import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileBlocks } from './node-blocks';
import { recordTo } from './node-recording';
import type { FileSource } from '../session/file-source';

const CAUSES: Record<string, string> = {
  ENOENT: 'there is no such file',
  EACCES: 'no permission for it',
  EISDIR: 'it is a folder',
  EROFS: 'its file system cannot be written',
  ENOTDIR: 'a part of the path is not a folder',
};

function explained(error: unknown): Error {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return new Error(CAUSES[code] ?? (error instanceof Error ? error.message : String(error)), { cause: error });
}

/** Files of the machine that the adapter runs on. */
export const nodeFiles: FileSource = {
  async read(file) {
    try {
      return new Uint8Array(await readFile(file));
    } catch (error) {
      throw explained(error);
    }
  },
  blocks(file, writable) {
    return new Promise((resolve, reject) => {
      try {
        resolve(fileBlocks(file, writable));
      } catch (error) {
        reject(explained(error));
      }
    });
  },
  recordTo(file, mayReplace, kind) {
    return new Promise((resolve, reject) => {
      try {
        resolve(recordTo(file, mayReplace, kind));
      } catch (error) {
        reject(explained(error));
      }
    });
  },
  async kind(file) {
    try {
      return (await stat(file)).isDirectory() ? 'folder' : 'file';
    } catch {
      return 'absent';
    }
  },
  absolute: (file) => path.resolve(file),
};
