import { hostPhysical } from '../../memory/address';
import type { VmxCore } from '../core';
import { Slot } from '../vmcs';
import { virtualized, Virtualized } from './controls';
import { storePhysical, VirtualRegister } from './virtual-apic-page';
import type { VirtualInterrupts } from './virtual-interrupts';

/** The descriptor: 256 requests, then the outstanding notification (bit 256); the rest is software's. */
const REQUEST_WORDS = 8;
const NOTIFICATION = 32n;
const OUTSTANDING = 1;

/**
 * Posted-interrupt processing (SDM vol. 3, 30.6): an external interrupt with the notification vector moves the requests of
 * the descriptor to the virtual-APIC page instead of causing a VM exit.
 * @returns false when the pending interrupt is another one
 */
export function processPostedInterrupts(core: VmxCore, interrupts: VirtualInterrupts): boolean {
  const { cpu, vmcs } = core;
  if (!(virtualized(core) & Virtualized.POSTED)) return false;
  if (cpu.interrupts.pendingVector() !== (vmcs.get32(Slot.POSTED_INTERRUPT_NOTIFICATION_VECTOR) & 0xff)) return false;
  cpu.interrupts.acknowledge();
  const descriptor = vmcs.get64(Slot.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS);
  const notification = cpu.physical.read32(hostPhysical(descriptor + NOTIFICATION));
  storePhysical(cpu, descriptor + NOTIFICATION, 4, BigInt((notification & ~OUTSTANDING) >>> 0));
  cpu.interrupts.localApic?.endOfInterrupt();
  interrupts.request(moveRequests(core, descriptor, interrupts));
  return true;
}

/** @returns the highest vector that was posted, or 0 */
function moveRequests(core: VmxCore, descriptor: bigint, { page }: VirtualInterrupts): number {
  const { cpu } = core;
  let highest = 0;
  for (let word = 0; word < REQUEST_WORDS; word++) {
    const at = descriptor + BigInt(word * 4);
    const posted = cpu.physical.read32(hostPhysical(at));
    if (posted === 0) continue;
    storePhysical(cpu, at, 4, 0n);
    const register = VirtualRegister.IRR + word * 16;
    page.set32(register, page.get32(register) | posted);
    highest = word * 32 + 31 - Math.clz32(posted);
  }
  return highest;
}
