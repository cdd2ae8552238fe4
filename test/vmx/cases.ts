import { Efer } from '../../emulator/arch/control-registers';
import { ENTRY_CHECKS } from '../../emulator/vmx';
import { VMCS_FIELDS, VMCS_FIELD_SYMBOLS, vmcsFieldExists, vmcsFieldType } from '../../emulator/arch/vmcs-fields';
import { CONTROL_CHECKS, HOST_STATE_CHECKS } from '../../emulator/vmx/entry-checks';
import { ACCEPTED } from './accepted';
import { MSR_AREA, VmxBench } from './bench';
import { VIOLATIONS } from './violations';

/** One VM entry for the program in programs/: what differs from the VMCS that can be entered. */
export interface EntryCase {
  readonly name: string;
  readonly fields: readonly (readonly [encoding: number, value: bigint])[];
  readonly memory: readonly (readonly [address: bigint, value: bigint])[];
  /** "fail 7", "exit 80000021 0"; undefined: the entry must succeed, whatever ends the guest */
  readonly expected: string | undefined;
}

const MEMORY_END = 0xa000n;
/** The guest has no IDT here: an event without a handler ends in a triple fault. */
const NO_IDT = 0;

const writable = VMCS_FIELD_SYMBOLS.filter(
  (symbol) => vmcsFieldExists(VMCS_FIELDS[symbol]) && vmcsFieldType(VMCS_FIELDS[symbol].encoding) !== 'read-only data',
);

function readyBench(): VmxBench {
  const bench = VmxBench.ready();
  bench.set('GUEST_IDTR_LIMIT', NO_IDT);
  return bench;
}

/** The VMCS that every case starts from */
export const baseFields = (): EntryCase['fields'] => {
  const bench = readyBench();
  return writable.map((symbol) => [VMCS_FIELDS[symbol].encoding, bench.get(symbol)]);
};

function differences(change: (bench: VmxBench) => void): Pick<EntryCase, 'fields' | 'memory'> | undefined {
  const before = readyBench();
  const after = readyBench();
  change(after);
  // The program's host is a 64-bit one.
  if ((after.state.efer & Efer.LMA) === 0n) return undefined;
  const fields = writable
    .filter((symbol) => before.get(symbol) !== after.get(symbol))
    .map((symbol) => [VMCS_FIELDS[symbol].encoding, after.get(symbol)] as const);
  const memory: (readonly [bigint, bigint])[] = [];
  for (let at = MSR_AREA; at < MEMORY_END; at += 8n) {
    if (before.read64(at) !== after.read64(at)) memory.push([at, after.read64(at)]);
  }
  return { fields, memory };
}

/** Every violation and every accepted variant that a 64-bit host can try. */
export function entryCases(): EntryCase[] {
  const cases: EntryCase[] = [];
  for (const row of ENTRY_CHECKS) {
    const violation = VIOLATIONS[row.id];
    const change = violation && differences((bench) => violation.break(bench));
    if (!change) continue;
    const control = CONTROL_CHECKS.includes(row);
    const host = HOST_STATE_CHECKS.includes(row);
    const expected = control ? 'fail 7' : host ? 'fail 8' : `exit 80000021 ${row.qualification}`;
    cases.push({ name: row.id, ...change, expected });
  }
  for (const [name, prepare] of Object.entries(ACCEPTED)) {
    const change = differences(prepare);
    if (change) cases.push({ name, ...change, expected: undefined });
  }
  return cases;
}

/** The module "cases" that the program reads: see programs/main.c. */
export function caseModule(cases: readonly EntryCase[]): Uint8Array {
  const words: bigint[] = [BigInt(cases.length)];
  const list = (fields: EntryCase['fields'], memory: EntryCase['memory']) => {
    words.push(BigInt(fields.length) | (BigInt(memory.length) << 32n));
    for (const [encoding, value] of fields) words.push(BigInt(encoding), value);
    for (const [address, value] of memory) words.push(address, value);
  };
  list(baseFields(), []);
  for (const { fields, memory } of cases) list(fields, memory);
  const bytes = new DataView(new ArrayBuffer(words.length * 8));
  words.forEach((word, i) => bytes.setBigUint64(i * 8, BigInt.asUintN(64, word), true));
  return new Uint8Array(bytes.buffer);
}

/** Outcomes by case number, from the program's serial output. */
export function outcomes(serial: string): string[] {
  const found: string[] = [];
  for (const match of serial.matchAll(/^case (\d+): (.*?)\r?$/gm)) found[Number(match[1])] = match[2] ?? '';
  return found;
}

/** Whether an outcome is the expected one; a successful entry is any exit without the failure bit. */
export function agrees({ expected }: EntryCase, outcome: string | undefined): boolean {
  if (expected !== undefined) return outcome === expected;
  return outcome !== undefined && /^exit [0-9a-f]{1,2} /.test(outcome);
}
