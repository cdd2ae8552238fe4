import { SHADOW, SHADOW_ACCESS, SHADOW_SOURCES, ShadowAccess, Source, State } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';

/** What of the state block can be secret: general registers and flags */
const SIZE = State.FLAGS_SYSTEM + 4;
const ALL = (1n << 64n) - 1n;
const REGISTERS = 16;

/** The secret bits of the running vCPU's registers, where generated code keeps them, and those of the others. */
export class RegisterShadows {
  private readonly view: DataView;
  private readonly u8: Uint8Array;
  private others: Uint8Array[] = [];
  private running = 0;

  constructor(memory: MachineMemory) {
    this.view = memory.view;
    this.u8 = memory.u8;
    this.clear();
  }

  bits(register: number): bigint {
    return this.view.getBigUint64(SHADOW + State.GPR + register * 8, true);
  }

  labels(register: number): number {
    return this.view.getInt32(SHADOW_SOURCES + State.GPR + register * 8 + Source.LABELS, true);
  }

  origin(register: number): number {
    return this.view.getInt32(SHADOW_SOURCES + State.GPR + register * 8 + Source.ORIGIN, true);
  }

  /** `width` in bits: what lies above stays. */
  set(register: number, secret: bigint, labels: number, origin: number, width = 64): void {
    const mask = width === 64 ? ALL : (1n << BigInt(width)) - 1n;
    const at = SHADOW + State.GPR + register * 8;
    const kept = this.view.getBigUint64(at, true) & ~mask;
    this.view.setBigUint64(at, kept | (secret & mask), true);
    if (secret === 0n) return;
    const source = SHADOW_SOURCES + State.GPR + register * 8;
    this.view.setInt32(source + Source.ORIGIN, origin, true);
    const before = kept === 0n ? 0 : this.view.getInt32(source + Source.LABELS, true);
    this.view.setInt32(source + Source.LABELS, before | labels, true);
  }

  get flagsSecret(): boolean {
    const { view } = this;
    return (
      view.getBigUint64(SHADOW + State.FLAGS_RESULT, true) !== 0n ||
      view.getInt32(SHADOW + State.FLAGS_AUX, true) !== 0 ||
      view.getInt32(SHADOW + State.FLAGS_SYSTEM, true) !== 0
    );
  }

  get flagLabels(): number {
    return this.view.getInt32(SHADOW_SOURCES + State.FLAGS_RESULT + Source.LABELS, true);
  }

  get flagOrigin(): number {
    return this.view.getInt32(SHADOW_SOURCES + State.FLAGS_RESULT + Source.ORIGIN, true);
  }

  setFlags(secret: boolean, labels: number, origin: number): void {
    const { view } = this;
    view.setBigUint64(SHADOW + State.FLAGS_RESULT, secret ? ALL : 0n, true);
    view.setInt32(SHADOW + State.FLAGS_AUX, secret ? -1 : 0, true);
    view.setInt32(SHADOW + State.FLAGS_SYSTEM, 0, true);
    view.setInt32(SHADOW_SOURCES + State.FLAGS_RESULT + Source.LABELS, labels, true);
    view.setInt32(SHADOW_SOURCES + State.FLAGS_RESULT + Source.ORIGIN, origin, true);
  }

  clear(): void {
    this.u8.fill(0, SHADOW, SHADOW + SIZE);
  }

  // What the running instruction reads and stores

  get loaded(): bigint {
    return this.view.getBigUint64(SHADOW_ACCESS + ShadowAccess.LOADED, true);
  }

  set loaded(secret: bigint) {
    this.view.setBigUint64(SHADOW_ACCESS + ShadowAccess.LOADED, secret, true);
  }

  get stored(): bigint {
    return this.view.getBigUint64(SHADOW_ACCESS + ShadowAccess.STORED, true);
  }

  set stored(secret: bigint) {
    this.view.setBigUint64(SHADOW_ACCESS + ShadowAccess.STORED, secret, true);
  }

  get sourceLabels(): number {
    return this.view.getInt32(SHADOW_ACCESS + ShadowAccess.SOURCE + Source.LABELS, true);
  }

  get sourceOrigin(): number {
    return this.view.getInt32(SHADOW_ACCESS + ShadowAccess.SOURCE + Source.ORIGIN, true);
  }

  addSource(labels: number, origin: number): void {
    this.view.setInt32(SHADOW_ACCESS + ShadowAccess.SOURCE + Source.LABELS, this.sourceLabels | labels, true);
    this.view.setInt32(SHADOW_ACCESS + ShadowAccess.SOURCE + Source.ORIGIN, origin, true);
  }

  /** Another vCPU runs from now on. */
  switchTo(vcpu: number): void {
    if (vcpu === this.running) return;
    this.others[this.running] = this.copy();
    this.place(this.others[vcpu]);
    this.running = vcpu;
  }

  private copy(): Uint8Array {
    const copy = new Uint8Array(2 * SIZE);
    copy.set(this.u8.subarray(SHADOW, SHADOW + SIZE));
    copy.set(this.u8.subarray(SHADOW_SOURCES, SHADOW_SOURCES + SIZE), SIZE);
    return copy;
  }

  private place(kept: Uint8Array | undefined): void {
    if (!kept) return this.clear();
    this.u8.set(kept.subarray(0, SIZE), SHADOW);
    this.u8.set(kept.subarray(SIZE), SHADOW_SOURCES);
  }

  save(): { readonly running: number; readonly all: readonly (Uint8Array | undefined)[] } {
    const all = [...this.others];
    all[this.running] = this.copy();
    return { running: this.running, all };
  }

  restore(saved: ReturnType<RegisterShadows['save']>): void {
    this.others = saved.all.map((kept) => kept?.slice() ?? new Uint8Array(2 * SIZE));
    this.running = saved.running;
    this.place(this.others[saved.running]);
  }
}

export { ALL as ALL_BITS, REGISTERS };
