import { describeEptEntry } from '../arch/ept-bits';
import { describePagingEntry } from '../arch/paging-bits';
import { PagingContext } from '../memory/paging-context';
import type { PhysicalMemory } from '../memory/physical';
import { WalkFault, Walker } from '../memory/walker';
import type { AddressSpace, Walk, WalkStep } from './api';

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
const canonical = (address: bigint): boolean => BigInt.asIntN(48, address) === BigInt.asIntN(64, address);

/**
 * Translations for the debugger: the processor's own walker in probe mode, which ignores permissions, sets no accessed
 * or dirty flags and bypasses the TLB. What it shows is what the tables in memory say now.
 */
export class Translations {
  private readonly walker: Walker;
  private readonly context = new PagingContext();

  constructor(physical: PhysicalMemory) {
    this.walker = new Walker(physical);
  }

  /** The host-physical address, or undefined when the tables do not map it. */
  toHostPhysical(space: AddressSpace, address: bigint): bigint | undefined {
    if (space.kind === 'host-physical') return address;
    return this.run(space, address) ? BigInt(this.walker.hostPhysical) : undefined;
  }

  walk(space: AddressSpace, address: bigint): Walk {
    const steps: WalkStep[] = [];
    if (space.kind === 'host-physical') {
      return { steps, hostPhysical: address, guestPhysical: undefined, failure: undefined };
    }
    if (space.kind === 'linear' && this.isLong(space) && !canonical(address)) {
      const failure = `${hex(address)} is not canonical: bits 63:47 must be equal`;
      return { steps, hostPhysical: undefined, guestPhysical: undefined, failure };
    }
    this.walker.sink = (table, name, level, entryAddress, low, high, input, output, leaf) => {
      const entry = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
      const words =
        table === 'ept'
          ? describeEptEntry(entry, level, this.context.modeBasedExecute)
          : describePagingEntry(entry, leaf ? this.pageSize(name, space) : undefined);
      steps.push({
        name,
        table,
        level,
        entryAddress: BigInt(entryAddress),
        entry,
        input: BigInt(input),
        flags: words,
        output: BigInt(output),
      });
    };
    const done = this.run(space, address);
    this.walker.sink = undefined;
    if (!done) {
      const reached = this.walker.fault !== WalkFault.PageFault;
      return {
        steps,
        hostPhysical: undefined,
        guestPhysical: reached && space.eptp !== 0n ? BigInt(this.walker.guestPhysical) : undefined,
        failure: this.describeFailure(space, address),
      };
    }
    return {
      steps,
      hostPhysical: BigInt(this.walker.hostPhysical),
      guestPhysical: space.eptp !== 0n ? BigInt(this.walker.guestPhysical) : undefined,
      failure: undefined,
    };
  }

  private isLong(space: AddressSpace): boolean {
    return this.context.set(space).format?.name === '4-level paging';
  }

  private run(space: AddressSpace, address: bigint): boolean {
    const { context, walker } = this;
    context.set(space);
    if (space.kind === 'guest-physical') return walker.walkGuestPhysical(context, Number(address), 0, true);
    const long = this.isLong(space);
    if (long && !canonical(address)) return false;
    return walker.walk(context, long ? BigInt.asUintN(64, address) : address & 0xffffffffn, 0, true);
  }

  private pageSize(name: string, space: AddressSpace): number {
    return this.context.set(space).format?.levels.find((level) => level.name === name)?.span ?? 4096;
  }

  private describeFailure(space: AddressSpace, address: bigint): string {
    const { walker } = this;
    const at = space.kind === 'linear' ? `linear ${hex(address)}` : `guest-physical ${hex(address)}`;
    switch (walker.fault) {
      case WalkFault.EptViolation:
        return `${at}: guest-physical ${hex(walker.guestPhysical)} is not mapped by EPT`;
      case WalkFault.EptMisconfiguration:
        return `${at}: EPT misconfiguration for guest-physical ${hex(walker.guestPhysical)}`;
      case WalkFault.PageFault:
      case WalkFault.LogFull:
      case WalkFault.ApicAccess: // not in a walk of the debugger's
      case WalkFault.None:
        return walker.errorCode & 8 ? `${at}: a reserved bit is set in the last entry` : `${at}: not present`;
    }
  }
}
