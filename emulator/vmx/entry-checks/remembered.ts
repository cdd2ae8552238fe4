import { Rflags } from '../../arch/flags';
import type { VmcsFieldSymbol } from '../../arch/vmcs-fields';
import { ACCEPTED_FIELDS, ACCEPTED_FIELDS_SIZE } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';
import { i32, i64, type Value } from '../../wasm/expression';
import { FunctionBuilder } from '../../wasm/function-builder';
import { encodeModule } from '../../wasm/module';
import { I32 } from '../../wasm/opcodes';
import { Slot, VMCS_DATA_SIZE } from '../vmcs';
import { COMMON_FIELDS, type CheckGroup } from './group';

export const NOTHING_CHANGED = 0;
export const EVERYTHING_CHANGED = -1;
/** So many VMCSs are remembered, each in a copy laid out like the region */
const COPIES = Math.floor(ACCEPTED_FIELDS_SIZE / VMCS_DATA_SIZE);
const NONE = -1;
const UNKNOWN = 2;

/** Fields that change at almost every VM exit, and the bits of them that rules read; of all others every bit counts. */
export const BITS_READ: Partial<Record<VmcsFieldSymbol, bigint>> = {
  GUEST_RIP: 0xffff_ffff_0000_0000n,
  GUEST_RFLAGS: Rflags.RESERVED | Rflags.FIXED | Rflags.TF | Rflags.IF | Rflags.VM,
};

interface Exports {
  /** (VMCS, copy) -> bit per group whose fields differ; all bits when a common field does */
  readonly compare: (vmcs: number, copy: number) => number;
  readonly copy: (vmcs: number, copy: number) => void;
}

let module: WebAssembly.Module | undefined;
const machines = new WeakMap<MachineMemory, RememberedFields>();

/**
 * The fields of the VMCSs that were entered last, as the rules accepted them. The comparison is with values, so nothing
 * has to be told of a change, by whatever means it came about; it is one pass in WebAssembly.
 */
export class RememberedFields {
  private readonly code: Exports;
  private readonly vmcs = new Float64Array(COPIES).fill(NONE);
  /** The one fact outside the VMCS that rules read: IA32_EFER.LMA */
  private readonly longHost = new Uint8Array(COPIES).fill(UNKNOWN);
  /** No rule reads more than fields and that fact */
  private readonly fieldsDecide = new Uint8Array(COPIES);
  private host = UNKNOWN;
  private latest = 0;
  private next = 0;

  private constructor(memory: MachineMemory, groups: readonly CheckGroup[]) {
    module ??= new WebAssembly.Module(generate(groups));
    const instance = new WebAssembly.Instance(module, { env: { memory: memory.wasm } });
    this.code = instance.exports as unknown as Exports;
  }

  /** One for all processors of a machine: what is accepted does not depend on who asks. */
  static of(memory: MachineMemory, groups: readonly CheckGroup[]): RememberedFields {
    let known = machines.get(memory);
    if (!known) machines.set(memory, (known = new RememberedFields(memory, groups)));
    return known;
  }

  /** Bit per group: its fields, or what else it reads, differ from what `accept` was told of this VMCS. */
  compare(vmcs: number, longHost: boolean): number {
    const known = this.find(vmcs);
    this.host = longHost ? 1 : 0;
    return known && this.longHost[this.latest] === this.host
      ? this.code.compare(vmcs, addressOf(this.latest))
      : EVERYTHING_CHANGED;
  }

  /** After `compare` of the same VMCS found nothing changed: the rules hold, whatever lies in memory. */
  get complete(): boolean {
    return this.fieldsDecide[this.latest] === 1;
  }

  /**
   * After `compare` of the same VMCS: the rules hold for its fields as they are.
   * @param fieldsDecide no rule reads more than fields while these are so
   */
  accept(vmcs: number, fieldsDecide: boolean): void {
    this.fieldsDecide[this.latest] = fieldsDecide ? 1 : 0;
    this.vmcs[this.latest] = vmcs;
    this.longHost[this.latest] = this.host;
    this.code.copy(vmcs, addressOf(this.latest));
  }

  /** Makes `latest` the copy of the VMCS; false when there was none, and one was taken for it. */
  private find(vmcs: number): boolean {
    if (this.vmcs[this.latest] === vmcs) return true;
    const found = this.vmcs.indexOf(vmcs);
    this.latest = found < 0 ? this.next : found;
    if (found >= 0) return true;
    this.next = (this.next + 1) % COPIES;
    this.vmcs[this.latest] = NONE;
    return false;
  }
}

const addressOf = (index: number): number => ACCEPTED_FIELDS + index * VMCS_DATA_SIZE;

const VMCS = 0;
const COPY = 1;

function generate(groups: readonly CheckGroup[]): Uint8Array<ArrayBuffer> {
  const compare = generateCompare(groups);
  const copy = generateCopy(groups);
  return encodeModule({
    types: [
      { parameters: [I32, I32], results: [I32] },
      { parameters: [I32, I32], results: [] },
    ],
    functions: [
      { type: 0, locals: compare.locals, body: compare.code, export: 'compare' },
      { type: 1, locals: copy.locals, body: copy.code, export: 'copy' },
    ],
  });
}

const allFields = (groups: readonly CheckGroup[]): VmcsFieldSymbol[] => [
  ...new Set([...COMMON_FIELDS, ...groups.flatMap(({ fields }) => fields)]),
];

function generateCompare(groups: readonly CheckGroup[]): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32]);
  const difference = (fields: readonly VmcsFieldSymbol[]): Value =>
    fields
      .map((field) => {
        const slot = Slot[field];
        const bits = f.xor(f.load64(f.local(VMCS), slot), f.load64(f.local(COPY), slot));
        const read = BITS_READ[field];
        return read === undefined ? bits : f.and(bits, i64(read));
      })
      .reduce((all, bits) => f.or(all, bits), i64(0));
  // Nearly always nothing has changed: one look at each field tells.
  f.if(f.isZero(difference(allFields(groups))));
  f.return(i32(NOTHING_CHANGED));
  f.end();
  f.if(f.ne(difference(COMMON_FIELDS), i64(0)));
  f.return(i32(EVERYTHING_CHANGED));
  f.end();
  const changed = groups.map(({ fields }, i) => f.shl(f.ne(difference(fields), i64(0)), i32(i)));
  f.emit(changed.reduce((all, bit) => f.or(all, bit), i32(NOTHING_CHANGED)));
  return f;
}

function generateCopy(groups: readonly CheckGroup[]): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32]);
  for (const field of allFields(groups)) f.store64(f.local(COPY), f.load64(f.local(VMCS), Slot[field]), Slot[field]);
  return f;
}
