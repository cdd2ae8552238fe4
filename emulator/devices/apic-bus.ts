import { Delivery, Shorthand } from './apic-registers';
import type { LocalApic } from './local-apic';

/** An interprocessor interrupt as the ICR describes it (SDM vol. 3, 12.6.1). */
export interface ApicMessage {
  readonly vector: number;
  readonly delivery: number;
  /** Logical destination mode, else physical */
  readonly logical: boolean;
  readonly level: boolean;
  readonly shorthand: number;
  readonly destination: number;
}

/** Carries messages between the local APICs of the machine, in the order of their attachment. */
export class ApicBus {
  private readonly apics: LocalApic[] = [];

  attach(apic: LocalApic): void {
    this.apics.push(apic);
  }

  send(from: LocalApic, message: ApicMessage): void {
    for (const apic of this.apics) {
      if (!this.reaches(from, apic, message)) continue;
      apic.receive(message);
      // Lowest priority: exactly one takes it. All are treated as equal; the first wins, always.
      if (message.delivery === (Delivery.LowestPriority as number)) return;
    }
  }

  private reaches(from: LocalApic, to: LocalApic, message: ApicMessage): boolean {
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
}
