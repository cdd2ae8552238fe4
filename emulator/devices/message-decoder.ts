import { BROADCAST, type ApicBus, type ApicMessage } from './apic-bus';
import { Delivery, Shorthand } from './apic-registers';
import type { InterruptMessageSink } from './interrupt-message';

const ADDRESS_HIGH = 0xfee00000n;
const ADDRESS_MASK = ~0xfffffn;
/** Bits of the address */
const LOGICAL = 4;
const REDIRECTION_HINT = 8;
/** Bits of the data */
const ASSERT = 0x4000;
const LEVEL_TRIGGERED = 0x8000;

/**
 * The address and data of a message-signalled interrupt in compatibility format (SDM vol. 3, 11.11). The redirection
 * hint with a logical destination asks for one of the processors named, as lowest-priority delivery does.
 * @returns undefined when the address is not one of interrupt messages: the write goes to memory
 */
export function decodeMessage(address: bigint, data: number): ApicMessage | undefined {
  if ((address & ADDRESS_MASK) !== ADDRESS_HIGH) return undefined;
  const low = Number(address & 0xfffffn);
  const logical = (low & LOGICAL) !== 0;
  const destination = low >>> 12;
  const delivery = (data >>> 8) & 7;
  const redirected = logical && (low & REDIRECTION_HINT) !== 0 && delivery === (Delivery.Fixed as number);
  const levelTriggered = (data & LEVEL_TRIGGERED) !== 0;
  return {
    vector: data & 0xff,
    delivery: redirected ? Delivery.LowestPriority : delivery,
    logical,
    assert: !levelTriggered || (data & ASSERT) !== 0,
    levelTriggered,
    shorthand: Shorthand.None,
    destination: !logical && destination === 0xff ? BROADCAST : destination,
  };
}

/** Where interrupt messages end without interrupt remapping: on the bus of the local APICs. */
export class DirectMessages implements InterruptMessageSink {
  constructor(private readonly bus: ApicBus) {}

  send(_source: number, address: bigint, data: number): void {
    const message = decodeMessage(address, data);
    if (message) this.bus.deliver(message);
  }
}
