import { msr, type MsrDescription } from './capability-msrs';

/** A register of the local APIC in x2APIC mode (SDM vol. 3, table 11-6). What a row does not allow raises #GP. */
export interface X2ApicMsr extends MsrDescription {
  readonly access: 'read-only' | 'write-only' | 'read/write';
  /** Bits that may be 1 in a value written; status bits of the hardware, whose written value is ignored, are among them */
  readonly writable: bigint;
}

const TABLE = 'vol. 3, 11.12.1.2';
const FIRST = 0x800;
const WORD = 0xffffffffn;
const HIGH_WORD = WORD << 32n;

const register = (
  index: number,
  access: X2ApicMsr['access'],
  writable: bigint,
  meaning: string,
  section = TABLE,
): X2ApicMsr => ({ ...msr(index, section, meaning), access, writable });
const readOnly = (index: number, meaning: string, section = TABLE): X2ApicMsr =>
  register(index, 'read-only', 0n, meaning, section);

/** 256 bits in eight registers */
const set = (first: number, name: string, meaning: string): Record<string, X2ApicMsr> =>
  Object.fromEntries(
    Array.from({ length: 8 }, (_, i) => [
      `IA32_X2APIC_${name}${i}`,
      readOnly(first + i, `${meaning}: vectors ${i * 32} to ${i * 32 + 31}`),
    ]),
  );

// prettier-ignore
export const X2APIC_MSRS: Readonly<Record<string, X2ApicMsr>> = {
  IA32_X2APIC_APICID: readOnly(0x802, 'x2APIC ID of this processor, 32 bits'),
  IA32_X2APIC_VERSION: readOnly(0x803, 'version (7:0), highest LVT entry (23:16), EOI broadcasts can be suppressed (24)'),
  IA32_X2APIC_TPR: register(0x808, 'read/write', 0xffn, 'task priority: interrupts of its class (7:4) and below wait'),
  IA32_X2APIC_PPR: readOnly(0x80a, 'processor priority: the higher of task priority and the interrupt in service'),
  IA32_X2APIC_EOI: register(0x80b, 'write-only', 0n, 'ends the interrupt in service; only 0 can be written'),
  IA32_X2APIC_LDR: readOnly(0x80d, 'logical ID, derived from the x2APIC ID: cluster (31:16) and one bit within it (15:0)', 'vol. 3, 11.12.10.2'),
  IA32_X2APIC_SIVR: register(0x80f, 'read/write', 0x11ffn, 'spurious vector (7:0), software enable (8), no EOI broadcast (12)'),
  ...set(0x810, 'ISR', 'interrupts in service'),
  ...set(0x818, 'TMR', 'interrupts accepted as level-triggered'),
  ...set(0x820, 'IRR', 'interrupts requested'),
  IA32_X2APIC_ESR: register(0x828, 'read/write', 0n, 'errors since the last write; only 0 can be written'),
  IA32_X2APIC_ICR: register(0x830, 'read/write', HIGH_WORD | 0xccfffn & ~0x1000n, 'sends an interprocessor interrupt: destination (63:32), shorthand (19:18), trigger (15), level (14), logical (11), delivery mode (10:8), vector (7:0)', 'vol. 3, 11.12.9'),
  IA32_X2APIC_LVT_TIMER: register(0x832, 'read/write', 0x710ffn, 'local vector of the timer: mode (18:17), mask (16), vector (7:0)'),
  IA32_X2APIC_LVT_THERMAL: register(0x833, 'read/write', 0x117ffn, 'local vector of the thermal sensor'),
  IA32_X2APIC_LVT_PMI: register(0x834, 'read/write', 0x117ffn, 'local vector of the performance counters'),
  IA32_X2APIC_LVT_LINT0: register(0x835, 'read/write', 0x1f7ffn, 'local vector of the pin LINT0, the 8259: mask (16), trigger (15), delivery mode (10:8), vector (7:0)'),
  IA32_X2APIC_LVT_LINT1: register(0x836, 'read/write', 0x1f7ffn, 'local vector of the pin LINT1, the NMI wire'),
  IA32_X2APIC_LVT_ERROR: register(0x837, 'read/write', 0x110ffn, 'local vector of APIC errors'),
  IA32_X2APIC_INIT_COUNT: register(0x838, 'read/write', WORD, 'starts the timer with this count'),
  IA32_X2APIC_CUR_COUNT: readOnly(0x839, 'what is left of the timer\'s count'),
  IA32_X2APIC_DIV_CONF: register(0x83e, 'read/write', 0xbn, 'divider of the timer, in bits 3 and 1:0'),
  IA32_X2APIC_SELF_IPI: register(0x83f, 'write-only', 0xffn, 'sends this vector to the processor itself', 'vol. 3, 11.12.11'),
};

const byIndex = new Map(Object.values(X2APIC_MSRS).map((row) => [row.index, row]));

export const x2ApicMsr = (index: number): X2ApicMsr | undefined => byIndex.get(index);

/** The range that the manual keeps for the local APIC */
export const isX2ApicMsr = (index: number): boolean => index >>> 8 === FIRST >>> 8;

/** Byte offset that the register has in the page of xAPIC mode */
export const apicOffsetOfMsr = (index: number): number => (index & 0xff) << 4;

/** Short names of the registers by that offset: "TPR", "LVT_LINT0"; the two that have no MSR besides */
export const APIC_OFFSET_NAMES: ReadonlyMap<number, string> = new Map([
  ...Object.entries(X2APIC_MSRS).map(([symbol, { index }]): [number, string] => [
    apicOffsetOfMsr(index),
    symbol.replace('IA32_X2APIC_', ''),
  ]),
  [0xe0, 'DFR'],
  [0x310, 'ICR high'],
]);
