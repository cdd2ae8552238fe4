import type { StateReader, StateWriter } from '../device';
import { AtaControl, AtaDevice, AtaRegister } from './ata-registers';

/**
 * The registers of a channel that carry a command's parameters. Each of the five is two deep: a write pushes the
 * older value down, where 48-bit commands and the HOB bit find it (ATA-6, 6.20). Both devices of a channel hear every
 * write, so there is one set.
 */
export class TaskFile {
  features = 0;
  error = 0;
  count = 0;
  low = 0;
  mid = 0;
  high = 0;
  device: number = AtaDevice.OBSOLETE;
  control = 0;
  private readonly older = new Uint8Array(8);

  get second(): boolean {
    return (this.device & AtaDevice.SECOND) !== 0;
  }

  read(register: AtaRegister): number {
    if (this.control & AtaControl.HIGH_ORDER && register >= AtaRegister.Count && register <= AtaRegister.LbaHigh) {
      return this.older[register] ?? 0;
    }
    switch (register) {
      case AtaRegister.Error:
        return this.error;
      case AtaRegister.Count:
        return this.count;
      case AtaRegister.LbaLow:
        return this.low;
      case AtaRegister.LbaMid:
        return this.mid;
      case AtaRegister.LbaHigh:
        return this.high;
      case AtaRegister.Device:
        return this.device;
      default:
        return 0;
    }
  }

  write(register: AtaRegister, value: number): void {
    // Any write to the command block clears HOB.
    this.control &= ~AtaControl.HIGH_ORDER;
    switch (register) {
      case AtaRegister.Error:
        this.older[register] = this.features;
        this.features = value;
        break;
      case AtaRegister.Count:
        this.older[register] = this.count;
        this.count = value;
        break;
      case AtaRegister.LbaLow:
        this.older[register] = this.low;
        this.low = value;
        break;
      case AtaRegister.LbaMid:
        this.older[register] = this.mid;
        this.mid = value;
        break;
      case AtaRegister.LbaHigh:
        this.older[register] = this.high;
        this.high = value;
        break;
      case AtaRegister.Device:
        this.device = value | AtaDevice.OBSOLETE;
        break;
      default:
    }
  }

  /** What a device without the packet feature shows after reset (ATA-6, 9.12) */
  signature(): void {
    this.error = 1;
    this.count = this.low = 1;
    this.mid = this.high = 0;
    this.device = AtaDevice.OBSOLETE;
    this.older.fill(0);
  }

  /** Sectors that the command asks for; 0 in the register stands for the most. */
  sectorCount(extended: boolean): number {
    if (!extended) return this.count || 256;
    return ((this.older[AtaRegister.Count] ?? 0) << 8) | this.count || 65536;
  }

  /** The address in the registers, as LBA; -1: a cylinder, head or sector that this geometry does not have */
  address(extended: boolean, heads: number, sectors: number): number {
    const low24 = (this.high << 16) | (this.mid << 8) | this.low;
    if (extended) {
      const { older } = this;
      const high24 =
        ((older[AtaRegister.LbaHigh] ?? 0) << 16) |
        ((older[AtaRegister.LbaMid] ?? 0) << 8) |
        (older[AtaRegister.LbaLow] ?? 0);
      return high24 * 0x1000000 + low24;
    }
    const head = this.device & AtaDevice.HEAD;
    if (this.device & AtaDevice.LBA) return head * 0x1000000 + low24;
    const cylinder = (this.high << 8) | this.mid;
    if (this.low === 0 || this.low > sectors || head >= heads) return -1;
    return (cylinder * heads + head) * sectors + this.low - 1;
  }

  /** Puts an address back, as a device does for the sector that failed or was the last. */
  setAddress(lba: number, extended: boolean, heads: number, sectors: number): void {
    if (!extended && !(this.device & AtaDevice.LBA)) {
      const track = Math.floor(lba / sectors);
      this.low = (lba % sectors) + 1;
      this.device = (this.device & ~AtaDevice.HEAD) | (track % heads);
      const cylinder = Math.floor(track / heads);
      this.mid = cylinder & 0xff;
      this.high = (cylinder >>> 8) & 0xff;
      return;
    }
    this.low = lba & 0xff;
    this.mid = (lba >>> 8) & 0xff;
    this.high = (lba >>> 16) & 0xff;
    const top = Math.floor(lba / 0x1000000);
    if (!extended) this.device = (this.device & ~AtaDevice.HEAD) | (top & AtaDevice.HEAD);
    else {
      this.older[AtaRegister.LbaLow] = top & 0xff;
      this.older[AtaRegister.LbaMid] = (top >>> 8) & 0xff;
      this.older[AtaRegister.LbaHigh] = (top >>> 16) & 0xff;
    }
  }

  save(out: StateWriter): void {
    for (const value of [
      this.features, this.error, this.count, this.low, this.mid, this.high, this.device, this.control,
    ]) out.u8(value); // prettier-ignore
    out.blob(this.older);
  }

  restore(from: StateReader): void {
    this.features = from.u8();
    this.error = from.u8();
    this.count = from.u8();
    this.low = from.u8();
    this.mid = from.u8();
    this.high = from.u8();
    this.device = from.u8();
    this.control = from.u8();
    this.older.set(from.blob());
  }
}
