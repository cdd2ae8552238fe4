/** Activity states of a logical processor, as the VMCS encodes them (SDM vol. 3, 25.4.2). */
export const Activity = { ACTIVE: 0, HLT: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3 } as const;
