import type { StateReader, StateWriter } from '../device';
import type { InterruptLine } from '../interrupt-line';
import type { BarRegion } from '../pci/bar';
import { Command, ConfigRegister } from '../pci/config-space';
import { PciFunction } from '../pci/function';
import type { DeviceTiming, TimedDevice } from '../timed-device';
import { BusMaster } from './bus-master';
import { IdeChannel } from './ide-channel';

const IDE_TIMING = 0x40;
const DECODE_ENABLE = 0x8000;
/** IDETIM and SIDETIM: what may be written of the timing registers */
const TIMING_MASK = 0xf3ff;
const BUS_MASTER_BAR = 4;
const BUS_MASTER_PORTS = 16;
const CHANNEL_PORTS = 8;
const LEGACY = [
  { name: 'primary IDE channel', command: 0x1f0, control: 0x3f6, irq: 14 },
  { name: 'secondary IDE channel', command: 0x170, control: 0x376, irq: 15 },
] as const;

/**
 * The IDE controller: function 1 of Intel's 82371SB PIIX3 (data sheet 290550). Both channels at their legacy ports and
 * IRQs, bus-master registers in BAR 4. The timing registers keep what is written: a virtual disk has one speed.
 */
export class IdeController extends PciFunction implements TimedDevice {
  readonly name = 'IDE controller';
  readonly channels: readonly IdeChannel[];
  private readonly masters: readonly BusMaster[];

  constructor(ramSize: number, irq: (number: number) => InterruptLine, timing: DeviceTiming) {
    super({ vendor: 0x8086, device: 0x7010, revision: 0, classCode: 0x010180 }, ramSize);
    // The legacy ports are ports of this function.
    this.config.allow(ConfigRegister.COMMAND, Command.IO);
    // Firmware has switched both channels on.
    for (let i = 0; i < 2; i++) this.config.define(IDE_TIMING + 2 * i, 2, DECODE_ENABLE, DECODE_ENABLE | TIMING_MASK);
    this.config.define(IDE_TIMING + 4, 1, 0, 0xff);
    this.channels = LEGACY.map(
      (legacy, i) =>
        new IdeChannel({
          ...legacy,
          irq: irq(legacy.irq),
          ...timing,
          decoding: () =>
            (this.command & Command.IO) !== 0 && (this.config.get16(IDE_TIMING + 2 * i) & DECODE_ENABLE) !== 0,
        }),
    );
    const memory = {
      read: (address: bigint, target: Uint8Array) => this.dmaRead(address, target),
      write: (address: bigint, bytes: Uint8Array) => this.dmaWrite(address, bytes),
    };
    this.masters = this.channels.map((channel) => new BusMaster(channel, memory));
    this.addIoBar(BUS_MASTER_BAR, this.busMasterPorts());
  }

  nextDeadline(): number {
    let least = Infinity;
    for (const channel of this.channels) least = Math.min(least, channel.nextDeadline());
    return least;
  }

  advance(now: number): void {
    for (const channel of this.channels) channel.advance(now);
  }

  private busMasterPorts(): BarRegion {
    return {
      name: 'IDE bus master',
      size: BUS_MASTER_PORTS,
      read: (offset, size) => {
        let value = 0;
        for (let i = 0; i < size; i++) {
          const at = offset + i;
          value |= (this.masters[Math.floor(at / CHANNEL_PORTS)]?.read(at % CHANNEL_PORTS) ?? 0) << (8 * i);
        }
        return value >>> 0;
      },
      write: (offset, size, value) => {
        for (let i = 0; i < size; i++) {
          const at = offset + i;
          this.masters[Math.floor(at / CHANNEL_PORTS)]?.write(at % CHANNEL_PORTS, (value >>> (8 * i)) & 0xff);
        }
      },
    };
  }

  override save(out: StateWriter): void {
    super.save(out);
    for (const channel of this.channels) channel.save(out);
    for (const master of this.masters) master.save(out);
  }

  override restore(from: StateReader): void {
    super.restore(from);
    for (const channel of this.channels) channel.restore(from);
    for (const master of this.masters) master.restore(from);
  }
}
