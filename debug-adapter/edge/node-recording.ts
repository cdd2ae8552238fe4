import { closeSync, constants, fdatasync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import type { RecordingSink } from '../../emulator/timeline/recording/recorder';

/** As many bytes as tell what kind of file it is */
const BEGINNING = 16;

/**
 * A file to record into. It is opened, and what is there looked at, without being changed; the first `append` empties it.
 * What `append` was given is with the operating system when it returns: the end of this process, however it comes,
 * cannot take it back. The disk gets it soon after, without being waited for.
 */
export function recordTo(
  file: string,
  mayReplace: (beginning: Uint8Array) => boolean,
  kind = 'recording',
): RecordingSink {
  const handle = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o666);
  let open = true;
  try {
    if (fstatSync(handle).isDirectory()) throw Object.assign(new Error('it is a folder'), { code: 'EISDIR' });
    const beginning = new Uint8Array(BEGINNING);
    const length = readSync(handle, beginning, 0, BEGINNING, 0);
    if (!mayReplace(beginning.subarray(0, length))) throw new Error(`it is there already, and is no ${kind}`);
  } catch (error) {
    closeSync(handle);
    throw error;
  }
  let at = 0;
  let syncing = false;
  /** It was closed while the disk was being waited for */
  let closing = false;
  const synchronize = () => {
    if (syncing) return;
    syncing = true;
    fdatasync(handle, () => {
      syncing = false;
      if (closing) closeSync(handle);
    });
  };
  return {
    name: file,
    append(bytes) {
      if (!open) return;
      if (at === 0) ftruncateSync(handle);
      for (let done = 0; done < bytes.length;) done += writeSync(handle, bytes, done, bytes.length - done, at + done);
      at += bytes.length;
      synchronize();
    },
    close() {
      if (!open) return;
      open = false;
      if (syncing) closing = true;
      else closeSync(handle);
    },
  };
}
