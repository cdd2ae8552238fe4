/** Safer mode extensions as data (SDM vol. 2D, chapter 7). */

/** GETSEC leaves, by the number in EAX; a leaf that is not `implemented` raises #UD and is not in CAPABILITIES. */
export const GETSEC_LEAVES = {
  CAPABILITIES: { leaf: 0, implemented: true, meaning: 'reports which leaves there are' },
  ENTERACCS: { leaf: 2, implemented: false, meaning: 'runs an authenticated code module alone' },
  EXITAC: { leaf: 3, implemented: true, meaning: 'leaves authenticated code execution mode' },
  SENTER: { leaf: 4, implemented: true, meaning: 'launches a measured environment on all processors' },
  SEXIT: { leaf: 5, implemented: true, meaning: 'ends the measured environment' },
  PARAMETERS: { leaf: 6, implemented: true, meaning: 'reports the limits of SMX' },
  SMCTRL: { leaf: 7, implemented: true, meaning: 'unmasks SMI in the measured environment' },
  WAKEUP: { leaf: 8, implemented: true, meaning: 'brings the other processors into the measured environment' },
} as const;

/** CAPABILITIES bit 0: there is a chipset that knows Trusted Execution */
export const CHIPSET_PRESENT = 1;
export const GETSEC_CAPABILITIES = Object.values(GETSEC_LEAVES).reduce(
  (bits: number, { leaf, implemented }) => (implemented && leaf > 0 ? bits | (1 << leaf) : bits),
  CHIPSET_PRESENT,
);

/** The largest authenticated code module, in bytes */
export const LARGEST_MODULE = 0x40000;
/** EAX, EBX, ECX of each index of PARAMETERS; the last one, of type 0, ends the list (vol. 2D, table 7-7). */
export const GETSEC_PARAMETERS: readonly (readonly [number, number, number])[] = [
  [1, 0xffffffff, 0], // Versions of the module's header: mask and value
  [LARGEST_MODULE | 2, 0, 0],
  [4, 0, 0], // No selective functions: EDX of SENTER is 0
  [0, 0, 0],
];

/** Bits of State.SAFER_MODE: what the processor knows of its safer mode */
export const SaferMode = {
  /** SMX exists */
  PRESENT: 1 << 0,
  /** SENTERFLAG: in the measured environment */
  LAUNCHED: 1 << 1,
  /** ACMODEFLAG: in authenticated code execution mode */
  AUTHENTICATED_CODE: 1 << 2,
  /** A responding processor sleeps until WAKEUP: INIT and SIPI do not reach it. */
  ASLEEP: 1 << 3,
} as const;

/** Why a launch ends in a TXT reset, as TXT.ERRORCODE says it (SDM vol. 2D, "TXT-SHUTDOWN" codes) */
export const TxtError = { INVALID_MODULE: 8, ILLEGAL_EVENT: 10, INVALID_JOIN: 11 } as const;
