/**
 * What RAM held at earlier points of a run. Snapshots are numbered from 0 in the order of time. RAM always stands at a
 * snapshot (the *base*) or has gone on from it by execution or input.
 *
 * Made and kept by `Snapshots`; it says which snapshots there are to be, and this how little memory they take.
 */
export interface RamHistory {
  /** How many snapshots there are */
  readonly count: number;
  /** The snapshot that RAM went on from, or stands at; -1 before the first */
  readonly base: number;
  /** RAM as it is becomes a snapshot behind the base: number base + 1, and the new base. Those that followed move up by one. */
  snapshot(): void;
  /** RAM becomes what it was. What was not kept by `snapshot` is lost. Code that changes is told to the machine. */
  goTo(index: number): void;
  /** RAM has come by execution from the base to what the next snapshot holds: that one is the base from now on. */
  arrived(): void;
  /** Drops all snapshots behind this one, which is the base or one before it. */
  forgetAfter(index: number): void;
  /** Drops one snapshot, not the base: what could be gone to directly is then reached by execution from the one before. */
  drop(index: number): void;
  /**
   * Whether this page may have been written between two snapshots, from < to <= count; `count` means now, and then the base
   * is the last snapshot. False is certain.
   */
  mayBeWritten(page: number, from: number, to: number): boolean;
  /** Bytes that all of it takes, besides RAM */
  readonly bytes: number;
}
