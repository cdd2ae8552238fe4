import type { BlockSource } from '../../emulator/devices/storage/block-source';
import type { RecordingSink } from '../../emulator/timeline/recording/recorder';

/** Where images, descriptions and sources come from: Node's file system in edge/, a bundle or a download in a browser. */
export interface FileSource {
  /** The whole file. Rejects with an error whose message names the path and the cause. */
  read(path: string): Promise<Uint8Array>;
  /** 'absent' for whatever cannot be looked at */
  kind(path: string): Promise<'file' | 'folder' | 'absent'>;
  /** The bytes of a disk image, read as they are needed; absent where only whole files can be had. Rejects as `read` does. */
  blocks?(path: string, writable: boolean): Promise<BlockSource>;
  /**
   * A file to record into: it is emptied with the first bytes that are appended. Absent where nothing can be written.
   * Rejects as `read` does, and when the file is there and `mayReplace` does not want what it begins with: `kind`, for
   * the message, is what it would have to be (absent: a recording).
   */
  recordTo?(path: string, mayReplace: (beginning: Uint8Array) => boolean, kind?: string): Promise<RecordingSink>;
  /** The absolute form of a path that a user typed */
  absolute(path: string): string;
}
