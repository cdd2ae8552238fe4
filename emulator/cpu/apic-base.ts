import { PHYSICAL_ADDRESS_BITS } from '../arch/address-width';
import { ApicBase } from '../arch/msrs';
import { State } from '../memory/layout';
import type { Processor } from './processor';

/** Bits 7:0, 9 and those beyond the physical-address width */
const RESERVED = BigInt.asUintN(64, ~((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n) | 0x2ffn);
const MODE = ApicBase.ENABLE | ApicBase.X2APIC;

/**
 * The modes that IA32_APIC_BASE may go to (SDM vol. 3, 11.12.5): "x2APIC without enable" is no mode, x2APIC is entered
 * from xAPIC only, and left only by disabling the APIC.
 */
function legal(before: bigint, after: bigint): boolean {
  const from = before & MODE;
  const to = after & MODE;
  if (to === ApicBase.X2APIC) return false;
  if (to === MODE) return from === MODE || from === ApicBase.ENABLE;
  return from !== MODE || to === 0n;
}

/** WRMSR to IA32_APIC_BASE; false when it must raise #GP(0). CPUID.1:EDX[9] follows the enable bit. */
export function writeApicBase(cpu: Processor, value: bigint): boolean {
  const before = cpu.state.get64(State.APIC_BASE);
  if (value & RESERVED || !legal(before, value)) return false;
  cpu.state.set64(State.APIC_BASE, value);
  if (value === before) return true;
  cpu.interrupts.localApic?.baseChanged();
  cpu.physical.rangesMoved();
  cpu.tlb.flushAll();
  return true;
}
