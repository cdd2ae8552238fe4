import { lowRflags, normalFromRflags, overflowFlag } from '../isa/flag-arithmetic';
import type { WrittenField } from '../memory/access-watch';
import { State } from '../memory/layout';
import type { MachineMemory } from '../memory/machine-memory';
import { i32, type Value } from '../wasm/expression';
import { FunctionBuilder } from '../wasm/function-builder';
import { encodeModule } from '../wasm/module';
import { I32, Op } from '../wasm/opcodes';

const VMCS = 0;
/** RFLAGS without the six arithmetic flags and bit 1 (State.FLAGS_SYSTEM) */
const SYSTEM_FLAGS = 0x3f7700;

/**
 * What the phases of VM entries and exits that only move values are written against: fields of a VMCS by slot, registers by
 * their offset in the state block. A phase runs once and emits straight WebAssembly, for it is executed at every entry
 * or exit of every guest.
 */
export class Transfer {
  readonly f = new FunctionBuilder([I32]);

  /** wasm address of the VMCS. i32 */
  get vmcs(): Value {
    return this.f.local(VMCS);
  }

  /** A field of 16 or 32 bits, or the low half of another. i32 */
  field(slot: number): Value {
    return this.f.load32(this.vmcs, slot);
  }

  field64(slot: number): Value {
    return this.f.load64(this.vmcs, slot);
  }

  setField(slot: number, value: Value): void {
    this.f.store32(this.vmcs, value, slot);
  }

  state(offset: number): Value {
    return this.f.load32(i32(offset));
  }

  setState(offset: number, value: Value): void {
    this.f.store32(i32(offset), value);
  }

  setState64(offset: number, value: Value): void {
    this.f.store64(i32(offset), this.f.zeroExtend(value));
  }

  /** All 64 bits of a register to a field. */
  save(slot: number, offset: number): void {
    this.f.store64(this.vmcs, this.f.load64(i32(offset)), slot);
  }

  save32(slot: number, offset: number): void {
    this.setField(slot, this.state(offset));
  }

  load(offset: number, slot: number): void {
    this.setState64(offset, this.field64(slot));
  }

  load32(offset: number, slot: number): void {
    this.setState(offset, this.field(slot));
  }

  /** `bits` of a 32-bit value, at least one of which is 1: then what `then` emits happens. */
  when(value: Value, bits: number, then: () => void): void {
    this.f.if(this.f.and(value, i32(bits)));
    then();
    this.f.end();
  }

  /** RFLAGS as one value. i32 */
  rflags(): Value {
    const { f } = this;
    const flags = { result: f.let(f.load64(i32(State.FLAGS_RESULT))), aux: f.let(this.state(State.FLAGS_AUX)) };
    const overflow = f.shl(overflowFlag(f, flags), i32(11));
    return f.or(f.or(this.state(State.FLAGS_SYSTEM), lowRflags(f, flags)), overflow);
  }

  setRflags(value: Value): void {
    const { f } = this;
    const rflags = f.let(value);
    const { result, aux } = normalFromRflags(f, rflags);
    this.setState64(State.FLAGS_RESULT, result);
    this.setState(State.FLAGS_AUX, aux);
    this.setState(State.FLAGS_SYSTEM, f.and(rflags, i32(SYSTEM_FLAGS)));
  }

  selector(slot: number): Value {
    return this.f.load(Op.i32Load16U, I32, this.vmcs, slot);
  }
}

/** A transfer that only learns which fields it writes. Conditions are taken for bits of the VM-exit controls. */
class FieldRecorder extends Transfer {
  readonly written: WrittenField[] = [];
  private condition = 0;

  override setField(slot: number, value: Value): void {
    this.written.push({ slot, size: 4, when: this.condition });
    super.setField(slot, value);
  }

  override save(slot: number, offset: number): void {
    this.written.push({ slot, size: 8, when: this.condition });
    super.save(slot, offset);
  }

  override when(value: Value, bits: number, then: () => void): void {
    this.condition = bits;
    super.when(value, bits, then);
    this.condition = 0;
  }
}

/** The fields that phases of a VM exit write, by running them once. */
export function writtenFields(phases: readonly ((t: Transfer) => void)[]): readonly WrittenField[] {
  const recorder = new FieldRecorder();
  for (const phase of phases) phase(recorder);
  return recorder.written;
}

/** The phases of VM entries and exits that are moves; each takes the wasm address of the VMCS. */
export interface Transfers {
  readonly saveGuest: (vmcs: number) => void;
  readonly loadGuest: (vmcs: number) => void;
  readonly loadHost: (vmcs: number) => void;
}

/** By the names of Transfers: phases in their order */
export type TransferPhases = Readonly<Record<keyof Transfers, readonly ((t: Transfer) => void)[]>>;

let module: WebAssembly.Module | undefined;

export function createTransfers(memory: MachineMemory, phases: TransferPhases): Transfers {
  module ??= new WebAssembly.Module(generate(phases));
  return new WebAssembly.Instance(module, { env: { memory: memory.wasm } }).exports as unknown as Transfers;
}

function generate(phases: TransferPhases): Uint8Array<ArrayBuffer> {
  return encodeModule({
    types: [{ parameters: [I32], results: [] }],
    functions: Object.entries(phases).map(([name, emitters]) => {
      const transfer = new Transfer();
      for (const emit of emitters) {
        emit(transfer);
        transfer.f.releaseTemporaries();
      }
      return { type: 0, locals: transfer.f.locals, body: transfer.f.code, export: name };
    }),
  });
}
