import { State } from '../memory/layout';
import { hostPhysical } from '../memory/address';
import type { VmxCore } from './core';

const ENTRY_SIZE = 16n;
const IA32_BIOS_UPDT_TRIG = 0x79;
const IA32_BIOS_SIGN_ID = 0x8b;
const IA32_SMM_MONITOR_CTL = 0x9b;
const IA32_FS_BASE = 0xc000_0100;
const IA32_GS_BASE = 0xc000_0101;
const X2APIC_ENABLED = 1n << 10n;

const inX2apicRange = (core: VmxCore, index: number): boolean =>
  index >>> 8 === 8 && (core.cpu.state.get64(State.APIC_BASE) & X2APIC_ENABLED) !== 0n;

/** MSRs that an MSR-load area must not name (SDM vol. 3, 27.4 and 28.6) */
const cannotLoad = (core: VmxCore, index: number): boolean =>
  index === IA32_FS_BASE ||
  index === IA32_GS_BASE ||
  index === IA32_SMM_MONITOR_CTL ||
  index === IA32_BIOS_UPDT_TRIG ||
  index === IA32_BIOS_SIGN_ID ||
  inX2apicRange(core, index);

/**
 * Loads the MSRs of an area in order: index in bits 31:0, reserved 63:32, value 127:64.
 * @returns 0, or the number (from 1) of the entry that could not be loaded; the entries before it are loaded
 */
export function loadMsrArea(core: VmxCore, addressSlot: number, countSlot: number): number {
  const { cpu, vmcs } = core;
  const { physical } = cpu;
  const count = vmcs.get32(countSlot);
  if (count === 0) return 0;
  const address = vmcs.get64(addressSlot);
  for (let i = 0; i < count; i++) {
    const at = address + BigInt(i) * ENTRY_SIZE;
    const index = physical.read32(hostPhysical(at));
    const reserved = physical.read32(hostPhysical(at + 4n));
    if (reserved !== 0 || cannotLoad(core, index)) return i + 1;
    if (!core.msrs.write(index, physical.read64(hostPhysical(at + 8n)))) return i + 1;
  }
  return 0;
}

/** Stores MSRs into an area (SDM vol. 3, 28.4). @returns 0, or the number (from 1) of the entry that failed */
export function storeMsrArea(core: VmxCore, addressSlot: number, countSlot: number): number {
  const { cpu, vmcs } = core;
  const { physical } = cpu;
  const count = vmcs.get32(countSlot);
  if (count === 0) return 0;
  const address = vmcs.get64(addressSlot);
  for (let i = 0; i < count; i++) {
    const at = address + BigInt(i) * ENTRY_SIZE;
    const index = physical.read32(hostPhysical(at));
    const reserved = physical.read32(hostPhysical(at + 4n));
    if (reserved !== 0 || index === IA32_SMM_MONITOR_CTL || inX2apicRange(core, index)) return i + 1;
    const value = core.msrs.read(index);
    if (value === undefined) return i + 1;
    physical.write64(hostPhysical(at + 8n), value);
  }
  return 0;
}
