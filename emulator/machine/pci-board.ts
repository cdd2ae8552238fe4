import type { Taps } from '../cpu/taps';
import { DmaBus } from '../devices/dma/dma-bus';
import type { AcpiTableSource } from '../devices/acpi-table';
import type { Device, StateReader, StateWriter } from '../devices/device';
import type { InterruptLine } from '../devices/interrupt-line';
import type { InterruptMessageSink } from '../devices/interrupt-message';
import { AtaDrive } from '../devices/ide/ata-drive';
import { IdeController } from '../devices/ide/ide-controller';
import { dmarTable } from '../devices/iommu/dmar-table';
import type { ApicBusPort } from '../devices/iommu/interrupt-remapping';
import { Iommu } from '../devices/iommu/iommu';
import { PciBus } from '../devices/pci/bus';
import { Command, ConfigRegister } from '../devices/pci/config-space';
import { ConfigPorts } from '../devices/pci/config-ports';
import { Ecam } from '../devices/pci/ecam';
import type { PciFunction } from '../devices/pci/function';
import { HostBridge } from '../devices/pci/host-bridge';
import { IsaBridge } from '../devices/pci/isa-bridge';
import type { PortBus } from '../devices/port-bus';
import { VirtioBlock } from '../devices/virtio/virtio-block';
import { SECTOR, Volume } from '../devices/storage/volume';
import type { DeviceTiming, TimedDevice } from '../devices/timed-device';
import type { PhysicalMemory } from '../memory/physical';
import { MachineError, type DiskConfiguration, type MachineConfiguration } from './api';

/** Where firmware would have put the BARs: ports as on QEMU, memory between RAM's highest end and ECAM */
const FIRST_PORT = 0xc000;
const FIRST_MEMORY = 0xd0000000;
const IDE_DISKS = 4;
/** Device numbers of virtio disks */
const FIRST_SLOT = 4;
const SLOTS = 32;

export interface PciBoardWiring {
  readonly physical: PhysicalMemory;
  readonly ports: PortBus;
  /** Input of the interrupt controllers */
  readonly irq: (number: number) => InterruptLine;
  /** Where interrupt messages end that nothing remaps */
  readonly messages: InterruptMessageSink;
  readonly apics: ApicBusPort;
  readonly clock: () => number;
  readonly ramChanged: (wasmAddress: number, size: number) => void;
  readonly taps: Taps;
}

/**
 * The PCI half of the board: bus 0 with host bridge, ISA bridge, IDE and the disks. It stands as firmware leaves it:
 * BARs placed, decoding on, interrupt lines written; mastering the bus is left to drivers.
 */
export class PciBoard implements Device, TimedDevice {
  readonly name = 'PCI';
  readonly bus: PciBus;
  readonly iommu: Iommu | undefined;
  /** Where interrupt messages begin: the I/O APIC's too */
  readonly messages: InterruptMessageSink;
  readonly dma: DmaBus;
  /** In the order of the configuration */
  readonly volumes: Volume[] = [];
  private readonly timed: TimedDevice[] = [];
  private readonly devices: Device[] = [];
  /** The answer of `nextDeadline`, which is asked for all the time; stale after a device changed its own */
  private earliest = Infinity;
  private stale = true;
  private readonly ramSize: number;
  private nextPort = FIRST_PORT;
  private nextMemory = FIRST_MEMORY;

  constructor(wiring: PciBoardWiring, configuration: MachineConfiguration) {
    const { physical, irq } = wiring;
    const { ramSize } = physical.memory;
    this.ramSize = ramSize;
    const { apics, ramChanged, messages: direct } = wiring;
    this.iommu = configuration.iommu ? new Iommu({ physical, ramChanged, apics, direct }) : undefined;
    this.messages = this.iommu?.interrupts ?? direct;
    this.dma = new DmaBus({ physical, messages: this.messages, taps: wiring.taps, codeWritten: ramChanged });
    if (this.iommu) {
      physical.addRange(this.iommu);
      this.dma.remapper = this.iommu.dma;
      this.devices.push(this.iommu);
    }
    this.bus = new PciBus({
      ramSize,
      addMemory: (range) => physical.addRange(range),
      dma: (requester) => this.dma.port(requester),
      messages: this.messages,
    });
    const config = new ConfigPorts(this.bus);
    const timing: DeviceTiming = { clock: wiring.clock, deadlineChanged: () => (this.stale = true) };
    const router = new IsaBridge(ramSize, irq);
    const ide = new IdeController(ramSize, irq, timing);
    this.place(0, 0, new HostBridge(ramSize));
    this.place(1, 0, router);
    this.place(1, 1, ide);
    this.bus.routePins(router);
    this.attachDisks(ide, configuration.disks ?? [], timing);
    for (const channel of ide.channels) {
      wiring.ports.addRange(channel.commandPorts);
      wiring.ports.addRange(channel.controlPort);
    }
    wiring.ports.addRange(config);
    wiring.ports.unclaimed = this.bus;
    physical.addRange(new Ecam(this.bus));
    this.timed.push(ide);
    // Pins are driven when the functions are back: the router is restored last.
    this.devices.push(config, ...this.bus.functions.filter((one) => one !== router), router);
  }

  /** @param ioApicId as the MADT has it */
  acpiTables(ioApicId: number): readonly AcpiTableSource[] {
    return this.iommu ? [dmarTable(ioApicId)] : [];
  }

  nextDeadline(): number {
    if (this.stale) {
      this.stale = false;
      this.earliest = Infinity;
      for (const device of this.timed) this.earliest = Math.min(this.earliest, device.nextDeadline());
    }
    return this.earliest;
  }

  advance(now: number): void {
    for (const device of this.timed) device.advance(now);
  }

  save(out: StateWriter): void {
    for (const device of this.devices) device.save(out);
  }

  restore(from: StateReader): void {
    for (const device of this.devices) device.restore(from);
  }

  private place(device: number, number: number, added: PciFunction): void {
    this.bus.add(device, number, added);
    for (const bar of added.ioBars) {
      const { size } = bar.region;
      this.nextPort = Math.ceil(this.nextPort / size) * size;
      bar.place(this.nextPort);
      this.nextPort += size;
    }
    for (const bar of added.memoryBars) {
      const size = Math.max(bar.region.size, 4096);
      this.nextMemory = Math.ceil(this.nextMemory / size) * size;
      bar.place(this.nextMemory);
      this.nextMemory += size;
    }
    added.writeConfig(ConfigRegister.COMMAND, 2, Command.IO | Command.MEMORY);
    if (added.pin !== 0) added.writeConfig(ConfigRegister.INTERRUPT_LINE, 1, IsaBridge.firmwareLine(device, added.pin));
  }

  private attachDisks(ide: IdeController, disks: readonly DiskConfiguration[], timing: DeviceTiming): void {
    let used = 0;
    let slot = FIRST_SLOT;
    for (const [index, disk] of disks.entries()) {
      const volume = volumeOf(disk);
      this.volumes.push(volume);
      if (disk.interface === 'virtio') {
        if (slot === SLOTS) throw new MachineError(`disks: there is no PCI slot left for ${disk.name}.`);
        const added = new VirtioBlock(this.ramSize, volume, timing, index + 1, this.iommu !== undefined);
        this.place(slot++, 0, added);
        this.timed.push(added);
        continue;
      }
      if (used === IDE_DISKS) {
        throw new MachineError(
          `disks: ${disk.name} is the fifth disk with interface "ide", and IDE has room for four. Use "virtio" for it.`,
        );
      }
      ide.channels[used >> 1]?.attach((used & 1) as 0 | 1, new AtaDrive(volume, used + 1));
      used++;
    }
  }
}

function volumeOf({ name, source, readOnly = false, write = 'copy-on-write' }: DiskConfiguration): Volume {
  if (source.size === 0)
    throw new MachineError(`disks: ${name} is empty. A disk needs at least one sector of 512 bytes.`);
  const through = write === 'through';
  if (through && !readOnly && !source.write) {
    throw new MachineError(`disks: ${name} cannot be written. Leave "write" away to keep what is written in memory.`);
  }
  const rest = source.size % SECTOR;
  if (through && !readOnly && rest !== 0) {
    throw new MachineError(
      `disks: ${name} cannot be written through: its ${source.size} bytes are no whole number of sectors, and the end of the last one had no place in it. Lengthen it to ${source.size - rest + SECTOR} bytes, or leave "write" away.`,
    );
  }
  return new Volume(name, source, readOnly, through && !readOnly);
}
