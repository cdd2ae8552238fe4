import type { ControlRow } from './controls';

/**
 * The VM functions, by the number in EAX that VMFUNC takes, which is also the bit in the VM-function controls and in
 * IA32_VMX_VMFUNC (SDM vol. 3, table 25-10 and 26.5.6).
 */
// prettier-ignore
const functions = {
  EPTP_SWITCHING: { bit: 0, name: 'EPTP switching', implemented: true, meaning: 'VMFUNC with EAX = 0 replaces the EPT pointer by entry ECX of the EPTP list, without a VM exit; an index above 511, or an entry that VM entry would refuse as EPT pointer, causes a VM exit' },
};

export type VmFunctionSymbol = keyof typeof functions;

export const VM_FUNCTIONS: Readonly<Record<VmFunctionSymbol, ControlRow>> = functions;

/** Masks by symbol, for the VM-function controls */
export const VmFunction = { EPTP_SWITCHING: 1n << BigInt(functions.EPTP_SWITCHING.bit) } as const;

/** What IA32_VMX_VMFUNC announces (SDM vol. 3, A.11) */
export const VM_FUNCTIONS_ALLOWED = Object.values(functions).reduce(
  (mask, row) => (row.implemented ? mask | (1n << BigInt(row.bit)) : mask),
  0n,
);
