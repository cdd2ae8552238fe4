import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { FileSource } from '../session/file-source';

const CAUSES: Record<string, string> = {
  ENOENT: 'there is no such file',
  EACCES: 'no permission to read it',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is not a folder',
};

/** Files of the machine that the adapter runs on. */
export const nodeFiles: FileSource = {
  async read(file) {
    try {
      return new Uint8Array(await readFile(file));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      throw new Error(CAUSES[code] ?? String(error), { cause: error });
    }
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
