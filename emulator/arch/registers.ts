/** General registers by number (SDM vol. 1, 3.4.1). Number 4 is RSP. */
export const GPR_NAMES = [
  'RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI',
  'R8', 'R9', 'R10', 'R11', 'R12', 'R13', 'R14', 'R15',
] as const; // prettier-ignore

/** Segment registers by the number that instructions use; then the two system segments as in `Segment`. */
export const SEGMENT_NAMES = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'] as const;

export const gprName = (number: number): string => GPR_NAMES[number & 15] ?? 'RAX';
export const segmentName = (number: number): string => SEGMENT_NAMES[number & 7] ?? 'ES';
