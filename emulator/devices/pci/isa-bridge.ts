import type { StateReader } from '../device';
import type { InterruptLine } from '../interrupt-line';
import type { PinRouter } from './bus';
import { PciFunction } from './function';

const PIRQ_ROUTE = 0x60;
const ROUTE_DISABLED = 0x80;
/** What firmware leaves there: PIRQA#, PIRQB# to IRQ 10, PIRQC#, PIRQD# to IRQ 11 */
const FIRMWARE_ROUTES = [10, 10, 11, 11] as const;
const IRQS = 16;
/** IRQs that the register may name (data sheet, PIRQRC): 3-7, 9-12, 14, 15 */
const VALID_IRQS = 0b1101_1110_1111_1000;

/**
 * The ISA bridge and interrupt router: Intel 82371SB PIIX3, function 0 (data sheet 290550, "PIRQRC[A:D]"). A
 * device's INTx pin reaches one of four PIRQ wires (rotated by device number, as boards do), and PIRQRC names the IRQ
 * input of the interrupt controllers that the wire goes to.
 */
export class IsaBridge extends PciFunction implements PinRouter {
  readonly name = 'ISA bridge';
  private readonly levels = new Uint8Array(IRQS);
  private known: readonly PciFunction[] = [];

  /** @param irq the interrupt controllers' input for an IRQ number */
  constructor(
    ramSize: number,
    private readonly irq: (number: number) => InterruptLine,
  ) {
    super({ vendor: 0x8086, device: 0x7000, revision: 0, classCode: 0x060100, multifunction: true }, ramSize);
    FIRMWARE_ROUTES.forEach((route, i) => this.config.define(PIRQ_ROUTE + i, 1, route, 0x8f));
  }

  /** The IRQ that firmware writes into the interrupt-line register of a device's pin. */
  static firmwareLine(device: number, pin: number): number {
    return FIRMWARE_ROUTES[wireOf(device, pin)] ?? 0;
  }

  pinsChanged(functions: readonly PciFunction[]): void {
    this.known = functions;
    this.drive();
  }

  override writeConfig(offset: number, size: number, value: number): void {
    super.writeConfig(offset, size, value);
    if (offset < PIRQ_ROUTE + 4 && offset + size > PIRQ_ROUTE) this.drive();
  }

  override restore(from: StateReader): void {
    super.restore(from);
    this.drive();
  }

  private drive(): void {
    let wanted = 0;
    for (const one of this.known) {
      if (!one.pinAsserted || one.pin === 0) continue;
      const route = this.config.bytes[PIRQ_ROUTE + wireOf(one.requester >>> 3, one.pin)] ?? ROUTE_DISABLED;
      if (!(route & ROUTE_DISABLED)) wanted |= 1 << (route & 15);
    }
    for (let number = 0; number < IRQS; number++) {
      const level = (wanted & VALID_IRQS & (1 << number)) !== 0 ? 1 : 0;
      if (this.levels[number] === level) continue;
      this.levels[number] = level;
      this.irq(number).set(level !== 0);
    }
  }
}

const wireOf = (device: number, pin: number): number => (device + pin - 2) & 3;
