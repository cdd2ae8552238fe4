import type { VmEntryRecord, VmExitRecord } from '../cpu/taps';
import { guestPhysical, hostPhysical, type LinearAddress } from '../memory/address';
import type { VmxCore } from './core';
import { Slot } from './vmcs';

/**
 * What taps are given. One object a processor for all exits, and one for all entries: what a listener does not ask for
 * is not made. The exit's values are those of the fields that the exit has written.
 */
export type ExitRecord = VmExitRecord & { n: number; instruction: number };
export type EntryRecord = VmEntryRecord & { n: number; instruction: number; launch: boolean; injected: number };

export function exitRecord(core: VmxCore): ExitRecord {
  const { exit, vmcs } = core;
  return {
    n: 0,
    instruction: 0,
    vcpu: core.cpu.index,
    get vmcs() {
      return hostPhysical(core.currentVmcs);
    },
    get reason() {
      return exit.reason;
    },
    get qualification() {
      return exit.qualification;
    },
    get guestLinear() {
      return exit.guestLinear as LinearAddress;
    },
    get guestPhysical() {
      return guestPhysical(exit.guestPhysical);
    },
    get interruptionInformation() {
      return exit.interruptionInformation;
    },
    get interruptionErrorCode() {
      return exit.interruptionErrorCode;
    },
    get instructionLength() {
      return vmcs.get32(Slot.EXIT_INSTRUCTION_LENGTH);
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
