import type { Watchpoint } from '../../emulator/machine/watchpoints';
import type { Taps } from '../../emulator/cpu/taps';
import type {
  AddressSpace,
  Context,
  LeftRecord,
  Machine,
  MachineConfiguration,
  Registers,
  RunResult,
  Vcpu,
} from '../../emulator/machine/api';
import type { MachineState } from '../../emulator/machine/state';
import { hostPhysical, type HostPhysicalAddress } from '../../emulator/memory/address';

/** A context of a machine that does not compute: registers and memory are what the test puts there. */
export class StillContext implements Context {
  readonly values = new Map<string, bigint>([
    ['rip', 0n],
    ['rsp', 0n],
  ]);
  readonly memory = new Map<bigint, Uint8Array>();
  readonly since = 0;
  lastLeft: LeftRecord | undefined;

  constructor(
    readonly id: number,
    readonly vmcs: HostPhysicalAddress | undefined,
  ) {}

  readonly vcpu = 0;
  get root(): boolean {
    return this.vmcs === undefined;
  }

  readonly registers: Registers = {
    names: () => [...this.values.keys()],
    read: (name) => this.values.get(name),
    write: (name, value) => {
      if (!this.values.has(name)) return false;
      this.values.set(name, value);
      return true;
    },
  };

  get space(): AddressSpace {
    return { kind: 'linear', cr0: 1n, cr3: BigInt(this.id), cr4: 0n, efer: 0n, eptp: 0n, codeSize: 64 };
  }

  put(address: bigint, bytes: Uint8Array | readonly number[]): void {
    this.memory.set(address, Uint8Array.from(bytes));
  }

  byte(address: bigint): number | undefined {
    for (const [start, bytes] of this.memory) {
      if (address >= start && address < start + BigInt(bytes.length)) return bytes[Number(address - start)];
    }
    return undefined;
  }
}

/** A scripted machine for unit tests of the adapter: each `run` takes the next step of the script. */
export class StillMachine implements Machine {
  readonly boot = { protocol: 'pvh', reason: 'a script has no image' } as const;
  readonly configuration: MachineConfiguration = {
    memory: 1,
    kernel: { name: 'none', bytes: new Uint8Array() },
    modules: [],
    commandLine: '',
    translator: false,
  };
  instructions = 0;
  translatorEnabled = false;
  get platform(): never {
    throw new Error('a still machine is made of nothing');
  }

  readonly statistics = { interpreted: 0, translated: 0, regionsCompiled: 0 };
  readonly contexts: StillContext[] = [];
  /** Index in `contexts` */
  current = 0;
  order: StillContext[] = [];
  script: ((limit: number, over: boolean) => RunResult)[] = [];
  breakpoints: ReadonlySet<bigint> = new Set();
  readonly taps: Taps[] = [];
  stopRequested = false;

  constructor(vmcs: readonly (bigint | undefined)[]) {
    vmcs.forEach((address, id) =>
      this.contexts.push(new StillContext(id, address === undefined ? undefined : hostPhysical(address))),
    );
  }

  readonly runningVcpu = 0;
  readonly vcpus: readonly Vcpu[] = [this.vcpu()];

  private vcpu(): Vcpu {
    const count = (): number => this.instructions;
    return {
      index: 0,
      registers: { names: () => [], read: () => undefined, write: () => false },
      activity: 'active',
      get instructions() {
        return count();
      },
      get clock() {
        return count();
      },
    };
  }

  addTaps(taps: Taps): () => void {
    this.taps.push(taps);
    return () => undefined;
  }
  onSerial(): () => void {
    return () => undefined;
  }
  onDebugConsole(): () => void {
    return () => undefined;
  }
  serialInput(): void {}
  readonly ram = new Uint8Array();
  get moment(): number {
    return this.instructions;
  }
  onInput(): () => void {
    return () => undefined;
  }
  apply(): void {}
  get inside(): never {
    throw new Error('a still machine has no past');
  }
  saveState(): MachineState {
    throw new Error('a still machine has no past');
  }
  restoreState(): void {}
  run(limit: number, over = false): RunResult {
    const step = this.script.shift();
    if (!step) throw new Error('the script is at its end');
    return step(limit, over);
  }
  requestStop(): void {
    this.stopRequested = true;
  }
  watch(): Watchpoint {
    return { watched: [], remove: () => undefined };
  }

  setBreakpoints(addresses: ReadonlySet<bigint>): void {
    this.breakpoints = addresses;
  }
  readMemory(space: AddressSpace, address: bigint, length: number): Uint8Array {
    const context = this.contexts[Number(space.cr3)];
    const bytes: number[] = [];
    for (let index = 0; index < length; index++) {
      const byte = context?.byte(address + BigInt(index));
      if (byte === undefined) break;
      bytes.push(byte);
    }
    return Uint8Array.from(bytes);
  }
  writeMemory(space: AddressSpace, address: bigint, bytes: Uint8Array): number {
    this.contexts[Number(space.cr3)]?.put(address, bytes);
    return bytes.length;
  }
  walk() {
    return { steps: [], hostPhysical: undefined, guestPhysical: undefined, failure: 'a still machine has no tables' };
  }

  dmaTranslate(): never {
    throw new Error('no devices');
  }
  running(): StillContext {
    const context = this.contexts[this.current];
    if (!context) throw new Error('no such context');
    return context;
  }
  interrupted(): readonly StillContext[] {
    return this.order;
  }
  readVmcs(): undefined {
    return undefined;
  }
  writeVmcs(): boolean {
    return false;
  }
  decode(): undefined {
    return undefined;
  }
  trackSecrecy(): never {
    throw new Error('not here');
  }

  stateHash(): string {
    return '';
  }
  digest(): number {
    return 0;
  }
}
