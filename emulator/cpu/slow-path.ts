import { Access, type EngineControl, type EngineHost } from '../engine/host';
import { Watched } from '../memory/access-watch';
import { hostPhysical } from '../memory/address';
import { pageOf } from '../memory/machine-memory';
import type { PhysicalMemory } from '../memory/physical';
import { ApicAccess, type ApicVirtualization } from './processor';
import { APIC_PAGE, DEVICE, FAULT, FaultKind, Privilege, StaleUse, type Translation } from './translation';

const PAGE = 0xfffn;
const crossesPage = (address: bigint, size: number): boolean => Number(BigInt.asUintN(12, address)) + size > 4096;
/** What a read-modify-write is */
const EITHER = Watched.WRITE | Watched.READ;

/**
 * What generated code calls when the software TLB misses. Nothing here throws: a failed access is published in
 * State.FAULT_*, and the instruction commits nothing.
 *
 * An access to a device or to the APIC-access page is first refused with FaultKind.Device. The run loop then repeats that one instruction with
 * `deviceAllowed`: so the device sees the exact virtual time, and what it raises is seen before the next instruction.
 */
export class SlowPath implements EngineHost {
  deviceAllowed = false;
  /** Strict mode: likewise for the use of a stale translation */
  staleAllowed = false;

  constructor(
    private readonly translation: Translation,
    private readonly physical: PhysicalMemory,
    private readonly engine: () => EngineControl,
    private readonly withdrawWrite: (ramPage: number) => void,
    private readonly apic: () => ApicVirtualization | undefined,
  ) {}

  slowLoad(linear: bigint, size: number, forWrite: boolean): bigint {
    const { translation } = this;
    const address = BigInt.asUintN(64, linear);
    if (crossesPage(address, size)) return this.splitLoad(address, this.lastByte(address, size), size, forWrite);
    const at = this.locate(address, forWrite ? Access.Write : Access.Read);
    if (at !== FAULT && this.unaligned(address, size)) return 0n;
    if (at >= 0) {
      const { accessWatch } = this.physical.memory;
      if (this.watchRefuses(address, at, size, forWrite ? EITHER : Watched.READ)) return 0n;
      if (translation.secrecy?.loading(at, size)) {
        translation.publish(FaultKind.Secret);
        return 0n;
      }
      accessWatch?.reading(at, size);
      return translation.load(at, size);
    }
    translation.secrecy?.loading(at, size);
    if (at === APIC_PAGE) return this.loadApic(address, size, forWrite);
    return at === DEVICE ? this.physical.read(this.device(), size) : 0n;
  }

  slowStore(linear: bigint, size: number, value: bigint): void {
    const { translation } = this;
    const address = BigInt.asUintN(64, linear);
    if (crossesPage(address, size)) {
      this.splitStore(address, this.lastByte(address, size), size, BigInt.asUintN(64, value));
      return;
    }
    const at = this.locate(address, Access.Write);
    if (at !== FAULT && this.unaligned(address, size)) return;
    if (at >= 0) {
      if (!this.watchRefuses(address, at, size, Watched.WRITE)) translation.store(at, size, value);
    } else if (at === APIC_PAGE) this.storeApic(address, size, BigInt.asUintN(size * 8, value));
    else if (at === DEVICE) {
      translation.secrecy?.storingToDevice(translation.deviceAddress, size);
      this.physical.write(this.device(), size, BigInt.asUintN(size * 8, value));
    }
  }

  refill(linear: bigint, size: number, access: Access): boolean {
    const address = BigInt.asUintN(64, linear);
    if (this.translation.alignmentChecked && access !== Access.Execute) return false;
    if (crossesPage(address, size)) return false;
    const at = this.translation.translate(address, access, Privilege.Current, StaleUse.Never);
    if (at < 0) return false;
    if (access === Access.Read) return !this.translation.readsSlowly(pageOf(at));
    if (access !== Access.Write || !this.translation.storesSlowly(pageOf(at), access)) return true;
    return this.translation.storesOnce(address, at, size);
  }

  fetch(linear: bigint): number {
    const address = BigInt.asUintN(64, linear);
    const at = this.translation.translate(address, Access.Execute, Privilege.Current, this.staleUse);
    if (at >= 0) {
      const page = pageOf(at);
      // Its bytes are about to be decoded: from now on a store there must come by the slow path.
      if (!this.engine().isCodePage(page)) this.withdrawWrite(page);
      return page;
    }
    if (at === APIC_PAGE) {
      this.refuseApic(address, ApicAccess.FETCH);
    } else if (at === DEVICE) {
      this.translation.fault.linear = address;
      this.translation.fault.guestPhysical = this.translation.deviceAddress;
      this.translation.publish(FaultKind.FetchOutsideRam);
    } else this.translation.publish();
    return -1;
  }

  private get staleUse(): StaleUse {
    return this.staleAllowed ? StaleUse.Tell : StaleUse.Refuse;
  }

  /** A wasm address; DEVICE or APIC_PAGE when it may be reached now; FAULT after publishing. */
  private locate(address: bigint, access: Access): number {
    const at = this.translation.translate(address, access, Privilege.Current, this.staleUse);
    if (at >= 0) return at;
    if (at === DEVICE || at === APIC_PAGE) {
      if (this.deviceAllowed) return at;
      this.translation.publish(FaultKind.Device);
    } else this.translation.publish();
    return FAULT;
  }

  /** True: the access was refused for now, because the instruction is to be executed alone. */
  private watchRefuses(address: bigint, at: number, size: number, access: number): boolean {
    const { memory } = this.physical;
    const alone = !memory.exact && (access & Watched.WRITE) !== 0 && memory.exacting?.storesAlone?.(at) === true;
    if (!alone && !memory.accessWatch?.refuses(at, size, access)) return false;
    this.translation.refuseWatched(address);
    this.translation.publish();
    return true;
  }

  /** Alignment is looked at after the page (SDM vol. 3, 6.9: page faults come before alignment checks). */
  private unaligned(address: bigint, size: number): boolean {
    if (!this.translation.alignmentChecked || (Number(address & PAGE) & (size - 1)) === 0) return false;
    this.translation.refuseUnaligned(address);
    this.translation.publish();
    return true;
  }

  /** Both pages are checked before a byte moves; devices are reached byte by byte. */
  private splitLoad(address: bigint, last: bigint, size: number, forWrite: boolean): bigint {
    if (!this.bothPages(address, last, size, forWrite ? Access.Write : Access.Read)) return 0n;
    if (this.unaligned(address, size)) return 0n;
    const { secrecy } = this.translation;
    let value = 0n;
    let secret = 0n;
    for (let i = 0; i < size; i++) {
      value |= this.slowLoad(this.next(address, i), 1, forWrite) << BigInt(i * 8);
      if (secrecy) secret |= secrecy.loaded << BigInt(i * 8);
    }
    if (secrecy) secrecy.loaded = secret;
    return value;
  }

  private splitStore(address: bigint, last: bigint, size: number, value: bigint): void {
    if (!this.bothPages(address, last, size, Access.Write) || this.unaligned(address, size)) return;
    const { secrecy } = this.translation;
    const secret = secrecy?.stored ?? 0n;
    for (let i = 0; i < size; i++) {
      if (secrecy) secrecy.stored = (secret >> BigInt(i * 8)) & 0xffn;
      this.slowStore(this.next(address, i), 1, (value >> BigInt(i * 8)) & 0xffn);
    }
  }

  private bothPages(address: bigint, last: bigint, size: number, access: Access): boolean {
    const second = Number(last & PAGE) + 1;
    return this.wholly(address, size - second, access) && this.wholly(last & ~PAGE, second, access);
  }

  /** An access that leaves the APIC-access page, or enters it, is never virtualized. */
  private wholly(address: bigint, size: number, access: Access): boolean {
    const at = this.locate(address, access);
    if (at === APIC_PAGE) this.refuseApic(address, access === Access.Write ? ApicAccess.WRITE : ApicAccess.READ);
    if (at === FAULT || at === APIC_PAGE) return false;
    return at === DEVICE || !this.watchRefuses(address, at, size, access === Access.Write ? EITHER : Watched.READ);
  }

  private loadApic(address: bigint, size: number, forWrite: boolean): bigint {
    const value = this.apic()?.readPage(Number(address & PAGE), size);
    if (value === undefined) this.refuseApic(address, forWrite ? ApicAccess.WRITE : ApicAccess.READ);
    return value ?? 0n;
  }

  private storeApic(address: bigint, size: number, value: bigint): void {
    if (!this.apic()?.writePage(Number(address & PAGE), size, value)) this.refuseApic(address, ApicAccess.WRITE);
  }

  private refuseApic(address: bigint, type: number): void {
    this.translation.refuseApicAccess(address, type);
    this.translation.publish();
  }

  private lastByte(address: bigint, size: number): bigint {
    return this.next(address, size - 1);
  }

  private next(address: bigint, offset: number): bigint {
    const sum = address + BigInt(offset);
    return this.translation.longMode ? BigInt.asUintN(64, sum) : sum & 0xffffffffn;
  }

  private device() {
    return hostPhysical(BigInt(this.translation.deviceAddress));
  }
}
