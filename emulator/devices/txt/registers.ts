/**
 * Registers of Intel Trusted Execution Technology (Intel TXT Software Development Guide, appendix B). The same registers
 * are seen in the public space at FED3_0000H, and, while it is open, in the private space at FED2_0000H.
 */
export const TXT_PUBLIC = 0xfed30000n;
export const TXT_PRIVATE = 0xfed20000n;
export const TXT_SPACE = 0x10000n;

export const Register = {
  STS: 0x000,
  ESTS: 0x008,
  ERRORCODE: 0x030,
  CMD_CLOSE_PRIVATE: 0x048,
  DIDVID: 0x110,
  SINIT_BASE: 0x270,
  SINIT_SIZE: 0x278,
  MLE_JOIN: 0x290,
  HEAP_BASE: 0x300,
  HEAP_SIZE: 0x308,
  CMD_OPEN_LOCALITY1: 0x380,
  CMD_CLOSE_LOCALITY1: 0x388,
  CMD_OPEN_LOCALITY2: 0x390,
  CMD_CLOSE_LOCALITY2: 0x398,
  CMD_SECRETS: 0x8e0,
  CMD_NO_SECRETS: 0x8e8,
  E2STS: 0x8f0,
} as const;

export const Status = {
  SENTER_DONE: 1 << 0,
  SEXIT_DONE: 1 << 1,
  PRIVATE_OPEN: 1 << 7,
  LOCALITY1_OPEN: 1 << 15,
  LOCALITY2_OPEN: 1 << 16,
} as const;

export const E2STS_SECRETS = 1 << 1;
export const ERROR_VALID = 0x80000000;
/** Vendor Intel; the device and revision of this model */
export const DEVICE_AND_VENDOR = 0x0001_b006_8086n;
