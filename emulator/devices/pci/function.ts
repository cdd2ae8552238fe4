import type { Device, StateReader, StateWriter } from '../device';
import type { DmaPort } from '../dma-port';
import type { InterruptMessageSink } from '../interrupt-message';
import { IoBar, MemoryBar, type BarRegion } from './bar';
import { Command, ConfigRegister, ConfigSpace, Status } from './config-space';

export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly revision: number;
  /** Base class, subclass and programming interface, as 24 bits */
  readonly classCode: number;
  readonly subsystemVendor?: number;
  readonly subsystem?: number;
  /** 1 = INTA# .. 4 = INTD#; absent: the function raises no INTx */
  readonly interruptPin?: number;
  readonly multifunction?: boolean;
}

/** What the bus gives a function that is attached to it. */
export interface PciConnection {
  /** bus << 8 | device << 3 | function */
  readonly requester: number;
  readonly ramSize: number;
  readonly dma: DmaPort;
  readonly messages: InterruptMessageSink;
  /** The level of the function's INTx pin changed. */
  pinChanged(): void;
}

const STATUS_CLEARABLE = 0xf900;
const DEFAULT_COMMAND = Command.BUS_MASTER | Command.PARITY | Command.SERR | Command.INTX_DISABLE;
const FIRST_CAPABILITY = 0x40;

/**
 * One function on the PCI bus: configuration header, base address registers, INTx. A device derives from it and adds
 * its registers; configuration comes from the identity.
 */
export abstract class PciFunction implements Device {
  abstract readonly name: string;
  readonly config = new ConfigSpace();
  readonly memoryBars: MemoryBar[] = [];
  readonly ioBars: IoBar[] = [];
  /** The device holds its INTx request, whatever INTx disable says. */
  private interruptRequested = false;
  private connection: PciConnection | undefined;
  private lastCapability: number = ConfigRegister.CAPABILITIES;
  private nextCapability: number = FIRST_CAPABILITY;

  constructor(
    readonly identity: PciIdentity,
    protected readonly ramSize: number,
  ) {
    const { config } = this;
    config.define(ConfigRegister.VENDOR, 2, identity.vendor);
    config.define(ConfigRegister.DEVICE, 2, identity.device);
    config.define(ConfigRegister.COMMAND, 2, 0, DEFAULT_COMMAND);
    config.define(ConfigRegister.STATUS, 2, 0, 0, STATUS_CLEARABLE);
    config.define(ConfigRegister.REVISION, 1, identity.revision);
    for (let i = 0; i < 3; i++) config.define(ConfigRegister.CLASS + i, 1, identity.classCode >>> (8 * i));
    config.define(ConfigRegister.HEADER_TYPE, 1, identity.multifunction ? 0x80 : 0);
    config.define(ConfigRegister.SUBSYSTEM_VENDOR, 2, identity.subsystemVendor ?? 0);
    config.define(ConfigRegister.SUBSYSTEM, 2, identity.subsystem ?? 0);
    config.define(ConfigRegister.INTERRUPT_PIN, 1, identity.interruptPin ?? 0);
    if (identity.interruptPin) config.define(ConfigRegister.INTERRUPT_LINE, 1, 0, 0xff);
  }

  attach(connection: PciConnection): void {
    this.connection = connection;
  }

  get requester(): number {
    return this.connection?.requester ?? 0;
  }

  get pin(): number {
    return this.identity.interruptPin ?? 0;
  }

  /** The INTx wire as the interrupt router sees it */
  get pinAsserted(): boolean {
    return this.interruptRequested && !(this.command & Command.INTX_DISABLE);
  }

  get command(): number {
    return this.config.get16(ConfigRegister.COMMAND);
  }

  readConfig(offset: number, size: number): number {
    return this.config.read(offset, size);
  }

  writeConfig(offset: number, size: number, value: number): void {
    const before = this.command;
    this.config.write(offset, size, value);
    if ((before ^ this.command) & Command.INTX_DISABLE) this.connection?.pinChanged();
  }

  protected addIoBar(index: number, region: BarRegion): IoBar {
    const bar = new IoBar(this.config, ConfigRegister.BAR + 4 * index, region);
    this.config.allow(ConfigRegister.COMMAND, Command.IO);
    this.ioBars.push(bar);
    return bar;
  }

  protected addMemoryBar(index: number, region: BarRegion, wide = false): MemoryBar {
    const decoding = () => (this.command & Command.MEMORY) !== 0;
    this.config.allow(ConfigRegister.COMMAND, Command.MEMORY);
    const bar = new MemoryBar(this.config, ConfigRegister.BAR + 4 * index, region, wide, decoding, this.ramSize);
    this.memoryBars.push(bar);
    return bar;
  }

  /** Appends to the capability list; returns its offset. The body follows the two header bytes. */
  protected addCapability(id: number, size: number): number {
    const at = this.nextCapability;
    const { config } = this;
    this.nextCapability += (size + 3) & ~3;
    config.define(this.lastCapability, 1, at);
    config.define(at, 1, id);
    config.define(at + 1, 1, 0);
    config.define(
      ConfigRegister.STATUS,
      2,
      config.get16(ConfigRegister.STATUS) | Status.CAPABILITIES,
      0,
      STATUS_CLEARABLE,
    );
    this.lastCapability = at + 1;
    return at;
  }

  /** Holds or releases the INTx request. */
  protected setInterrupt(requested: boolean): void {
    if (requested === this.interruptRequested) return;
    this.interruptRequested = requested;
    this.showInterruptStatus();
    this.connection?.pinChanged();
  }

  protected sendMessage(address: bigint, data: number): void {
    if (this.command & Command.BUS_MASTER) this.connection?.messages.send(this.requester, address, data);
  }

  /** False also when the function may not master the bus. A blocked access leaves its mark in the status register. */
  protected dmaRead(address: bigint, target: Uint8Array): boolean {
    if (!this.connection || !(this.command & Command.BUS_MASTER)) return false;
    return this.connection.dma.read(address, target) || this.masterAbort();
  }

  protected dmaWrite(address: bigint, bytes: Uint8Array): boolean {
    if (!this.connection || !(this.command & Command.BUS_MASTER)) return false;
    return this.connection.dma.write(address, bytes) || this.masterAbort();
  }

  save(out: StateWriter): void {
    this.config.save(out);
    out.u8(Number(this.interruptRequested));
  }

  restore(from: StateReader): void {
    this.config.restore(from);
    this.interruptRequested = from.u8() !== 0;
  }

  private showInterruptStatus(): void {
    const status = this.config.get16(ConfigRegister.STATUS) & ~Status.INTERRUPT;
    this.config.set16(ConfigRegister.STATUS, status | (this.interruptRequested ? Status.INTERRUPT : 0));
  }

  private masterAbort(): false {
    const status = this.config.get16(ConfigRegister.STATUS);
    this.config.set16(ConfigRegister.STATUS, status | Status.RECEIVED_MASTER_ABORT);
    return false;
  }
}
