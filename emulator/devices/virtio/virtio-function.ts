import type { StateReader, StateWriter } from '../device';
import type { BarRegion } from '../pci/bar';
import { MSI_X_CAPABILITY, MSI_X_SIZE, MsiX } from '../pci/msi-x';
import { PciFunction, type PciIdentity } from '../pci/function';
import { LegacyPorts } from './legacy-ports';
import { Common, DeviceStatus, Feature, NO_VECTOR, Place, Structure } from './virtio-registers';
import { Virtqueue } from './virtqueue';

const LEGACY_BAR = 0;
const MSI_X_BAR = 1;
const MODERN_BAR = 4;
const VENDOR_CAPABILITY = 0x09;
const ISR_QUEUE = 1;
const ISR_CONFIG = 2;
const NOTIFY_MULTIPLIER = 4;

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
  status = 0;
  selectedQueue = 0;
  configVector = NO_VECTOR;
  protected accepted = 0n;
  private deviceFeatureSelect = 0;
  private driverFeatureSelect = 0;
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
    this.addMemoryBar(MODERN_BAR, this.modern(), true);
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
    this.deviceFeatureSelect = this.driverFeatureSelect = this.selectedQueue = 0;
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

  private modern(): BarRegion {
    return {
      name: `${this.options.identity.device.toString(16)} virtio`,
      size: Place.END,
      read: (offset, size) => {
        if (offset < Place.ISR) return this.readCommon(offset, size);
        if (offset < Place.DEVICE) return offset === Place.ISR ? this.readIsr() : 0;
        return offset < Place.NOTIFY ? this.readDevice(offset - Place.DEVICE, size) : 0;
      },
      write: (offset, size, value) => {
        if (offset < Place.ISR) this.writeCommon(offset, size, value);
        else if (offset >= Place.NOTIFY) this.notifyQueue(Math.floor((offset - Place.NOTIFY) / NOTIFY_MULTIPLIER));
      },
    };
  }

  readDevice(offset: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.options.configuration[offset + i] ?? 0) << (8 * i);
    return value >>> 0;
  }

  private readCommon(offset: number, size: number): number {
    const { queue } = this;
    const there = this.selectedQueue === 0;
    switch (offset) {
      case Common.DEVICE_FEATURE_SELECT:
        return this.deviceFeatureSelect;
      case Common.DEVICE_FEATURE:
        return featureWord(this.options.features, this.deviceFeatureSelect);
      case Common.DRIVER_FEATURE_SELECT:
        return this.driverFeatureSelect;
      case Common.DRIVER_FEATURE:
        return featureWord(this.accepted, this.driverFeatureSelect);
      case Common.CONFIG_VECTOR:
        return this.configVector | (size === 4 ? 1 << 16 : 0);
      case Common.QUEUES:
        return 1;
      case Common.STATUS:
        return this.status;
      case Common.QUEUE_SELECT:
        return this.selectedQueue;
      case Common.QUEUE_SIZE:
        return there ? queue.size : 0;
      case Common.QUEUE_VECTOR:
        return there ? queue.vector : NO_VECTOR;
      case Common.QUEUE_ENABLE:
        return Number(there && queue.enabled);
      case Common.QUEUE_DESCRIPTORS:
      case Common.QUEUE_DRIVER:
      case Common.QUEUE_DEVICE:
      case Common.QUEUE_DESCRIPTORS + 4:
      case Common.QUEUE_DRIVER + 4:
      case Common.QUEUE_DEVICE + 4: {
        const name = ADDRESSES[(offset - Common.QUEUE_DESCRIPTORS) >> 3] ?? 'descriptors';
        return there ? Number((queue[name] >> (offset & 4 ? 32n : 0n)) & 0xffffffffn) : 0;
      }
      default:
        return 0;
    }
  }

  private writeCommon(offset: number, size: number, value: number): void {
    const { queue } = this;
    switch (offset) {
      case Common.DEVICE_FEATURE_SELECT:
        this.deviceFeatureSelect = value;
        return;
      case Common.DRIVER_FEATURE_SELECT:
        this.driverFeatureSelect = value;
        return;
      case Common.DRIVER_FEATURE:
        this.acceptWord(value);
        return;
      case Common.CONFIG_VECTOR:
        this.configVector = this.vectorOf(value);
        return;
      case Common.STATUS:
        this.setStatus(value & 0xff);
        return;
      case Common.QUEUE_SELECT:
        this.selectedQueue = value & 0xffff;
        return;
      default:
    }
    if (this.selectedQueue !== 0) return;
    switch (offset) {
      case Common.QUEUE_SIZE:
        // A power of two up to the most (2.7); while the queue runs it is fixed.
        if (!queue.enabled && value > 0 && value <= queue.maximum && (value & (value - 1)) === 0) queue.size = value;
        return;
      case Common.QUEUE_VECTOR:
        queue.vector = this.vectorOf(value);
        return;
      case Common.QUEUE_ENABLE:
        if (value & 1) queue.enabled = true;
        return;
      case Common.QUEUE_DESCRIPTORS:
      case Common.QUEUE_DRIVER:
      case Common.QUEUE_DEVICE:
      case Common.QUEUE_DESCRIPTORS + 4:
      case Common.QUEUE_DRIVER + 4:
      case Common.QUEUE_DEVICE + 4: {
        if (size !== 4 || queue.enabled) return;
        const name = ADDRESSES[(offset - Common.QUEUE_DESCRIPTORS) >> 3] ?? 'descriptors';
        const word = BigInt(value >>> 0);
        queue[name] = offset & 4 ? (queue[name] & 0xffffffffn) | (word << 32n) : (queue[name] & ~0xffffffffn) | word;
        return;
      }
      default:
    }
  }

  /** A vector that is not there reads back as none (4.1.5.1.2). */
  vectorOf(value: number): number {
    const vector = value & 0xffff;
    return vector < 2 ? vector : NO_VECTOR;
  }

  private acceptWord(value: number): void {
    // Fixed once the features are agreed on
    if (this.driverFeatureSelect > 1 || this.status & DeviceStatus.FEATURES_OK) return;
    const shift = BigInt(this.driverFeatureSelect * 32);
    this.accepted = (this.accepted & ~(0xffffffffn << shift)) | (BigInt(value >>> 0) << shift);
  }

  // --- Configuration space: MSI-X control, and the window to the BAR ---

  override readConfig(offset: number, size: number): number {
    const access = this.windowAccess(offset, size);
    return access === undefined ? super.readConfig(offset, size) : this.modernRegion.read(access, size);
  }

  override writeConfig(offset: number, size: number, value: number): void {
    const access = this.windowAccess(offset, size);
    if (access === undefined) super.writeConfig(offset, size, value);
    else this.modernRegion.write(access, size, value);
    this.msiX.controlChanged();
    if (this.msiX.enabled) this.setInterrupt(false);
  }

  private get modernRegion(): BarRegion {
    const bar = this.memoryBars[1];
    if (!bar) throw new Error('a virtio function has its modern BAR');
    return bar.region;
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
    out.u64(this.accepted);
    for (const value of [
      this.status, this.selectedQueue, this.configVector, this.deviceFeatureSelect, this.driverFeatureSelect, this.isr,
    ]) out.u32(value >>> 0); // prettier-ignore
  }

  override restore(from: StateReader): void {
    super.restore(from);
    this.queue.restore(from);
    this.msiX.restore(from);
    this.accepted = from.u64();
    this.status = from.u32();
    this.selectedQueue = from.u32();
    this.configVector = from.u32();
    this.deviceFeatureSelect = from.u32();
    this.driverFeatureSelect = from.u32();
    this.isr = from.u32();
  }
}

const ADDRESSES = ['descriptors', 'available', 'used'] as const;

const featureWord = (features: bigint, select: number): number =>
  select > 1 ? 0 : Number((features >> BigInt(32 * select)) & 0xffffffffn);
