import { Delivery, Shorthand } from './apic-registers';
import type { LocalApic } from './local-apic';

/** An interrupt on the bus of the local APICs, as the ICR or an interrupt message describes it (SDM vol. 3, 11.6, 11.11). */
export interface ApicMessage {
  readonly vector: number;
  readonly delivery: number;
  /** Logical destination mode, else physical */
  readonly logical: boolean;
  /** Level of the message: 0 only for "INIT level de-assert" */
  readonly assert: boolean;
  /** Trigger mode: the EOI of a level-triggered interrupt is broadcast to the I/O APICs */
  readonly levelTriggered: boolean;
  readonly shorthand: number;
  /** 8 bits from xAPICs and message-signalled interrupts, 32 from x2APICs and remapped interrupts */
  readonly destination: number;
}

/** Physical destination "all", in the form of x2APICs; the 8-bit FFH of other senders becomes this on the bus. */
export const BROADCAST = 0xffffffff;

/** Carries messages between I/O APICs, devices and the local APICs of the machine, in the order of their attachment. */
export class ApicBus {
  private readonly apics: LocalApic[] = [];
  private readonly eoiListeners: ((vector: number) => void)[] = [];

  attach(apic: LocalApic): void {
    this.apics.push(apic);
  }

  /** An I/O APIC listens to EOIs: each is of a level-triggered interrupt, whose remote IRR it ends. */
  onEoi(listener: (vector: number) => void): void {
    this.eoiListeners.push(listener);
  }

  /** EOI message of a local APIC (SDM vol. 3, 11.8.5) */
  eoi(vector: number): void {
    for (const listener of this.eoiListeners) listener(vector);
  }

  /**
   * A message from outside the local APICs: an I/O APIC, a device, the IOMMU. INIT, SIPI, NMI and ExtINT go the same way.
   * @returns whether any local APIC took it
   */
  deliver(message: ApicMessage): boolean {
    return this.route(undefined, message);
  }

  /** An interprocessor interrupt. */
  send(from: LocalApic, message: ApicMessage): boolean {
    return this.route(from, message);
  }

  private route(from: LocalApic | undefined, message: ApicMessage): boolean {
    if (message.delivery === (Delivery.LowestPriority as number)) {
      const chosen = this.lowestPriority(from, message);
      return chosen !== undefined && chosen.receive(message);
    }
    let taken = false;
    for (const apic of this.apics) {
      if (reaches(from, apic, message) && apic.receive(message)) taken = true;
    }
    return taken;
  }

  /** Arbitration (SDM vol. 3, 11.6.2.4): the lowest processor priority wins, of equals the one attached first. */
  private lowestPriority(from: LocalApic | undefined, message: ApicMessage): LocalApic | undefined {
    let chosen: LocalApic | undefined;
    for (const apic of this.apics) {
      if (!apic.acceptsFixed || !reaches(from, apic, message)) continue;
      if (chosen === undefined || apic.arbitrationPriority < chosen.arbitrationPriority) chosen = apic;
    }
    return chosen;
  }
}

function reaches(from: LocalApic | undefined, to: LocalApic, message: ApicMessage): boolean {
  switch (message.shorthand as Shorthand) {
    case Shorthand.Self:
      return to === from;
    case Shorthand.AllIncludingSelf:
      return true;
    case Shorthand.AllExcludingSelf:
      return to !== from;
    case Shorthand.None:
      return to.matches(message.destination, message.logical);
  }
}
