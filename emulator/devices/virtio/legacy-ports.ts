import type { BarRegion } from '../pci/bar';
import type { VirtioFunction } from './virtio-function';
import { Legacy, NO_VECTOR } from './virtio-registers';

/** The interface of virtio before 1.0 (VIRTIO 1.2, 4.1.4.8): all of it in one block of ports. */
export class LegacyPorts implements BarRegion {
  readonly name = 'virtio legacy';
  readonly size = 128;
  constructor(private readonly device: VirtioFunction) {}

  read(offset: number, size: number): number {
    const { device } = this;
    const there = device.selectedQueue === 0;
    const start = this.deviceStart;
    if (offset >= start) return device.readDevice(offset - start, size);
    switch (offset) {
      case Legacy.DEVICE_FEATURES:
        return Number(device.options.features & 0xffffffffn);
      case Legacy.QUEUE_PAGE:
        return there && device.queue.enabled ? Number(device.queue.descriptors >> 12n) : 0;
      case Legacy.QUEUE_SIZE:
        return there ? device.queue.maximum : 0;
      case Legacy.QUEUE_SELECT:
        return device.selectedQueue;
      case Legacy.STATUS:
        return device.status;
      case Legacy.ISR:
        return device.readIsr();
      case Legacy.CONFIG_VECTOR:
        return device.configVector;
      case Legacy.QUEUE_VECTOR:
        return there ? device.queue.vector : NO_VECTOR;
      default:
        return 0;
    }
  }

  write(offset: number, _size: number, value: number): void {
    const { device } = this;
    if (offset >= this.deviceStart) return;
    switch (offset) {
      case Legacy.DRIVER_FEATURES:
        device.acceptLegacy(value);
        break;
      case Legacy.QUEUE_PAGE:
        if (device.selectedQueue === 0) device.queue.placeLegacy(value >>> 0);
        break;
      case Legacy.QUEUE_SELECT:
        device.selectedQueue = value & 0xffff;
        break;
      case Legacy.QUEUE_NOTIFY:
        device.notifyQueue(value & 0xffff);
        break;
      case Legacy.STATUS:
        device.setStatus(value & 0xff);
        break;
      case Legacy.CONFIG_VECTOR:
        device.configVector = device.vectorOf(value);
        break;
      case Legacy.QUEUE_VECTOR:
        if (device.selectedQueue === 0) device.queue.vector = device.vectorOf(value);
        break;
      default:
    }
  }

  private get deviceStart(): number {
    return this.device.msiX.enabled ? Legacy.DEVICE_WITH_VECTORS : Legacy.DEVICE;
  }
}
