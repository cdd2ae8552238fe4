// The task file of an ATA device: "AT Attachment with Packet Interface - 6" (ANSI INCITS 361-2002), 7.

/** Command block registers, relative to 1F0h or 170h */
export const enum AtaRegister {
  Data = 0,
  /** Read: error; write: features */
  Error = 1,
  Count = 2,
  LbaLow = 3,
  LbaMid = 4,
  LbaHigh = 5,
  Device = 6,
  /** Read: status; write: command */
  Status = 7,
}

export const AtaStatus = { ERR: 0x01, DRQ: 0x08, DSC: 0x10, DF: 0x20, DRDY: 0x40, BSY: 0x80 } as const;
export const AtaError = { ABRT: 0x04, IDNF: 0x10, WP: 0x40, UNC: 0x40 } as const;
/** Device register */
export const AtaDevice = { SECOND: 0x10, LBA: 0x40, HEAD: 0x0f, OBSOLETE: 0xa0 } as const;
/** Device control register, 3F6h or 376h */
export const AtaControl = { NO_INTERRUPT: 0x02, RESET: 0x04, HIGH_ORDER: 0x80 } as const;
