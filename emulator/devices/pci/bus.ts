import type { PortAccess } from '../../cpu/processor';
import type { MmioRange } from '../../memory/bus';
import type { DmaPort } from '../dma-port';
import type { InterruptMessageSink } from '../interrupt-message';
import { Command } from './config-space';
import type { PciFunction } from './function';

export interface PciBusWiring {
  readonly ramSize: number;
  /** Puts a memory BAR on the physical bus; its base and size move as software says. */
  readonly addMemory: (range: MmioRange) => void;
  /** The way to memory for a requester ID */
  readonly dma: (requester: number) => DmaPort;
  readonly messages: InterruptMessageSink;
}

/** Where INTx pins go. */
export interface PinRouter {
  /** Some function's pin changed: look at all of them. */
  pinsChanged(functions: readonly PciFunction[]): void;
}

const NO_FUNCTION = 0xffffffff;

/** PCI bus 0: its functions, their configuration, ports and pins. */
export class PciBus implements PortAccess {
  readonly functions: PciFunction[] = [];
  private readonly byNumber = new Map<number, PciFunction>();
  private router: PinRouter | undefined;

  constructor(private readonly wiring: PciBusWiring) {}

  add(device: number, number: number, added: PciFunction): void {
    const requester = (device << 3) | number;
    this.functions.push(added);
    this.byNumber.set(requester, added);
    added.attach({
      requester,
      ramSize: this.wiring.ramSize,
      dma: this.wiring.dma(requester),
      messages: this.wiring.messages,
      pinChanged: () => this.router?.pinsChanged(this.functions),
    });
    for (const bar of added.memoryBars) this.wiring.addMemory(bar);
  }

  routePins(router: PinRouter): void {
    this.router = router;
  }

  /** @param number bus << 8 | device << 3 | function */
  readConfig(number: number, offset: number, size: number): number {
    const found = this.byNumber.get(number);
    return found ? found.readConfig(offset, size) : NO_FUNCTION >>> (32 - 8 * size);
  }

  writeConfig(number: number, offset: number, size: number, value: number): void {
    this.byNumber.get(number)?.writeConfig(offset, size, value);
  }

  // --- Ports that no ISA device claims: the I/O BARs ---

  read(port: number, size: number): number {
    const bar = this.ioBar(port, size);
    if (bar) return bar.region.read(port - bar.base, size);
    if (size === 1) return 0xff;
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.read((port + i) & 0xffff, 1) << (8 * i);
    return value >>> 0;
  }

  write(port: number, size: number, value: number): void {
    const bar = this.ioBar(port, size);
    if (bar) bar.region.write(port - bar.base, size, value);
    else if (size > 1) for (let i = 0; i < size; i++) this.write((port + i) & 0xffff, 1, (value >>> (8 * i)) & 0xff);
  }

  private ioBar(port: number, size: number) {
    for (const one of this.functions) {
      if (!(one.command & Command.IO)) continue;
      for (const bar of one.ioBars) {
        const { base } = bar;
        if (base !== 0 && port >= base && port + size <= base + bar.region.size) return bar;
      }
    }
    return undefined;
  }
}
