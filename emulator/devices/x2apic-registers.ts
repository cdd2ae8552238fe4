import { ApicRegister, LVT_WRITABLE, SPURIOUS_WRITABLE } from './apic-registers';

/** How RDMSR and WRMSR treat one register in x2APIC mode (SDM vol. 3, table 11-6): what is not allowed raises #GP. */
export interface X2ApicRegister {
  readonly read: boolean;
  readonly write: boolean;
  /** Bits of 63:0 that may be 1 in a value written; read-only status bits are among them */
  readonly writable: bigint;
}

const WORD = 0xffffffffn;
const DELIVERY_STATUS = 0x1000;
const REMOTE_IRR = 0x4000;

const readOnly: X2ApicRegister = { read: true, write: false, writable: 0n };
const readWrite = (writable: number | bigint): X2ApicRegister => ({
  read: true,
  write: true,
  writable: BigInt(writable),
});
const writeOnly = (writable: number | bigint): X2ApicRegister => ({ ...readWrite(writable), read: false });

const rows = new Map<number, X2ApicRegister>([
  [ApicRegister.Id, readOnly],
  [ApicRegister.Version, readOnly],
  [ApicRegister.TaskPriority, readWrite(0xff)],
  [ApicRegister.ProcessorPriority, readOnly],
  [ApicRegister.EndOfInterrupt, writeOnly(0)],
  [ApicRegister.LogicalDestination, readOnly],
  [ApicRegister.SpuriousVector, readWrite(SPURIOUS_WRITABLE)],
  [ApicRegister.ErrorStatus, readWrite(0)],
  // One 64-bit register: destination in 63:32; no delivery status (12)
  [ApicRegister.CommandLow, readWrite((WORD << 32n) | (0xccfffn & ~BigInt(DELIVERY_STATUS)))],
  [ApicRegister.InitialCount, readWrite(WORD)],
  [ApicRegister.CurrentCount, readOnly],
  [ApicRegister.DivideConfiguration, readWrite(0xb)],
  [ApicRegister.SelfIpi, writeOnly(0xff)],
]);
for (const [at, writable] of Object.entries(LVT_WRITABLE)) {
  const pin = Number(at) === Number(ApicRegister.LvtLint0) || Number(at) === Number(ApicRegister.LvtLint1);
  rows.set(Number(at), readWrite(writable | DELIVERY_STATUS | (pin ? REMOTE_IRR : 0)));
}
for (const set of [ApicRegister.InService, ApicRegister.TriggerMode, ApicRegister.InterruptRequest])
  for (let word = 0; word < 8; word++) rows.set(set + word * 16, readOnly);

/** Byte offset that the register has in xAPIC mode */
export const registerOfMsr = (index: number): number => (index & 0xff) << 4;

export const x2ApicRegister = (at: number): X2ApicRegister | undefined => rows.get(at);
