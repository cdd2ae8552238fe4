import type { CpuState } from '../cpu/state';
import { ApicBus } from '../devices/apic-bus';
import { StateReader, StateWriter, type Device } from '../devices/device';
import { ExitPort } from '../devices/exit-port';
import { LocalApic } from '../devices/local-apic';
import { PicPair } from '../devices/pic-8259';
import { PortBus } from '../devices/port-bus';
import { Serial16550 } from '../devices/serial-16550';
import { State } from '../memory/layout';
import type { PhysicalMemory } from '../memory/physical';

const COM1 = 0x3f8;
const COM1_IRQ = 4;
/** Bits of State.PENDING_EVENTS */
const PENDING_NMI = 1;
const PENDING_INIT = 2;
const PENDING_SIPI = 4;

/** What devices tell the machine. */
export interface BoardEvents {
  serialOutput(byte: number): void;
  exit(code: number): void;
  /** An interrupt or deadline may have changed: the processor must not run on past it. */
  attention(): void;
}

/** The devices of the PC and their wires: serial port, exit port, interrupt controllers, one local APIC. */
export class Board {
  readonly ports = new PortBus();
  readonly serial: Serial16550;
  readonly apic: LocalApic;
  private externalInterrupt = false;
  /** In the order of saving. The second PIC is before the first: restoring it drives the first one's input. */
  private readonly devices: readonly Device[];

  constructor(physical: PhysicalMemory, state: CpuState, events: BoardEvents) {
    const pics = new PicPair({
      set: (asserted) => {
        this.externalInterrupt = asserted;
        this.apic.setPin(0, asserted);
        if (asserted) events.attention();
      },
    });
    this.serial = new Serial16550('COM1', COM1, pics.line(COM1_IRQ), (byte) => events.serialOutput(byte));
    const pend = (event: number) => state.set32(State.PENDING_EVENTS, state.get32(State.PENDING_EVENTS) | event);
    this.apic = new LocalApic({
      id: 0,
      bus: new ApicBus(),
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
    for (const range of [this.serial, new ExitPort((code) => events.exit(code)), pics.primary, pics.secondary]) {
      this.ports.addRange(range);
    }
    physical.addRange(this.apic);
    this.devices = [pics.secondary, pics.primary, this.serial, this.apic];
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
