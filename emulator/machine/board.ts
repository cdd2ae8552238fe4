import type { Cpu } from '../cpu/cpu';
import type { InterruptSource } from '../cpu/processor';
import type { CpuState } from '../cpu/state';
import type { Taps } from '../cpu/taps';
import { ApicBus } from '../devices/apic-bus';
import { DebugConsole } from '../devices/debug-console';
import { StateReader, StateWriter, type Device } from '../devices/device';
import { ExitPort } from '../devices/exit-port';
import { FwCfg } from '../devices/fw-cfg';
import { LocalApic } from '../devices/local-apic';
import { DirectMessages } from '../devices/message-decoder';
import { PicPair } from '../devices/pic-8259';
import { PortBus } from '../devices/port-bus';
import { Serial16550 } from '../devices/serial-16550';
import type { MemoryInterface as TpmDevice } from '../devices/tpm/memory-interface';
import { TimedInterrupts } from '../devices/timed-interrupts';
import { State } from '../memory/layout';
import type { PhysicalMemory } from '../memory/physical';
import type { MachineConfiguration } from './api';
import { fwCfgFiles, fwCfgItems } from './board/fw-cfg-items';
import { RamPort } from './board/ram-port';
import { createTpm } from './board/tpm';
import { PciBoard } from './pci-board';
import { RunningApic } from './running-apic';

const COM1 = 0x3f8;
const COM1_IRQ = 4;
const DEBUG_CONSOLES = [0xe9, 0x402];

/** What devices tell the machine. */
export interface BoardEvents {
  serialOutput(byte: number): void;
  /** A byte for the debug console (ports 0xe9 and 0x402) */
  consoleOutput(byte: number): void;
  exit(code: number): void;
  /** An interrupt or deadline of this vCPU may have changed: it must not run, or sleep, on past it. */
  attention(vcpu: number): void;
  /** A device wrote RAM: code that was decoded from these bytes, within one page, is stale. */
  ramChanged(wasmAddress: number, size: number): void;
}

/** The processors that the board is wired to. */
export interface BoardProcessors {
  readonly count: number;
  /** Index of the vCPU that runs */
  readonly running: number;
  state(index: number): CpuState;
  /** Not to be called before all of the machine is made */
  cpu(index: number): Cpu;
}

/** The devices of the PC and their wires: serial port, exit port, interrupt controllers, a local APIC for each vCPU. */
export class Board {
  readonly ports = new PortBus();
  readonly serial: Serial16550;
  readonly pci: PciBoard;
  readonly tpm: TpmDevice | undefined;
  readonly apics: readonly LocalApic[];
  /** What interrupts each vCPU, and the clock of all devices */
  readonly interrupts: readonly InterruptSource[];
  private externalInterrupt = false;
  /** In the order of saving. The second PIC is before the first: restoring it drives the first one's input. */
  private readonly devices: readonly Device[];

  constructor(
    physical: PhysicalMemory,
    private readonly processors: BoardProcessors,
    configuration: MachineConfiguration,
    taps: Taps,
    private readonly events: BoardEvents,
  ) {
    const pics = new PicPair({
      set: (asserted) => {
        this.externalInterrupt = asserted;
        this.apics.forEach((apic, vcpu) => {
          apic.setPin(0, asserted);
          if (asserted) events.attention(vcpu);
        });
      },
    });
    this.serial = new Serial16550('COM1', COM1, pics.line(COM1_IRQ), (byte) => events.serialOutput(byte));
    const bus = new ApicBus();
    this.apics = Array.from({ length: processors.count }, (_, vcpu) => this.localApic(vcpu, bus, pics));
    const ram = new RamPort(physical, (at, size) => events.ramChanged(at, size));
    const fwCfg = new FwCfg(fwCfgItems(configuration, processors.count), fwCfgFiles(configuration), ram);
    for (const range of [
      this.serial,
      new ExitPort((code) => events.exit(code)),
      pics.primary,
      pics.secondary,
      fwCfg,
      ...DEBUG_CONSOLES.map((port) => new DebugConsole(port, (byte) => events.consoleOutput(byte))),
    ]) {
      this.ports.addRange(range);
    }
    physical.addRange(new RunningApic(() => this.runningApic));
    this.pci = new PciBoard(
      {
        physical,
        ports: this.ports,
        irq: (number) => pics.line(number),
        messages: new DirectMessages(bus),
        apics: bus,
        clock: () => processors.cpu(processors.running).clock,
        ramChanged: (at, size) => events.ramChanged(at, size),
        taps,
      },
      configuration,
    );
    this.tpm = createTpm(configuration, () => processors.cpu(processors.running).clock);
    if (this.tpm) physical.addRange(this.tpm);
    this.interrupts = this.apics.map((apic) => new TimedInterrupts(apic, [this.pci]));
    this.devices = [
      pics.secondary,
      pics.primary,
      this.serial,
      ...this.apics,
      fwCfg,
      this.pci,
      ...(this.tpm ? [this.tpm] : []),
    ];
  }

  private get runningApic(): LocalApic {
    const apic = this.apics[this.processors.running];
    if (!apic) throw new Error(`no vCPU ${this.processors.running}`);
    return apic;
  }

  private localApic(vcpu: number, bus: ApicBus, pics: PicPair): LocalApic {
    const cpu = (): Cpu => this.processors.cpu(vcpu);
    const state = this.processors.state(vcpu);
    return new LocalApic({
      id: vcpu,
      bus,
      apicBase: () => state.get64(State.APIC_BASE),
      clock: () => cpu().clock,
      tscBase: () => state.get64(State.TSC_ADJUST),
      nmi: () => cpu().raiseNmi(),
      init: () => cpu().raiseInit(),
      startUp: (vector) => cpu().raiseStartUp(vector),
      externalPending: () => this.externalInterrupt,
      externalAcknowledge: () => pics.acknowledge(),
      attention: () => this.events.attention(vcpu),
    });
  }

  save(): Uint8Array {
    const writer = new StateWriter();
    for (const device of this.devices) device.save(writer);
    return writer.finish();
  }

  restore(saved: Uint8Array): void {
    const reader = new StateReader(saved);
    for (const device of this.devices) device.restore(reader);
  }
}
