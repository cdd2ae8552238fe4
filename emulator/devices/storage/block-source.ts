/**
 * Where the bytes of a disk image come from: memory, a file that the edge has opened, a download in a browser.
 * Synchronous, because a disk answers at a fixed point of virtual time. A failure may throw: the disk reports it to
 * the guest as a media error.
 */
export interface BlockSource {
  /** Bytes */
  readonly size: number;
  read(offset: number, target: Uint8Array): void;
  /** Absent: the image cannot be changed */
  write?(offset: number, bytes: Uint8Array): void;
  flush?(): void;
}

/** An image in memory. Writes, when a disk writes through, change the array. */
export function memorySource(bytes: Uint8Array): BlockSource {
  return {
    size: bytes.length,
    read: (offset, target) => target.set(bytes.subarray(offset, offset + target.length)),
    write: (offset, data) => bytes.set(data, offset),
  };
}
