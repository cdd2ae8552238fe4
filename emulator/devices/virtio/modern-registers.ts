import type { StateReader, StateWriter } from '../device';
import type { BarRegion } from '../pci/bar';
import type { VirtioFunction } from './virtio-function';
import { Common, DeviceStatus, NO_VECTOR, NOTIFY_MULTIPLIER, Place } from './virtio-registers';

/** The interface of VIRTIO 1.x in one BAR: common configuration, ISR, the device's configuration, notification. */
export class ModernRegisters implements BarRegion {
  readonly name = 'virtio';
  readonly size = Place.END;
  private deviceFeatureSelect = 0;
  private driverFeatureSelect = 0;

  constructor(private readonly device: VirtioFunction) {}

  reset(): void {
    this.deviceFeatureSelect = this.driverFeatureSelect = 0;
  }

  read(offset: number, size: number): number {
    const { device } = this;
    if (offset < Place.ISR) return this.readCommon(offset, size);
    if (offset < Place.DEVICE) return offset === Place.ISR ? device.readIsr() : 0;
    return offset < Place.NOTIFY ? device.readDevice(offset - Place.DEVICE, size) : 0;
  }

  write(offset: number, size: number, value: number): void {
    if (offset < Place.ISR) this.writeCommon(offset, size, value);
    else if (offset >= Place.NOTIFY) this.device.notifyQueue(Math.floor((offset - Place.NOTIFY) / NOTIFY_MULTIPLIER));
  }

  private readCommon(offset: number, size: number): number {
    const { queue } = this.device;
    const there = this.device.selectedQueue === 0;
    switch (offset) {
      case Common.DEVICE_FEATURE_SELECT:
        return this.deviceFeatureSelect;
      case Common.DEVICE_FEATURE:
        return featureWord(this.device.options.features, this.deviceFeatureSelect);
      case Common.DRIVER_FEATURE_SELECT:
        return this.driverFeatureSelect;
      case Common.DRIVER_FEATURE:
        return featureWord(this.device.accepted, this.driverFeatureSelect);
      case Common.CONFIG_VECTOR:
        return this.device.configVector | (size === 4 ? 1 << 16 : 0);
      case Common.QUEUES:
        return 1;
      case Common.STATUS:
        return this.device.status;
      case Common.QUEUE_SELECT:
        return this.device.selectedQueue;
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
    const { queue } = this.device;
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
        this.device.configVector = this.device.vectorOf(value);
        return;
      case Common.STATUS:
        this.device.setStatus(value & 0xff);
        return;
      case Common.QUEUE_SELECT:
        this.device.selectedQueue = value & 0xffff;
        return;
      default:
    }
    if (this.device.selectedQueue !== 0) return;
    switch (offset) {
      case Common.QUEUE_SIZE:
        // A power of two up to the most (2.7); while the queue runs it is fixed.
        if (!queue.enabled && value > 0 && value <= queue.maximum && (value & (value - 1)) === 0) queue.size = value;
        return;
      case Common.QUEUE_VECTOR:
        queue.vector = this.device.vectorOf(value);
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

  private acceptWord(value: number): void {
    // Fixed once the features are agreed on
    if (this.driverFeatureSelect > 1 || this.device.status & DeviceStatus.FEATURES_OK) return;
    const shift = BigInt(this.driverFeatureSelect * 32);
    this.device.accepted = (this.device.accepted & ~(0xffffffffn << shift)) | (BigInt(value >>> 0) << shift);
  }

  save(out: StateWriter): void {
    out.u32(this.deviceFeatureSelect >>> 0);
    out.u32(this.driverFeatureSelect >>> 0);
  }

  restore(from: StateReader): void {
    this.deviceFeatureSelect = from.u32();
    this.driverFeatureSelect = from.u32();
  }
}

const ADDRESSES = ['descriptors', 'available', 'used'] as const;

const featureWord = (features: bigint, select: number): number =>
  select > 1 ? 0 : Number((features >> BigInt(32 * select)) & 0xffffffffn);
