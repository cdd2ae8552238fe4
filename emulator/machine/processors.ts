import { ApicBase } from '../arch/msrs';
import type { Cpu } from '../cpu/cpu';
import { CpuState } from '../cpu/state';
import { STATE_BASE, STATE_SIZE, State } from '../memory/layout';
import type { MachineMemory } from '../memory/machine-memory';

const APIC_BASE_FIXED = ~ApicBase.BOOTSTRAP;

/** The state block of a vCPU that does not run. */
class Block {
  readonly bytes = new Uint8Array(STATE_SIZE);
  readonly view = new DataView(this.bytes.buffer);
}

/**
 * The vCPUs of a machine. One of them runs: its state block lies at address 0, where generated code expects it; those of
 * the others are kept beside, and everybody reaches them through `states`.
 */
export class Processors {
  readonly states: readonly CpuState[];
  readonly cpus: readonly Cpu[];
  private readonly made: Cpu[] = [];
  private readonly blocks: readonly Block[];
  private index: number;

  constructor(
    private readonly memory: MachineMemory,
    readonly count: number,
  ) {
    this.blocks = Array.from({ length: count }, () => new Block());
    this.index = count - 1;
    this.states = this.blocks.map((block, index) => new CpuState(index === this.index ? memory : block));
    this.cpus = this.made;
  }

  /** Makes them and resets them, the last one first: vCPU 0 runs then. */
  powerUp(make: (index: number, state: CpuState, peers: readonly Cpu[]) => Cpu): void {
    for (let index = this.count - 1; index >= 0; index--) {
      this.place(index);
      const cpu = make(index, this.state(index), this.made);
      this.made[index] = cpu;
      cpu.reset();
    }
    this.cpu(0).resume();
  }

  /** Index of the one that runs */
  get running(): number {
    return this.index;
  }

  get current(): Cpu {
    return this.cpu(this.index);
  }

  cpu(index: number): Cpu {
    const cpu = this.made[index];
    if (!cpu) throw new RangeError(`there is no vCPU ${index}: the machine has ${this.count}`);
    return cpu;
  }

  state(index: number): CpuState {
    const state = this.states[index];
    if (!state) throw new RangeError(`there is no vCPU ${index}: the machine has ${this.count}`);
    return state;
  }

  /** The bytes of a vCPU's state block, wherever they lie now. */
  bytes(index: number): Uint8Array {
    return this.index === index ? this.live : this.block(index).bytes;
  }

  /** Generated code loses its free ways to write RAM: whoever watches writes is asked again at the next one. */
  withdrawWrites(): void {
    this.current.tlb.withdrawWrites();
    for (const state of this.states) state.set32(State.DIRECT_VMCS, 0);
  }

  /** Another vCPU runs from now on. */
  switchTo(index: number): void {
    if (index === this.index) return;
    const apicBase = this.apicBase;
    this.place(index);
    const cpu = this.cpu(index);
    // Each sees the registers of its own APIC where it has put them.
    if (this.apicBase !== apicBase) cpu.physical.rangesMoved();
    cpu.resume();
  }

  /** State blocks of another moment, when this vCPU ran. Nothing that is derived from them follows. */
  restore(running: number, blocks: readonly Uint8Array[]): void {
    this.place(running);
    blocks.forEach((block, index) => this.bytes(index).set(block));
  }

  private get apicBase(): bigint {
    return this.state(this.index).get64(State.APIC_BASE) & APIC_BASE_FIXED;
  }

  private get live(): Uint8Array {
    return this.memory.u8.subarray(STATE_BASE, STATE_BASE + STATE_SIZE);
  }

  private block(index: number): Block {
    const block = this.blocks[index];
    if (!block) throw new RangeError(`there is no vCPU ${index}: the machine has ${this.count}`);
    return block;
  }

  /** Brings a state block to address 0, and the one that lay there to its own place. */
  private place(index: number): void {
    if (index === this.index) return;
    const left = this.block(this.index);
    left.bytes.set(this.live);
    this.state(this.index).moveTo(left);
    this.live.set(this.block(index).bytes);
    this.state(index).moveTo(this.memory);
    this.index = index;
  }
}
