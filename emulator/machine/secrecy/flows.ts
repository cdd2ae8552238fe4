/** How a secret came to where it is. */
export const enum FlowKind {
  /** A VM exit left it in registers or in the VMCS */
  Exit,
  /** A guest's own page */
  Page,
  /** Written to where the policy says that secrets lie */
  Declared,
  /** An instruction stored it */
  Store,
  /** A helper or the processor stored it */
  Processor,
  /** A device read it from memory, and has it */
  DeviceRead,
  /** A device wrote it to memory */
  DeviceWrite,
  /** It went to a sector of a disk */
  Disk,
}

/** One step on a secret's way. Kept in a ring: old ones are lost. */
export interface Flow {
  readonly kind: FlowKind;
  readonly moment: number;
  readonly vcpu: number;
  /** Linear address of the instruction */
  readonly rip: bigint;
  /** wasm address, or what the kind says: sector, exit reason */
  readonly at: number;
  readonly length: number;
  /** The step before it: an identifier, 0 when it is the first */
  readonly from: number;
}

/** A power of two: 2.5 MiB at 38 bytes a step */
const CAPACITY = 1 << 16;
const MASK = CAPACITY - 1;

/** The steps of all secrets, by identifiers that count from 1. */
export class Flows {
  private readonly kinds = new Uint8Array(CAPACITY);
  private readonly vcpus = new Uint8Array(CAPACITY);
  private readonly moments = new Float64Array(CAPACITY);
  private readonly rips = new BigUint64Array(CAPACITY);
  private readonly places = new Float64Array(CAPACITY);
  private readonly lengths = new Uint32Array(CAPACITY);
  private readonly parents = new Int32Array(CAPACITY);
  private readonly ids = new Int32Array(CAPACITY);
  private latest = 0;

  /** Notes a step; one that goes on where the same instruction's last step ended, from the same source, prolongs that. */
  add(kind: FlowKind, from: number, at: number, length: number, moment: number, vcpu: number, rip: bigint): number {
    const last = this.latest & MASK;
    if (
      this.ids[last] === this.latest &&
      this.latest !== 0 &&
      this.kinds[last] === (kind as number) &&
      this.rips[last] === rip &&
      this.parents[last] === from &&
      (this.places[last] ?? 0) + (this.lengths[last] ?? 0) === at
    ) {
      this.lengths[last] = (this.lengths[last] ?? 0) + length;
      return this.latest;
    }
    const id = ++this.latest;
    const index = id & MASK;
    this.ids[index] = id;
    this.kinds[index] = kind;
    this.vcpus[index] = vcpu;
    this.moments[index] = moment;
    this.rips[index] = rip;
    this.places[index] = at;
    this.lengths[index] = length;
    this.parents[index] = from;
    return id;
  }

  /** Undefined: there is no such step, or it is too old to be known. */
  get(id: number): Flow | undefined {
    const index = id & MASK;
    if (id <= 0 || id > this.latest || this.ids[index] !== id) return undefined;
    return {
      kind: this.kinds[index] ?? 0,
      moment: this.moments[index] ?? 0,
      vcpu: this.vcpus[index] ?? 0,
      rip: this.rips[index] ?? 0n,
      at: this.places[index] ?? 0,
      length: this.lengths[index] ?? 0,
      from: this.parents[index] ?? 0,
    };
  }

  /** The way to a step, the first step first. `lost`: what was before is not known any more. */
  path(id: number, most = 1000): { readonly steps: readonly Flow[]; readonly lost: boolean } {
    const steps: Flow[] = [];
    let at = id;
    for (; at !== 0 && steps.length < most;) {
      const flow = this.get(at);
      if (!flow) break;
      steps.push(flow);
      at = flow.from;
    }
    return { steps: steps.reverse(), lost: at !== 0 };
  }

  /** Later steps may be forgotten by `restore`: what is run again notes them again, with the same identifiers. */
  save(): FlowsState {
    return { latest: this.latest, length: this.lengths[this.latest & MASK] ?? 0 };
  }

  restore({ latest, length }: FlowsState): void {
    this.latest = latest;
    if (this.ids[latest & MASK] === latest) this.lengths[latest & MASK] = length;
  }
}

export interface FlowsState {
  readonly latest: number;
  /** Of the latest step, which may have been prolonged since */
  readonly length: number;
}
