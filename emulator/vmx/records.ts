import type { VmEntryRecord, VmExitRecord } from '../cpu/taps';
import { guestPhysical, hostPhysical, linear } from '../memory/address';
import type { VmxCore } from './core';
import { Slot } from './vmcs';

/**
 * What taps are given. One object a processor for all exits, and one for all entries: what a listener does not ask for
 * is not made. The exit's values are those of the fields that the exit has written.
 */
export type ExitRecord = { -readonly [Name in keyof VmExitRecord]: VmExitRecord[Name] };
export type EntryRecord = { -readonly [Name in keyof VmEntryRecord]: VmEntryRecord[Name] };

export function exitRecord(core: VmxCore): ExitRecord {
  const { vmcs } = core;
  return {
    n: 0,
    instruction: 0,
    vcpu: core.cpu.index,
    reason: 0,
    qualification: 0n,
    guestLinear: linear(0n),
    guestPhysical: guestPhysical(0n),
    interruptionInformation: 0,
    interruptionErrorCode: 0,
    instructionLength: 0,
    get vmcs() {
      return hostPhysical(core.currentVmcs);
    },
    get rip() {
      return vmcs.get64(Slot.GUEST_RIP);
    },
    get csBase() {
      return vmcs.get64(Slot.GUEST_CS_BASE);
    },
  };
}

export function entryRecord(core: VmxCore): EntryRecord {
  return {
    n: 0,
    instruction: 0,
    vcpu: core.cpu.index,
    launch: false,
    injected: 0,
    get vmcs() {
      return hostPhysical(core.currentVmcs);
    },
    get rip() {
      return core.vmcs.get64(Slot.GUEST_RIP);
    },
  };
}
