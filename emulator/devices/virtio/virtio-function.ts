import type { StateReader, StateWriter } from '../device';
import { MSI_X_CAPABILITY, MSI_X_SIZE, MsiX } from '../pci/msi-x';
import { PciFunction, type PciIdentity } from '../pci/function';
import { LegacyPorts } from './legacy-ports';
import { ModernRegisters } from './modern-registers';
import { Common, DeviceStatus, Feature, NO_VECTOR, NOTIFY_MULTIPLIER, Place, Structure } from './virtio-registers';
import { Virtqueue } from './virtqueue';

const LEGACY_BAR = 0;
const MSI_X_BAR = 1;
const MODERN_BAR = 4;
const VENDOR_CAPABILITY = 0x09;
const ISR_QUEUE = 1;
const ISR_CONFIG = 2;

export interface VirtioOptions {
  readonly identity: PciIdentity;
  readonly ramSize: number;
  readonly features: bigint;
  readonly queueSize: number;
  /** Transitional: also the interface from before 1.0 */
  readonly legacy: boolean;
  /** The device's own configuration, read-only */
  readonly configuration: Uint8Array;
}

/**
 * A virtio device with one queue on PCI: the modern interface in BAR 4, the legacy one in BAR 0, MSI-X in BAR 1
 * (VIRTIO 1.2, 4.1). What a broken driver does ends in DEVICE_NEEDS_RESET.
 */
export abstract class VirtioFunction extends PciFunction {
  readonly queue: Virtqueue;
  readonly msiX: MsiX;
  private readonly registers = new ModernRegisters(this);
  status = 0;
  selectedQueue = 0;
  configVector = NO_VECTOR;
  accepted = 0n;
  private isr = 0;
  private readonly window: number;

  constructor(readonly options: VirtioOptions) {
    super(options.identity, options.ramSize);
    this.queue = new Virtqueue(options.queueSize, {
      read: (address, target) => this.dmaRead(address, target),
      write: (address, bytes) => this.dmaWrite(address, bytes),
    });
    const at = this.addCapability(MSI_X_CAPABILITY, MSI_X_SIZE);
    this.msiX = new MsiX(this.config, at, 2, MSI_X_BAR, (address, data) => this.sendMessage(address, data));
    if (options.legacy) this.addIoBar(LEGACY_BAR, new LegacyPorts(this));
    this.addMemoryBar(MSI_X_BAR, this.msiX.region);
    this.addMemoryBar(MODERN_BAR, this.registers, true);
    this.addStructure(Structure.COMMON, Place.COMMON, Common.END);
    this.addStructure(Structure.ISR, Place.ISR, 4);
    this.addStructure(Structure.DEVICE, Place.DEVICE, 0x1000);
    const notify = this.addStructure(Structure.NOTIFY, Place.NOTIFY, 0x1000, 20);
    this.config.define(notify + 16, 4, NOTIFY_MULTIPLIER);
    // The window through configuration space (4.1.4.9): BAR, offset and length are written by the driver.
    this.window = this.addStructure(Structure.PCI_CONFIGURATION, 0, 0, 20);
    this.config.define(this.window + 4, 1, 0, 0xff);
    this.config.define(this.window + 8, 4, 0, 0xffffffff);
    this.config.define(this.window + 12, 4, 0, 0xffffffff);
  }

  /** The driver has put work into the queue. */
  abstract notified(): void;
  /** The device is reset: what is under way is dropped. */
  protected abstract deviceReset(): void;

  get driverReady(): boolean {
    return (this.status & (DeviceStatus.DRIVER_OK | DeviceStatus.NEEDS_RESET)) === DeviceStatus.DRIVER_OK;
  }

  get eventIndex(): boolean {
    return (this.accepted & Feature.EVENT_INDEX) !== 0n;
  }

  setStatus(value: number): void {
    if (value === 0) {
      this.resetDevice();
      return;
    }
    let status = value | (this.status & DeviceStatus.NEEDS_RESET);
    // FEATURES_OK stays off when the driver asks for what is not offered, or leaves out what has to be.
    const turnsOn = (value & ~this.status & DeviceStatus.FEATURES_OK) !== 0;
    if (turnsOn && !this.featuresSuffice) status &= ~DeviceStatus.FEATURES_OK;
    this.status = status;
  }

  private get featuresSuffice(): boolean {
    // A driver without VERSION_1 is let be (6.2 leaves that to the device); one that ignores the IOMMU would only fail.
    const required = this.options.features & Feature.ACCESS_PLATFORM;
    return (this.accepted & ~this.options.features) === 0n && (this.accepted & required) === required;
  }

  /** Low 32 feature bits by the legacy interface, which knows no FEATURES_OK */
  acceptLegacy(bits: number): void {
    this.accepted = BigInt(bits >>> 0) & this.options.features;
  }

  notifyQueue(number: number): void {
    if (number === 0 && this.driverReady) this.notified();
  }

  /** The driver is told of used buffers. */
  protected interrupt(): void {
    if (this.msiX.enabled) this.msiX.raise(this.queue.vector);
    else this.raiseIsr(ISR_QUEUE);
  }

  protected needsReset(): void {
    const running = this.status & DeviceStatus.DRIVER_OK;
    this.status |= DeviceStatus.NEEDS_RESET;
    if (!running) return;
    if (this.msiX.enabled) this.msiX.raise(this.configVector);
    else this.raiseIsr(ISR_CONFIG);
  }

  readIsr(): number {
    const { isr } = this;
    this.isr = 0;
    this.setInterrupt(false);
    return isr;
  }

  private raiseIsr(bit: number): void {
    this.isr |= bit;
    this.setInterrupt(true);
  }

  private resetDevice(): void {
    this.status = 0;
    this.accepted = 0n;
    this.selectedQueue = 0;
    this.registers.reset();
    this.configVector = NO_VECTOR;
    this.isr = 0;
    this.setInterrupt(false);
    this.queue.reset();
    this.deviceReset();
  }

  // --- Modern interface ---

  private addStructure(type: number, offset: number, length: number, size = 16): number {
    const at = this.addCapability(VENDOR_CAPABILITY, size);
    this.config.define(at + 2, 1, size);
    this.config.define(at + 3, 1, type);
    this.config.define(at + 4, 1, MODERN_BAR);
    this.config.define(at + 8, 4, offset);
    this.config.define(at + 12, 4, length);
    return at;
  }

  readDevice(offset: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.options.configuration[offset + i] ?? 0) << (8 * i);
    return value >>> 0;
  }

  /** A vector that is not there reads back as none (4.1.5.1.2). */
  vectorOf(value: number): number {
    const vector = value & 0xffff;
    return vector < 2 ? vector : NO_VECTOR;
  }

  // --- Configuration space: MSI-X control, and the window to the BAR ---

  override readConfig(offset: number, size: number): number {
    const access = this.windowAccess(offset, size);
    return access === undefined ? super.readConfig(offset, size) : this.registers.read(access, size);
  }

  override writeConfig(offset: number, size: number, value: number): void {
    const access = this.windowAccess(offset, size);
    if (access === undefined) super.writeConfig(offset, size, value);
    else this.registers.write(access, size, value);
    this.msiX.controlChanged();
    if (this.msiX.enabled) this.setInterrupt(false);
  }

  /** Offset in BAR 4 that an access to the window's data reaches; undefined: it is none. */
  private windowAccess(offset: number, size: number): number | undefined {
    const data = this.window + 16;
    if (offset < data || offset >= data + 4) return undefined;
    const at = this.config.get32(this.window + 8);
    const length = this.config.get32(this.window + 12);
    const wrong = this.config.bytes[this.window + 4] !== MODERN_BAR || length !== size || at % size !== 0;
    return wrong || at + size > Place.END ? undefined : at;
  }

  override save(out: StateWriter): void {
    super.save(out);
    this.queue.save(out);
    this.msiX.save(out);
    this.registers.save(out);
    out.u64(this.accepted);
    for (const value of [
      this.status, this.selectedQueue, this.configVector, this.isr
    ]) out.u32(value >>> 0); // prettier-ignore
  }

  override restore(from: StateReader): void {
    super.restore(from);
    this.queue.restore(from);
    this.msiX.restore(from);
    this.registers.restore(from);
    this.accepted = from.u64();
    this.status = from.u32();
    this.selectedQueue = from.u32();
    this.configVector = from.u32();
    this.isr = from.u32();
  }
}
