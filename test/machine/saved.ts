import { StateReader, StateWriter, type Device } from '../../emulator/devices/device';

/** The saved state of a device */
export function saved(device: Device): Uint8Array {
  const out = new StateWriter();
  device.save(out);
  return out.finish();
}

/** Puts the state of one device into another, which then has the same. */
export function copyState(from: Device, to: Device): void {
  to.restore(new StateReader(saved(from)));
}

/** A wire that remembers its level and how often it rose. */
export class Wire {
  level = false;
  rises = 0;
  set(asserted: boolean): void {
    if (asserted && !this.level) this.rises++;
    this.level = asserted;
  }
}
