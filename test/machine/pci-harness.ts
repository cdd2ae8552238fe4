import type { ApicMessage } from '../../emulator/devices/apic-bus';
import { StateReader, StateWriter } from '../../emulator/devices/device';
import { PortBus } from '../../emulator/devices/port-bus';
import { memorySource } from '../../emulator/devices/storage/block-source';
import type { DiskConfiguration, MachineConfiguration } from '../../emulator/machine/api';
import { PciBoard } from '../../emulator/machine/pci-board';
import { RAM_BASE } from '../../emulator/memory/layout';
import { MachineMemory } from '../../emulator/memory/machine-memory';
import { PhysicalMemory } from '../../emulator/memory/physical';
import type { DmaRecord } from '../../emulator/cpu/taps';

/** The PCI part of the board without processors: a test makes the accesses, and moves the clock. */
export class PciHarness {
  readonly memory = new MachineMemory(4 << 20);
  readonly physical = new PhysicalMemory(this.memory);
  readonly ports = new PortBus();
  readonly irqs = new Uint8Array(16);
  readonly messages: { source: number; address: bigint; data: number }[] = [];
  /** What reached the local APICs' bus from the IOMMU */
  readonly delivered: ApicMessage[] = [];
  readonly dma: DmaRecord[] = [];
  readonly changed: { at: number; size: number }[] = [];
  readonly pci: PciBoard;
  clock = 0;

  constructor(configuration: Partial<MachineConfiguration> = {}) {
    this.pci = new PciBoard(
      {
        physical: this.physical,
        ports: this.ports,
        irq: (number) => ({ set: (asserted) => (this.irqs[number] = Number(asserted)) }),
        messages: { send: (source, address, data) => this.messages.push({ source, address, data }) },
        apics: { deliver: (message) => this.delivered.push(message) > 0 },
        clock: () => this.clock,
        ramChanged: (at, size) => this.changed.push({ at: at - RAM_BASE, size }),
        taps: { dma: (record) => this.dma.push(record) },
      },
      configuration as MachineConfiguration,
    );
  }

  /** Moves the clock until nothing is due any more. */
  settle(): void {
    for (let i = 0; i < 1000; i++) {
      const next = this.pci.nextDeadline();
      if (next === Infinity) return;
      this.clock = Math.max(this.clock, next);
      this.pci.advance(this.clock);
    }
    throw new Error('the devices never come to rest');
  }

  in(port: number, size = 1): number {
    return this.ports.read(port, size);
  }

  out(port: number, value: number, size = 1): void {
    this.ports.write(port, size, value);
  }

  config(device: number, number: number, offset: number, size = 4): number {
    this.out(0xcf8, (0x80000000 | (device << 11) | (number << 8) | (offset & 0xfc)) >>> 0, 4);
    return this.in(0xcfc + (offset & 3), size);
  }

  setConfig(device: number, number: number, offset: number, value: number, size = 4): void {
    this.out(0xcf8, (0x80000000 | (device << 11) | (number << 8) | (offset & 0xfc)) >>> 0, 4);
    this.out(0xcfc + (offset & 3), value, size);
  }

  ram(address: number, length: number): Uint8Array {
    return this.memory.u8.slice(RAM_BASE + address, RAM_BASE + address + length);
  }

  poke(address: number, bytes: Uint8Array | readonly number[]): void {
    this.memory.u8.set(bytes, RAM_BASE + address);
  }

  poke32(address: number, ...values: number[]): void {
    values.forEach((value, i) => this.memory.view.setUint32(RAM_BASE + address + 4 * i, value, true));
  }

  poke64(address: number, ...values: bigint[]): void {
    values.forEach((value, i) =>
      this.memory.view.setBigUint64(RAM_BASE + address + 8 * i, BigInt.asUintN(64, value), true),
    );
  }

  peek32(address: number): number {
    return this.memory.view.getUint32(RAM_BASE + address, true);
  }

  save(): Uint8Array {
    const out = new StateWriter();
    this.pci.save(out);
    return out.finish();
  }

  restore(saved: Uint8Array): void {
    this.pci.restore(new StateReader(saved));
  }
}

/** A disk whose every sector says which one it is: byte i of sector n is (n * 7 + i) & 0xff. */
export function patternBytes(sectors: number): Uint8Array {
  const bytes = new Uint8Array(sectors * 512);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(i / 512) * 7 + (i % 512);
  return bytes;
}

export function disk(
  bytes: Uint8Array,
  kind: DiskConfiguration['interface'] = 'ide',
  more: Partial<DiskConfiguration> = {},
): DiskConfiguration {
  return { name: 'test.img', source: memorySource(bytes), interface: kind, ...more };
}

/** Deterministic random numbers (xorshift); a fuzz test prints its seed. */
export class Random {
  constructor(private state: number) {}

  next(limit: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % limit;
  }

  u32(): number {
    this.next(1);
    return this.state >>> 0;
  }
}
