/** What a channel is doing; a command runs through one of the ways command -> ... -> Idle. */
export const enum Phase {
  Idle,
  /** The device works on a command without data, or comes out of reset. */
  Busy,
  /** The next block comes from the disk. */
  Fetching,
  /** The host reads a block from the data port. */
  DataIn,
  /** The host writes a block to the data port. */
  DataOut,
  /** A block goes to the disk. */
  Storing,
  /** Ready for DMA; the bus master has not started. */
  DmaWait,
  Dma,
  /** Software holds SRST. */
  Reset,
}

/** Ticks of the virtual clock: how long a device takes. Only that they are fixed matters. */
export const COMMAND_TICKS = 1000;
export const SECTOR_TICKS = 100;
