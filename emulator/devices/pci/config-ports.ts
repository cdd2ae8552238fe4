import type { PortRange } from '../../memory/bus';
import type { Device, StateReader, StateWriter } from '../device';
import type { PciBus } from './bus';

const ADDRESS = 0xcf8;
const DATA = 0xcfc;
const ENABLE = 0x80000000;
/** Reserved bits of CONFIG_ADDRESS read as zero: 30:24 and 1:0. */
const ADDRESS_MASK = 0x80fffffc;

/**
 * Configuration mechanism 1 (PCI Local Bus Specification 3.0, 3.2.2.3.2). CONFIG_ADDRESS answers only to whole
 * doublewords; narrower accesses to its ports pass on to whatever else is there (nothing).
 */
export class ConfigPorts implements PortRange, Device {
  readonly name = 'PCI configuration';
  readonly first = ADDRESS;
  readonly count = 8;
  private address = 0;

  constructor(private readonly bus: PciBus) {}

  read(port: number, size: number): number {
    if (port < DATA) return port === ADDRESS && size === 4 ? this.address : ones(size);
    if (!(this.address & ENABLE)) return ones(size);
    return this.bus.readConfig(this.number, this.offset + (port - DATA), size);
  }

  write(port: number, size: number, value: number): void {
    if (port < DATA) {
      if (port === ADDRESS && size === 4) this.address = (value & ADDRESS_MASK) >>> 0;
    } else if (this.address & ENABLE) {
      this.bus.writeConfig(this.number, this.offset + (port - DATA), size, value);
    }
  }

  save(out: StateWriter): void {
    out.u32(this.address);
  }

  restore(from: StateReader): void {
    this.address = from.u32();
  }

  private get number(): number {
    return (this.address >>> 8) & 0xffff;
  }

  private get offset(): number {
    return this.address & 0xfc;
  }
}

const ones = (size: number): number => 0xffffffff >>> (32 - 8 * size);
