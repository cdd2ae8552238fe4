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
import { TimedInterrupts } from '../devices/timed-interrupts';
import { State } from '../memory/layout';
import type { PhysicalMemory } from '../memory/physical';
import type { MachineConfiguration } from './api';
import { fwCfgFiles, fwCfgItems } from './board/fw-cfg-items';
import { RamPort } from './board/ram-port';
import { PciBoard } from './pci-board';

const COM1 = 0x3f8;
const COM1_IRQ = 4;
const DEBUG_CONSOLES = [0xe9, 0x402];
const PROCESSORS = 1;
/** Bits of State.PENDING_EVENTS */
const PENDING_NMI = 1;
const PENDING_INIT = 2;
const PENDING_SIPI = 4;

/** What devices tell the machine. */
export interface BoardEvents {
  serialOutput(byte: number): void;
  /** A byte for the debug console (ports 0xe9 and 0x402) */
  consoleOutput(byte: number): void;
  exit(code: number): void;
  /** An interrupt or deadline may have changed: the processor must not run on past it. */
  attention(): void;
  /** A device wrote RAM: code that was decoded from these bytes, within one page, is stale. */
  ramChanged(wasmAddress: number, size: number): void;
}

/** The devices of the PC and their wires: serial port, exit port, interrupt controllers, one local APIC. */
export class Board {
  readonly ports = new PortBus();
  readonly serial: Serial16550;
  readonly apic: LocalApic;
  /** The processor's interrupts, and the clock of all devices */
  readonly interrupts: InterruptSource;
  private externalInterrupt = false;
  /** In the order of saving. The second PIC is before the first: restoring it drives the first one's input. */
  private readonly devices: readonly Device[];

  constructor(
    physical: PhysicalMemory,
    state: CpuState,
    configuration: MachineConfiguration,
    taps: Taps,
    events: BoardEvents,
  ) {
    const pics = new PicPair({
      set: (asserted) => {
        this.externalInterrupt = asserted;
        this.apic.setPin(0, asserted);
        if (asserted) events.attention();
      },
    });
    this.serial = new Serial16550('COM1', COM1, pics.line(COM1_IRQ), (byte) => events.serialOutput(byte));
    const pend = (event: number) => state.set32(State.PENDING_EVENTS, state.get32(State.PENDING_EVENTS) | event);
    const bus = new ApicBus();
    this.apic = new LocalApic({
      id: 0,
      bus,
      apicBase: () => state.get64(State.APIC_BASE),
      clock: () => clockOf(state),
      tscBase: () => state.get64(State.TSC_ADJUST),
      nmi: () => pend(PENDING_NMI),
      init: () => pend(PENDING_INIT),
      startUp: (vector) => {
        state.set32(State.SIPI_VECTOR, vector);
        pend(PENDING_SIPI);
      },
      externalPending: () => this.externalInterrupt,
      externalAcknowledge: () => pics.acknowledge(),
      attention: () => events.attention(),
    });
    const ram = new RamPort(physical, (at, size) => events.ramChanged(at, size));
    const fwCfg = new FwCfg(fwCfgItems(configuration, PROCESSORS), fwCfgFiles(configuration), ram);
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
    physical.addRange(this.apic);
    const pci = new PciBoard(
      {
        physical,
        ports: this.ports,
        irq: (number) => pics.line(number),
        messages: new DirectMessages(bus),
        clock: () => clockOf(state),
        ramChanged: (at, size) => events.ramChanged(at, size),
        taps,
      },
      configuration,
    );
    this.interrupts = new TimedInterrupts(this.apic, [pci]);
    this.devices = [pics.secondary, pics.primary, this.serial, this.apic, fwCfg, pci];
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

/** The virtual clock: instructions retired plus ticks spent halted */
export const clockOf = (state: CpuState): number => Number(state.get64(State.RETIRED) + state.get64(State.CLOCK_IDLE));
