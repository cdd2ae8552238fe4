import type { CodeSize } from '../isa/instruction';
import { Segment, State } from '../memory/layout';
import type { MachineMemory } from '../memory/machine-memory';
import { BOUNDS_SIZE, Scratch } from './scratch';

/** How code is decoded and addressed: everything that decoded pages depend on besides their bytes and address. */
export interface Mode {
  readonly id: number;
  readonly codeSize: CodeSize;
  readonly stackSize: 16 | 32 | 64;
  /** Base of CS, 0 in 64-bit mode */
  readonly codeBase: bigint;
  /** Highest offset in CS; all ones in 64-bit mode */
  readonly codeLimit: bigint;
}

const LMA = 1 << 10;
const CS = State.SEGMENTS + Segment.CS * 32;
const SS = State.SEGMENTS + Segment.SS * 32;
const ACCESS = 4;
const LIMIT = 8;
const BASE = 16;
/** Access rights in VMCS format (SDM vol. 3, "Guest Register State") */
const LONG = 1 << 13;
const BIG = 1 << 14;
const UNUSABLE = 1 << 16;
const CODE = 8;
/** Data: writable; code: readable */
const WRITABLE = 2;
const EXPAND_DOWN = 4;

/** Keeps the mode that State describes, and its words in the scratch area. */
export class Modes {
  private readonly view: DataView;
  private readonly known = new Map<string, Mode>();
  private cs = -1;
  private ss = -1;
  private limit = -1;
  private baseLow = -1;
  private baseHigh = -1;
  private efer = -1;
  current: Mode = { id: 0, codeSize: 16, stackSize: 16, codeBase: 0n, codeLimit: 0xffffn };

  constructor(memory: MachineMemory) {
    this.view = memory.view;
  }

  /** Takes the mode from State; cheap when it did not change. */
  update(): void {
    const { view } = this;
    const cs = view.getInt32(CS + ACCESS, true);
    const ss = view.getInt32(SS + ACCESS, true);
    const limit = view.getInt32(CS + LIMIT, true);
    const baseLow = view.getInt32(CS + BASE, true);
    const baseHigh = view.getInt32(CS + BASE + 4, true);
    const efer = view.getInt32(State.EFER, true);
    if (
      cs !== this.cs ||
      ss !== this.ss ||
      limit !== this.limit ||
      baseLow !== this.baseLow ||
      baseHigh !== this.baseHigh ||
      efer !== this.efer
    ) {
      this.cs = cs;
      this.ss = ss;
      this.limit = limit;
      this.baseLow = baseLow;
      this.baseHigh = baseHigh;
      this.efer = efer;
      this.change();
    }
    if (this.current.codeSize !== 64) this.updateBounds();
  }

  private change(): void {
    const { view } = this;
    const long = (this.efer & LMA) !== 0 && (this.cs & LONG) !== 0;
    const codeSize = long ? 64 : this.cs & BIG ? 32 : 16;
    const stackSize = long ? 64 : this.ss & BIG ? 32 : 16;
    const codeBase = long ? 0n : BigInt(this.baseLow >>> 0);
    const codeLimit = long ? (1n << 64n) - 1n : BigInt(this.limit >>> 0);
    const key = `${codeSize}.${stackSize}.${codeBase}.${codeLimit}`;
    let mode = this.known.get(key);
    if (!mode) {
      mode = { id: this.known.size + 1, codeSize, stackSize, codeBase, codeLimit };
      this.known.set(key, mode);
    }
    this.current = mode;
    view.setInt32(Scratch.MODE, mode.id, true);
    view.setBigUint64(Scratch.LINEAR_BASE, codeBase, true);
    view.setBigUint64(Scratch.LINEAR_MASK, long ? (1n << 64n) - 1n : 0xffffffffn, true);
  }

  /** Which offsets of ES to GS may be read and written (SDM vol. 3, 5.3 and 5.5). */
  private updateBounds(): void {
    const { view } = this;
    for (let segment = Segment.ES as number; segment <= (Segment.GS as number); segment++) {
      const at = State.SEGMENTS + segment * 32;
      const access = view.getInt32(at + ACCESS, true);
      const limit = view.getUint32(at + LIMIT, true);
      const code = (access & CODE) !== 0;
      const usable = (access & UNUSABLE) === 0;
      const readable = usable && (!code || (access & WRITABLE) !== 0);
      const writable = usable && !code && (access & WRITABLE) !== 0;
      const down = !code && (access & EXPAND_DOWN) !== 0;
      const low = down ? limit + 1 : 0;
      const high = down ? (access & BIG ? 0xffffffff : 0xffff) : limit;
      const bounds = Scratch.BOUNDS + segment * BOUNDS_SIZE;
      this.setBounds(bounds, readable, low, high);
      this.setBounds(bounds + BOUNDS_SIZE / 2, writable, low, high);
    }
  }

  private setBounds(at: number, allowed: boolean, low: number, high: number): void {
    // An expand-down segment with the highest limit has no valid offset.
    const valid = allowed && low <= high;
    this.view.setUint32(at, valid ? low : 0xffffffff, true);
    this.view.setUint32(at + 4, valid ? high : 0, true);
  }

  /** The linear address of an instruction pointer. */
  linear(rip: bigint): bigint {
    const { codeSize, codeBase } = this.current;
    return codeSize === 64 ? rip : (rip + codeBase) & 0xffffffffn;
  }
}
