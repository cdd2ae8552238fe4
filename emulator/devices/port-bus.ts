import type { PortAccess } from '../cpu/processor';
import type { PortRange } from '../memory/bus';

const PORTS = 0x10000;

/**
 * Routes I/O port accesses to devices. Ports that no device claims read as all ones and swallow writes, as an
 * undriven ISA bus does. An access that does not lie in one range is made as single bytes, lowest port first.
 */
export class PortBus implements PortAccess {
  /** Takes ports that no range claims: those that PCI functions decode where software puts them */
  unclaimed: PortAccess | undefined;
  /** Called after every access */
  accessed: (() => void) | undefined;
  /** Index into `ranges` plus one, for each port; 0 = unassigned */
  private readonly owner = new Uint8Array(PORTS);
  private readonly ranges: PortRange[] = [];
  private readonly inner = new Set<PortRange>();

  /** @throws Error when a port already belongs to another device: a mistake in the board, not in the guest */
  addRange(range: PortRange): void {
    for (let port = range.first; port < range.first + range.count; port++) {
      const other = this.at(port);
      if (other && !this.inner.has(other))
        throw new Error(`port 0x${port.toString(16)} belongs to ${other.name} and ${range.name}`);
    }
    this.ranges.push(range);
    for (let port = range.first; port < range.first + range.count; port++) {
      if (!this.at(port)) this.owner[port] = this.ranges.length;
    }
  }

  /**
   * A register inside the ports of a device with wider registers, which keeps every access that begins with its own:
   * reset control (0xcf9) inside CONFIG_ADDRESS (0xcf8).
   */
  addInside(range: PortRange): void {
    this.inner.add(range);
    this.ranges.push(range);
    this.owner.fill(this.ranges.length, range.first, range.first + range.count);
  }

  read(port: number, size: number): number {
    const value = this.readPort(port, size);
    this.accessed?.();
    return value;
  }

  write(port: number, size: number, value: number): void {
    this.writePort(port, size, value);
    this.accessed?.();
  }

  private readPort(port: number, size: number): number {
    const range = this.at(port);
    if (!range && this.unclaimed) return this.unclaimed.read(port, size);
    if (size === 1 || (range && port + size <= range.first + range.count)) {
      return range ? (range.read(port, size) & (0xffffffff >>> (32 - size * 8))) >>> 0 : 0xff;
    }
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readPort((port + i) & 0xffff, 1) << (8 * i);
    return value >>> 0;
  }

  private writePort(port: number, size: number, value: number): void {
    const range = this.at(port);
    if (!range && this.unclaimed) {
      this.unclaimed.write(port, size, value >>> 0);
      return;
    }
    if (size === 1 || (range && port + size <= range.first + range.count)) {
      range?.write(port, size, (value & (0xffffffff >>> (32 - size * 8))) >>> 0);
      return;
    }
    for (let i = 0; i < size; i++) this.writePort((port + i) & 0xffff, 1, (value >>> (8 * i)) & 0xff);
  }

  private at(port: number): PortRange | undefined {
    return this.ranges[(this.owner[port & 0xffff] ?? 0) - 1];
  }
}

/**
 * A device with 8-bit registers: wider accesses become byte cycles on consecutive ports, as on the ISA bus.
 */
export abstract class BytePorts implements PortRange {
  abstract readonly name: string;
  abstract readonly first: number;
  abstract readonly count: number;
  protected abstract readByte(port: number): number;
  protected abstract writeByte(port: number, value: number): void;

  read(port: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readByte(port + i) << (8 * i);
    return value >>> 0;
  }

  write(port: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) this.writeByte(port + i, (value >>> (8 * i)) & 0xff);
  }
}
