import { AcpiPower } from '../../devices/acpi-power';
import type { Device, StateReader, StateWriter } from '../../devices/device';
import { Hpet } from '../../devices/hpet';
import { I8042 } from '../../devices/i8042';
import type { InterruptLine } from '../../devices/interrupt-line';
import type { InterruptMessageSink } from '../../devices/interrupt-message';
import { IoApic } from '../../devices/io-apic';
import { IO_APIC_REQUESTER } from '../../devices/iommu/dmar-table';
import { PicPair } from '../../devices/pic-8259';
import { Pit8254 } from '../../devices/pit-8254';
import type { PortBus } from '../../devices/port-bus';
import { PostCode } from '../../devices/post-code';
import { ResetControl, SystemPortA } from '../../devices/reset-ports';
import { Rtc } from '../../devices/rtc';
import { SystemPort } from '../../devices/system-port';
import type { TimedDevice } from '../../devices/timed-device';
import type { PhysicalMemory } from '../../memory/physical';
import { cmosOf } from './cmos';
import { before, beforeMemory } from './hooks';
import { InterruptRouting, TIMER_IRQ, TIMER_PIN } from './interrupt-routing';
import { MonotonicClock } from './monotonic-clock';

const KEYBOARD_IRQ = 1;
const RTC_IRQ = 8;
/** The system control interrupt, as the FADT says */
export const SCI_IRQ = 9;
/** What firmware leaves in ELCR: the IRQs of PCI and the system control interrupt are level-triggered. */
const LEVEL_IRQS = 0x0e00;

export interface ChipsetWiring {
  readonly ports: PortBus;
  readonly physical: PhysicalMemory;
  /** The clock of the vCPU that runs */
  readonly clock: () => number;
  /** INTR of the 8259s */
  readonly intr: InterruptLine;
  /** Where the I/O APIC's messages begin their way */
  readonly messages: InterruptMessageSink;
  readonly ramSize: number;
  readonly processors: number;
  /** Seconds since 1970 that the RTC shows at power-on */
  readonly startTime: number;
  readonly reset: (cause: string) => void;
  readonly powerOff: () => void;
}

/** The legacy half of the board: interrupt controllers, timers, clock, keyboard controller, resets, power management. */
export class Chipset implements Device, TimedDevice {
  readonly name = 'chipset';
  readonly pics: PicPair;
  readonly ioApic: IoApic;
  private readonly routing: InterruptRouting;
  private readonly clock: MonotonicClock;
  private readonly timed: readonly TimedDevice[];
  private readonly devices: readonly Device[];

  constructor(wiring: ChipsetWiring) {
    const { ports, physical, reset } = wiring;
    this.pics = new PicPair(wiring.intr);
    this.pics.secondary.levelTriggered = LEVEL_IRQS >>> 8;
    this.ioApic = new IoApic(wiring.messages, IO_APIC_REQUESTER);
    const routing = new InterruptRouting(this.pics, this.ioApic);
    this.routing = routing;
    this.clock = new MonotonicClock(wiring.clock);
    const clock = () => this.clock.now;
    const pit = new Pit8254(clock, routing.replaceable(TIMER_IRQ), () => this.timerIsObserved);
    const cmos = cmosOf(wiring.ramSize, wiring.processors);
    const rtc = new Rtc(clock, routing.replaceable(RTC_IRQ), cmos, wiring.startTime);
    const hpet = new Hpet({
      clock,
      pin: (number) => this.ioApic.input(number),
      irq: (number) => routing.irq(number),
      legacy: (replaced) => routing.replace(replaced),
    });
    const power = new AcpiPower(clock, routing.irq(SCI_IRQ), wiring.powerOff);
    const a20 = { enabled: true };
    const keyboard = new I8042(routing.irq(KEYBOARD_IRQ), a20, () => reset('the keyboard controller (port 0x64)'));
    const systemPort = new SystemPort(pit);
    const postCode = new PostCode();
    const { primary, secondary, edgeLevelControl } = this.pics;
    // Who masks or unmasks the timer's interrupt must find its line as it is now.
    const synchronise = () => pit.advance(clock());
    for (const range of [primary, secondary]) ports.addRange(before(range, synchronise));
    physical.addRange(beforeMemory(this.ioApic, synchronise));
    for (const range of [
      edgeLevelControl,
      pit,
      systemPort,
      rtc,
      keyboard,
      keyboard.commandPort,
      postCode,
      power,
      new SystemPortA(a20, () => reset('system control port A (port 0x92)')),
    ]) {
      ports.addRange(range);
    }
    ports.addInside(new ResetControl(() => reset('the reset control register (port 0xcf9)')));
    physical.addRange(hpet);
    this.timed = [pit, rtc, hpet, power];
    this.devices = [
      this.clock,
      routing,
      secondary,
      primary,
      this.ioApic,
      pit,
      systemPort,
      rtc,
      hpet,
      power,
      keyboard,
      postCode,
    ];
  }

  /** Where a device's interrupt goes: both kinds of controllers. */
  irq(number: number): InterruptLine {
    return this.routing.irq(number);
  }

  /** An input by its number on the I/O APIC, as test programs mean it: the first 16 are IRQs, 2 has no 8259 behind it. */
  input(number: number): InterruptLine {
    return number === TIMER_PIN ? this.ioApic.input(number) : this.routing.irq(number);
  }

  nextDeadline(): number {
    let least = Infinity;
    for (const device of this.timed) least = Math.min(least, device.nextDeadline());
    return least;
  }

  advance(now: number): void {
    const clock = this.clock.advanceTo(now);
    for (const device of this.timed) if (device.nextDeadline() <= clock) device.advance(clock);
  }

  save(out: StateWriter): void {
    for (const device of this.devices) device.save(out);
  }

  restore(from: StateReader): void {
    for (const device of this.devices) device.restore(from);
  }

  /** Masked everywhere, the timer's interrupt has no effect: nobody has to be stopped for it. */
  private get timerIsObserved(): boolean {
    return !this.pics.primary.isMasked(TIMER_IRQ) || !this.ioApic.isMasked(TIMER_PIN);
  }
}
