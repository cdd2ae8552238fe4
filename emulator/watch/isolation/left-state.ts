import {
  VMCS_FIELD_SYMBOLS,
  VMCS_FIELDS,
  vmcsFieldExists,
  vmcsFieldType,
  type VmcsFieldSymbol,
} from '../../arch/vmcs-fields';
import { RAM_BASE, STATE_BASE, State } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';
import { Slot, VMCS_DATA_SIZE } from '../../vmx/vmcs';

const GPR_WORDS = 32;
const RSP = 4;

interface FieldRow {
  readonly symbol: VmcsFieldSymbol;
  /** Word of the field in a region */
  readonly word: number;
}

/** The guest-state area, as far as this processor has it */
const GUEST_STATE: readonly FieldRow[] = VMCS_FIELD_SYMBOLS.filter(
  (symbol) => vmcsFieldType(VMCS_FIELDS[symbol].encoding) === 'guest state' && vmcsFieldExists(VMCS_FIELDS[symbol]),
).map((symbol) => ({ symbol, word: Slot[symbol] / 4 }));

/** One register or field that is another than it was. */
export interface Difference {
  /** 'RAX' by its number, or a field */
  readonly register: number | undefined;
  readonly field: VmcsFieldSymbol | undefined;
  readonly was: bigint;
  readonly is: bigint;
}

/** A guest as its last VM exit left it: general registers, and all fields of its VMCS. */
export class LeftState {
  private readonly registers = new Int32Array(GPR_WORDS);
  private readonly region = new Int32Array(VMCS_DATA_SIZE / 4);
  /** There was an exit, and both parts of it are here. */
  known = false;
  /** The exit's ordinal on its vCPU */
  n = 0;

  constructor(
    private readonly memory: MachineMemory,
    /** Host-physical address of the region */
    private readonly vmcs: number,
  ) {}

  /** The exit begins: general registers are still the guest's. */
  keepRegisters(): void {
    const at = (STATE_BASE + State.GPR) / 4;
    this.registers.set(this.memory.i32.subarray(at, at + GPR_WORDS));
    this.known = false;
  }

  /** The exit is complete: its fields are in the region. */
  keepFields(n: number): void {
    this.n = n;
    this.region.set(this.regionNow());
    this.known = true;
  }

  register(number: number): bigint {
    return join(this.registers, number * 2);
  }

  field(symbol: VmcsFieldSymbol): bigint {
    return join(this.region, Slot[symbol] / 4);
  }

  /** What differs at the entry that is being made: general registers are the guest's again. */
  differences(): Difference[] {
    const found: Difference[] = [];
    const words = this.memory.i32;
    const gprs = (STATE_BASE + State.GPR) / 4;
    for (let n = 0; n < 16; n++) {
      // RSP is in the VMCS.
      if (n === RSP || same(this.registers, n * 2, words, gprs + n * 2)) continue;
      found.push({ register: n, field: undefined, was: this.register(n), is: join(words, gprs + n * 2) });
    }
    const now = this.regionNow();
    for (const { symbol, word } of GUEST_STATE) {
      if (same(this.region, word, now, word)) continue;
      found.push({ register: undefined, field: symbol, was: join(this.region, word), is: join(now, word) });
    }
    return found;
  }

  private regionNow(): Int32Array {
    const at = (RAM_BASE + this.vmcs) / 4;
    return this.memory.i32.subarray(at, at + VMCS_DATA_SIZE / 4);
  }
}

const same = (a: Int32Array, i: number, b: Int32Array, j: number): boolean => a[i] === b[j] && a[i + 1] === b[j + 1];

const join = (words: Int32Array, at: number): bigint =>
  (BigInt((words[at + 1] ?? 0) >>> 0) << 32n) | BigInt((words[at] ?? 0) >>> 0);
