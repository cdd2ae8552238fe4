import type { Device, StateReader, StateWriter } from '../../devices/device';
import type { InterruptLine } from '../../devices/interrupt-line';
import { IO_APIC_PINS, type IoApic } from '../../devices/io-apic';
import type { PicPair } from '../../devices/pic-8259';

export const TIMER_IRQ = 0;
/** The 8259's cascade leaves IRQ 2 without a device: its pin takes the timer, as the MADT says. */
export const TIMER_PIN = 2;
const CASCADE_IRQ = 2;
const LEGACY_IRQS = 16;

/** From an IRQ to the inputs of both interrupt controllers. */
export class InterruptRouting implements Device {
  readonly name = 'interrupt routing';
  /** HPET in legacy replacement: PIT and RTC are cut off. */
  private replaced = false;
  private readonly replaceables: { readonly line: InterruptLine; level: boolean }[] = [];

  constructor(
    private readonly pics: PicPair,
    private readonly ioApic: IoApic,
  ) {}

  irq(number: number): InterruptLine {
    if (number >= LEGACY_IRQS && number < IO_APIC_PINS) return this.ioApic.input(number);
    if (number < 0 || number >= LEGACY_IRQS || number === CASCADE_IRQ) throw new Error(`no device has IRQ ${number}`);
    const pic = this.pics.line(number);
    const pin = this.ioApic.input(number === TIMER_IRQ ? TIMER_PIN : number);
    return {
      set: (asserted) => {
        pic.set(asserted);
        pin.set(asserted);
      },
    };
  }

  /** The IRQ of a device that the HPET may replace */
  replaceable(number: number): InterruptLine {
    const device = { line: this.irq(number), level: false };
    this.replaceables.push(device);
    return {
      set: (asserted) => {
        device.level = asserted;
        if (!this.replaced) device.line.set(asserted);
      },
    };
  }

  replace(replaced: boolean): void {
    this.replaced = replaced;
    for (const { line, level } of this.replaceables) line.set(!replaced && level);
  }

  save(out: StateWriter): void {
    out.u8(Number(this.replaced));
    for (const { level } of this.replaceables) out.u8(Number(level));
  }

  restore(from: StateReader): void {
    this.replaced = from.u8() !== 0;
    for (const device of this.replaceables) device.level = from.u8() !== 0;
  }
}
