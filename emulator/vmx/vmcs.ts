import {
  Field,
  VMCS_FIELDS,
  VMCS_FIELD_SYMBOLS,
  vmcsAccessHigh,
  vmcsFieldExists,
  vmcsWidth,
  type VmcsFieldSymbol,
} from '../arch/vmcs-fields';
import { hostPhysical, PAGE_MASK, PAGE_SIZE, type HostPhysicalAddress } from '../memory/address';
import { STATE_BASE, VMCS_FIELD_ENCODINGS, VMCS_FIELD_TABLE, VmcsAccess } from '../memory/layout';
import type { WrittenField } from '../memory/access-watch';
import type { MachineMemory } from '../memory/machine-memory';
import type { PhysicalMemory } from '../memory/physical';

/**
 * A VMCS region in memory (SDM vol. 3, 25.2). The manual fixes the first eight bytes; the data's format is the
 * implementation's, here: launch state at 8, then one slot of 8 bytes for each field in the order of the field table.
 * Everything is in the region, nothing in hidden caches: VMCLEAR has nothing to write back, and a debugger can decode it.
 */
export const VMCS_REVISION = 0x5556_0001;
export const VMCS_REGION_SIZE = PAGE_SIZE;

/** Bit 31 of the first word: a shadow VMCS, which VMREAD and VMWRITE access but no VM entry uses (SDM vol. 3, 25.10) */
export const SHADOW_INDICATOR = 0x8000_0000;

const REVISION = 0;
const ABORT_INDICATOR = 4;
const LAUNCH_STATE = 8;
const FIRST_SLOT = 16;
const SLOT_SIZE = 8;

export const LaunchState = { CLEAR: 0, LAUNCHED: 1 } as const;

/** All ones: no current VMCS, and the VMCS link pointer's neutral value */
export const NO_VMCS = 0xffff_ffff_ffff_ffffn;

/** Byte offset of each field in the region. */
export const Slot = Object.fromEntries(VMCS_FIELD_SYMBOLS.map((symbol, i) => [symbol, FIRST_SLOT + i * SLOT_SIZE])) as {
  readonly [K in VmcsFieldSymbol]: number;
};

/** Bytes of a region that hold something */
export const VMCS_DATA_SIZE = FIRST_SLOT + VMCS_FIELD_SYMBOLS.length * SLOT_SIZE;

/** Offsets by encoding, 0 where this processor has no such field. "High" encodings of 64-bit fields point 4 further. */
const offsetByEncoding = new Uint16Array(0x8000);
for (const symbol of VMCS_FIELD_SYMBOLS) {
  if (!vmcsFieldExists(VMCS_FIELDS[symbol])) continue;
  const encoding = Field[symbol];
  offsetByEncoding[encoding] = Slot[symbol];
  if (vmcsWidth(encoding) === 64) offsetByEncoding[encoding | 1] = Slot[symbol] + 4;
}

/** Writes VMCS_FIELD_TABLE, by which generated code executes VMREAD and VMWRITE. */
export function writeFieldTable(memory: MachineMemory): void {
  for (let encoding = 0; encoding < VMCS_FIELD_ENCODINGS; encoding++) {
    const offset = vmcsFieldOffset(encoding);
    const size = accessSize(encoding);
    const access = offset | (size === 8 ? VmcsAccess.WIDE : size === 2 ? VmcsAccess.NARROW : 0);
    memory.view.setUint16(VMCS_FIELD_TABLE + encoding * 2, offset === 0 ? 0 : access, true);
  }
}

/** The field's place in a region, or 0 when the encoding is no field of this processor. */
export const vmcsFieldOffset = (encoding: number): number =>
  encoding >= 0 && encoding < 0x8000 ? (offsetByEncoding[encoding] ?? 0) : 0;

/** Bytes that a field occupies, of those that VMREAD and VMWRITE of its encoding touch */
export const vmcsFieldSize = (encoding: number): number => accessSize(encoding);

/** Bytes that VMREAD and VMWRITE of this encoding touch; natural width is 8. */
function accessSize(encoding: number): 2 | 4 | 8 {
  if (vmcsAccessHigh(encoding)) return 4;
  const width = vmcsWidth(encoding);
  return width === 16 ? 2 : width === 32 ? 4 : 8;
}

/** The value of a field, or undefined when there is no such field or the region is no RAM. For debuggers. */
export function readVmcsField(
  physical: PhysicalMemory,
  region: HostPhysicalAddress,
  encoding: number,
): bigint | undefined {
  const offset = vmcsFieldOffset(encoding);
  if (offset === 0 || !isVmcsRegion(physical, region)) return undefined;
  return physical.read(hostPhysical(region + BigInt(offset)), accessSize(encoding));
}

/** Writes a field, truncated to its width. False: no such field, or the region is no RAM. For debuggers. */
export function writeVmcsField(
  physical: PhysicalMemory,
  region: HostPhysicalAddress,
  encoding: number,
  value: bigint,
): boolean {
  const offset = vmcsFieldOffset(encoding);
  if (offset === 0 || !isVmcsRegion(physical, region)) return false;
  physical.write(hostPhysical(region + BigInt(offset)), accessSize(encoding), value);
  return true;
}

/** Launch state, abort indicator and revision of a region, or undefined when it is no RAM. For debuggers. */
export function readVmcsHeader(
  physical: PhysicalMemory,
  region: HostPhysicalAddress,
): { readonly revision: number; readonly abortIndicator: number; readonly launched: boolean } | undefined {
  if (!isVmcsRegion(physical, region)) return undefined;
  return {
    revision: physical.read32(hostPhysical(region + BigInt(REVISION))),
    abortIndicator: physical.read32(hostPhysical(region + BigInt(ABORT_INDICATOR))),
    launched: physical.read32(hostPhysical(region + BigInt(LAUNCH_STATE))) === LaunchState.LAUNCHED,
  };
}

const isVmcsRegion = (physical: PhysicalMemory, region: HostPhysicalAddress): boolean =>
  region >= 0n && (region & PAGE_MASK) === 0n && physical.hostOffset(region) >= 0;

/**
 * The current VMCS, bound to its bytes in RAM. Accessors take slots (`Slot.GUEST_RIP`), not encodings: nothing to look
 * up, nothing to allocate but the bigint of a 64-bit value.
 */
export class Vmcs {
  private readonly memory: MachineMemory;
  private readonly view: DataView;
  private readonly words: Int32Array;
  /** wasm address of the region; -1 when there is no current VMCS */
  private base = -1;
  private address = NO_VMCS;
  /** Writes of fields were announced already. */
  private announced = false;
  private low = 0xffff_ffff;
  private high = 0xffff_ffff;

  constructor(private readonly physical: PhysicalMemory) {
    this.memory = physical.memory;
    this.view = this.memory.view;
    this.words = this.memory.i32;
  }

  /** Binds to a region; NO_VMCS unbinds. The region must be RAM (VMPTRLD has read its revision there). */
  bind(address: bigint): void {
    if (address === this.address) return;
    this.address = address;
    this.low = Number(BigInt.asUintN(32, address));
    this.high = Number(BigInt.asUintN(32, address >> 32n));
    this.base = address === NO_VMCS ? -1 : this.physical.hostOffset(hostPhysical(address));
  }

  /** As `bind`, by the halves of the address: nothing to do and nothing allocated when it is bound already. */
  follow(low: number, high: number): void {
    if (low === this.low && high === this.high) return;
    this.bind((BigInt(high) << 32n) | BigInt(low));
  }

  get valid(): boolean {
    return this.base >= 0;
  }

  /** The shadow-VMCS indicator of the region */
  get shadow(): boolean {
    return this.view.getUint32(this.base + REVISION, true) >>> 31 === 1;
  }

  /** wasm address of the region, for generated code; only while `valid` */
  get wasmAddress(): number {
    return this.base;
  }

  /**
   * Many fields are written until `endWrites`, as a VM exit does: they are announced at once, unless somebody wants to know
   * of each.
   */
  beginWrites(): void {
    const { writing, accessWatch } = this.memory;
    if (accessWatch || !writing) return;
    writing(this.base, VMCS_DATA_SIZE);
    this.announced = true;
  }

  endWrites(): void {
    this.announced = false;
  }

  /** These fields are written next, by generated code. */
  announceWrites(fields: readonly WrittenField[], exitControls: number): void {
    const { writing, accessWatch } = this.memory;
    if (accessWatch)
      accessWatch.writingFields(this.base, fields, exitControls, () => writing?.(this.base, VMCS_DATA_SIZE));
    else if (!this.announced) writing?.(this.base, VMCS_DATA_SIZE);
  }

  /** Whether generated code may write the region without telling anybody */
  get freelyWritten(): boolean {
    const { mayStore } = this.memory;
    return mayStore === undefined || mayStore(this.base, true);
  }

  get launched(): boolean {
    return this.view.getUint32(this.base + LAUNCH_STATE, true) === LaunchState.LAUNCHED;
  }

  set launched(value: boolean) {
    this.memory.writing?.(this.base + LAUNCH_STATE, 4);
    this.view.setUint32(this.base + LAUNCH_STATE, value ? LaunchState.LAUNCHED : LaunchState.CLEAR, true);
  }

  set abortIndicator(value: number) {
    this.memory.writing?.(this.base + ABORT_INDICATOR, 4);
    this.view.setUint32(this.base + ABORT_INDICATOR, value, true);
  }

  /** Fields of 16 and 32 bits, and the low half of the others: unsigned */
  get32(slot: number): number {
    return this.view.getUint32(this.base + slot, true);
  }

  set32(slot: number, value: number): void {
    if (!this.announced) this.memory.writing?.(this.base + slot, 4);
    this.view.setUint32(this.base + slot, value >>> 0, true);
  }

  /** Bits 63:32 of a field of 64 bits: unsigned */
  high32(slot: number): number {
    return this.view.getUint32(this.base + slot + 4, true);
  }

  get64(slot: number): bigint {
    return this.view.getBigUint64(this.base + slot, true);
  }

  set64(slot: number, value: bigint): void {
    if (!this.announced) this.memory.writing?.(this.base + slot, 8);
    this.view.setBigUint64(this.base + slot, value, true);
  }

  /** Copies 8 bytes of the vCPU's state block to a slot, and back: no bigint is made on the way. */
  save(slot: number, stateOffset: number): void {
    if (!this.announced) this.memory.writing?.(this.base + slot, 8);
    const at = (this.base + slot) >>> 2;
    const from = (STATE_BASE + stateOffset) >>> 2;
    this.words[at] = this.words[from] ?? 0;
    this.words[at + 1] = this.words[from + 1] ?? 0;
  }

  load(stateOffset: number, slot: number): void {
    const at = (STATE_BASE + stateOffset) >>> 2;
    const from = (this.base + slot) >>> 2;
    this.words[at] = this.words[from] ?? 0;
    this.words[at + 1] = this.words[from + 1] ?? 0;
  }

  /** VMREAD: `offset` from `vmcsFieldOffset`, not 0 */
  readField(encoding: number, offset: number): bigint {
    return accessSize(encoding) === 8 ? this.get64(offset) : BigInt(this.get32(offset));
  }

  /** VMWRITE: excess bits of the value are ignored. */
  writeField(encoding: number, offset: number, value: bigint): void {
    const size = accessSize(encoding);
    if (size === 8) this.set64(offset, BigInt.asUintN(64, value));
    else this.set32(offset, Number(BigInt.asUintN(size * 8, value)));
  }
}

/** VMCLEAR's effect on memory: the launch state of the region becomes clear. */
export function clearLaunchState(physical: PhysicalMemory, region: HostPhysicalAddress): void {
  physical.write32(hostPhysical(region + BigInt(LAUNCH_STATE)), LaunchState.CLEAR);
}

/** The revision identifier, bits 30:0, and the shadow-VMCS indicator, bit 31, of a region. */
export const readRevision = (physical: PhysicalMemory, region: HostPhysicalAddress): number => physical.read32(region);
