import { describePageFault, Vector, vectorName } from '../arch/exceptions';
import type { CpuState } from '../cpu/state';
import type { Taps } from '../cpu/taps';
import { Segment, State } from '../memory/layout';

const DEPTH = 3;
const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

interface Entry {
  vector: number;
  errorCode: number | undefined;
  linear: bigint;
  rip: bigint;
  cs: number;
}

/** Remembers the last exceptions, so that a triple fault can be explained. Overwrites its entries; allocates nothing. */
export class FaultHistory {
  readonly taps: Taps;
  private readonly entries: readonly Entry[] = Array.from({ length: DEPTH }, () => ({
    vector: -1,
    errorCode: undefined,
    linear: 0n,
    rip: 0n,
    cs: 0,
  }));
  private count = 0;

  constructor(private readonly state: CpuState) {
    this.taps = { exception: (vector, errorCode, linear) => this.record(vector, errorCode, linear) };
  }

  private record(vector: number, errorCode: number | undefined, linear: bigint): void {
    const entry = this.entries[this.count++ % DEPTH];
    if (!entry) return;
    entry.vector = vector;
    entry.errorCode = errorCode;
    entry.linear = linear;
    entry.rip = this.state.rip;
    entry.cs = this.state.segmentSelector(Segment.CS);
  }

  /** Why the processor shut down: the exceptions at the last instruction, and where the tables lie. */
  describe(): string {
    const { state } = this;
    const latest: Entry[] = [];
    for (let i = Math.max(0, this.count - DEPTH); i < this.count; i++) {
      const entry = this.entries[i % DEPTH];
      // Exceptions at other instructions were delivered and have nothing to do with this one.
      if (entry && entry.rip === state.rip) latest.push(entry);
    }
    const chain = latest.map(describeEntry).join(', then ');
    const idt = `IDT at ${hex(state.get64(State.IDTR))}, limit ${hex(state.get32(State.IDTR + 8))}`;
    const at = `${hex(state.segmentSelector(Segment.CS))}:${hex(state.rip)}`;
    return (
      `triple fault at CS:RIP ${at}: ${chain || 'no exception recorded'}; CR2 ${hex(state.cr2)}, CR3 ${hex(state.cr3)}, ` +
      `RSP ${hex(state.gpr(4))}, ${idt}. The processor could not deliver the exception: check the IDT, its gates, and ` +
      `the stack.`
    );
  }
}

function describeEntry({ vector, errorCode, linear }: Entry): string {
  let text = vectorName(vector);
  if (errorCode !== undefined) text += ` error ${hex(errorCode)}`;
  if (vector === Vector.PF) text += ` (${describePageFault(errorCode ?? 0)}) at ${hex(linear)}`;
  return text;
}
