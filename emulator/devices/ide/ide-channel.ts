import type { PortRange } from '../../memory/bus';
import type { Device, StateReader, StateWriter } from '../device';
import type { InterruptLine } from '../interrupt-line';
import { SECTOR } from '../storage/volume';
import type { TimedDevice } from '../timed-device';
import { findCommand } from './ata-commands';
import { BlockTransfer, reaches } from './block-transfer';
import type { AtaDrive } from './ata-drive';
import { AtaControl, AtaError, AtaRegister, AtaStatus } from './ata-registers';
import type { BusMaster } from './bus-master';
import { TaskFile } from './task-file';
import { COMMAND_TICKS, Phase, SECTOR_TICKS } from './transfer';

const DMA_CHUNK = 128 * SECTOR;
const READY = AtaStatus.DRDY | AtaStatus.DSC;
const EXECUTE_DIAGNOSTIC = 0x90;

export interface IdeChannelWiring {
  readonly name: string;
  /** First port of the command block, and the device control port */
  readonly command: number;
  readonly control: number;
  readonly irq: InterruptLine;
  readonly clock: () => number;
  readonly deadlineChanged: () => void;
  /** Whether the controller passes accesses on to this channel */
  readonly decoding: () => boolean;
}

/** One cable: two devices, the registers they share, and the transfer that is under way. */
export class IdeChannel implements Device, TimedDevice {
  readonly name: string;
  readonly file = new TaskFile();
  readonly drives: (AtaDrive | undefined)[] = [undefined, undefined];
  readonly commandPorts: PortRange;
  readonly controlPort: PortRange;
  master: BusMaster | undefined;
  status = 0;
  private phase = Phase.Idle;
  private due = Infinity;
  private interrupt = false;
  private lineUp = false;
  private readonly transfer = new BlockTransfer(this.file);

  constructor(private readonly wiring: IdeChannelWiring) {
    this.name = wiring.name;
    const { command, control, name } = wiring;
    this.commandPorts = {
      name,
      first: command,
      count: 8,
      read: (port, size) => this.readCommandBlock(port - command, size),
      write: (port, size, value) => this.writeCommandBlock(port - command, size, value),
    };
    this.controlPort = {
      name: `${name} control`,
      first: control,
      count: 1,
      read: () => (this.wiring.decoding() ? this.shownStatus() : 0xff),
      write: (_port, _size, value) => {
        if (this.wiring.decoding()) this.setControl(value & 0xff);
      },
    };
  }

  attach(position: 0 | 1, drive: AtaDrive): void {
    this.drives[position] = drive;
    this.status = READY;
    this.file.signature();
  }

  get drive(): AtaDrive | undefined {
    return this.drives[this.file.second ? 1 : 0];
  }

  private get empty(): boolean {
    return this.drives[0] === undefined && this.drives[1] === undefined;
  }

  /** Whether the device waits for the bus master, and for which direction */
  get dmaWaiting(): boolean {
    return this.phase === Phase.DmaWait;
  }

  // --- Registers ---

  private readCommandBlock(register: AtaRegister, size: number): number {
    if (!this.wiring.decoding()) return 0xffffffff;
    if (register === AtaRegister.Data) return this.readData(size);
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readRegister(register + i) << (8 * i);
    return value >>> 0;
  }

  private writeCommandBlock(register: AtaRegister, size: number, value: number): void {
    if (!this.wiring.decoding()) return;
    if (register === AtaRegister.Data) {
      this.writeData(size, value);
      return;
    }
    for (let i = 0; i < size; i++) this.writeRegister(register + i, (value >>> (8 * i)) & 0xff);
  }

  private readRegister(register: AtaRegister): number {
    if (this.empty) return 0;
    if (register === AtaRegister.Status) {
      this.setInterrupt(false);
      return this.shownStatus();
    }
    if (register === AtaRegister.Error && !this.drive) return 0;
    return this.file.read(register);
  }

  private writeRegister(register: AtaRegister, value: number): void {
    // While it is busy or moves data a device does not listen (ATA-6, 7.10); it would take DEVICE RESET, which only packet devices have.
    if (this.status & (AtaStatus.BSY | AtaStatus.DRQ)) return;
    if (register === AtaRegister.Status) this.command(value);
    else this.file.write(register, value);
  }

  /** A missing device 1 answers through device 0, which shows zero (ATA-6, 9.16.1); so does an empty cable here. */
  private shownStatus(): number {
    return this.drive ? this.status : 0;
  }

  private setControl(value: number): void {
    const before = this.file.control;
    this.file.control = value;
    if (this.empty) return;
    if (value & AtaControl.RESET) {
      this.abandon(Phase.Reset);
      this.status = AtaStatus.BSY;
    } else if (before & AtaControl.RESET) {
      for (const drive of this.drives) drive?.reset();
      this.file.signature();
      this.file.control = value;
      this.later(Phase.Busy, COMMAND_TICKS);
    }
    this.driveLine();
  }

  // --- Commands ---

  private command(code: number): void {
    const { drive } = this;
    if (code === EXECUTE_DIAGNOSTIC && !this.empty) {
      this.setInterrupt(false);
      this.file.signature();
      this.done();
      return;
    }
    if (!drive) return;
    this.setInterrupt(false);
    this.file.error = 0;
    this.status = READY;
    const found = findCommand(code);
    if (found) found.start(this, drive);
    else this.fail(AtaError.ABRT);
  }

  /** The command is accepted and ends, well or not, after a while with an interrupt. */
  done(): void {
    this.later(Phase.Busy, COMMAND_TICKS);
  }

  fail(error: number): void {
    this.file.error = error;
    this.done();
  }

  /** Data that the device has at hand goes to the host (IDENTIFY). */
  give(data: Uint8Array): void {
    this.transfer.beginWith(data);
    this.later(Phase.Fetching, COMMAND_TICKS);
  }

  /** Starts a transfer through the data port. `block`: sectors between two interrupts. */
  startPio(toHost: boolean, extended: boolean, block: number): void {
    if (!this.locate(extended, block, toHost)) return;
    if (toHost) this.later(Phase.Fetching, COMMAND_TICKS + SECTOR_TICKS * this.transfer.block);
    else this.awaitBlock();
  }

  startDma(toHost: boolean, extended: boolean): void {
    if (!this.locate(extended, 1, toHost)) return;
    if (!reaches(this.drive, this.transfer.next, this.transfer.left)) {
      this.fail(AtaError.ABRT);
      return;
    }
    this.phase = Phase.DmaWait;
    this.status = READY | AtaStatus.DRQ;
    this.master?.deviceReady();
  }

  /** READ VERIFY and SEEK: the address is checked and nothing moves. */
  verify(extended: boolean, sectors: number): void {
    if (!this.locate(extended, 1, true)) return;
    if (reaches(this.drive, this.transfer.next, sectors)) this.done();
    else this.fail(AtaError.ABRT);
  }

  sectorCount(extended: boolean): number {
    return this.file.sectorCount(extended);
  }

  private locate(extended: boolean, block: number, toHost: boolean): boolean {
    const { drive } = this;
    const start = drive ? this.file.address(extended, drive.heads, drive.sectorsPerTrack) : -1;
    if (start < 0) {
      this.fail(AtaError.ABRT);
      return false;
    }
    this.transfer.begin(start, this.file.sectorCount(extended), block, extended, toHost);
    return true;
  }

  // --- Time ---

  nextDeadline(): number {
    return this.due;
  }

  private setDeadline(clock: number): void {
    this.due = clock;
    this.wiring.deadlineChanged();
  }

  advance(now: number): void {
    if (now < this.due) return;
    this.setDeadline(Infinity);
    switch (this.phase) {
      case Phase.Busy:
        this.finish();
        break;
      case Phase.Fetching:
        this.present();
        break;
      case Phase.Storing:
        this.store();
        break;
      case Phase.Dma:
        this.moveByDma();
        break;
      default:
    }
  }

  private later(phase: Phase, ticks: number): void {
    this.phase = phase;
    this.status = (this.status & ~AtaStatus.DRQ) | AtaStatus.BSY;
    this.setDeadline(this.wiring.clock() + ticks);
  }

  private finish(): void {
    this.phase = Phase.Idle;
    const failed = this.file.error !== 0 && this.file.error !== 1 ? AtaStatus.ERR : 0;
    this.status = READY | failed;
    this.setInterrupt(true);
  }

  private abandon(phase: Phase): void {
    this.phase = phase;
    this.setDeadline(Infinity);
    this.setInterrupt(false);
  }

  /** A transfer meets an error at sector `at`. */
  private broken(error: number, at: number): void {
    const { drive } = this;
    if (drive) this.transfer.showAddress(at, drive);
    this.file.error = error;
    this.finish();
  }

  // --- Data port ---

  /** The next block is at hand, or can be fetched: DRQ and the interrupt. */
  private present(): void {
    const error = this.transfer.fetch(this.drive);
    if (error) {
      this.broken(error, this.transfer.next);
      return;
    }
    this.phase = Phase.DataIn;
    this.status = READY | AtaStatus.DRQ;
    this.setInterrupt(true);
  }

  private awaitBlock(): void {
    this.transfer.await();
    this.phase = Phase.DataOut;
    this.status = READY | AtaStatus.DRQ;
  }

  private store(): void {
    const error = this.transfer.store(this.drive);
    if (error) {
      this.broken(error, this.transfer.next);
      return;
    }
    if (this.transfer.left === 0) {
      this.finish();
      return;
    }
    this.awaitBlock();
    this.setInterrupt(true);
  }

  private readData(size: number): number {
    if (this.phase !== Phase.DataIn) return 0;
    const { transfer } = this;
    const value = transfer.take(size);
    if (!transfer.blockDone) return value;
    if (transfer.left > 0) this.later(Phase.Fetching, SECTOR_TICKS * transfer.block);
    else {
      this.phase = Phase.Idle;
      this.status = READY;
    }
    return value;
  }

  private writeData(size: number, value: number): void {
    if (this.phase !== Phase.DataOut) return;
    this.transfer.put(size, value);
    if (this.transfer.blockDone) this.later(Phase.Storing, (SECTOR_TICKS * this.transfer.blockBytes) / SECTOR);
  }

  // --- DMA ---

  /** The bus master runs and the device is ready: the data moves after the time that the disk needs. */
  runDma(): void {
    this.later(Phase.Dma, COMMAND_TICKS + SECTOR_TICKS * this.transfer.left);
  }

  /** The bus master was stopped: the device waits again, and moves nothing. */
  stopDma(): void {
    if (this.phase !== Phase.Dma) return;
    this.phase = Phase.DmaWait;
    this.setDeadline(Infinity);
    this.status = READY | AtaStatus.DRQ;
  }

  private moveByDma(): void {
    const { drive, master, transfer } = this;
    if (!drive || !master) return;
    const { toHost } = transfer;
    const chunk = new Uint8Array(Math.min(DMA_CHUNK, transfer.left * SECTOR));
    while (transfer.left > 0) {
      const sectors = Math.min(DMA_CHUNK / SECTOR, transfer.left);
      const bytes = chunk.subarray(0, sectors * SECTOR);
      if (toHost && !drive.volume.read(transfer.next, bytes)) {
        master.deviceDone();
        this.broken(AtaError.UNC, transfer.next);
        return;
      }
      if (!master.move(bytes, toHost)) {
        // The bus master gave up; the device still offers its data, and no interrupt comes.
        this.phase = Phase.DmaWait;
        this.status = READY | AtaStatus.DRQ;
        return;
      }
      if (!toHost && !drive.volume.write(transfer.next, bytes)) {
        master.deviceDone();
        this.broken(AtaError.ABRT, transfer.next);
        return;
      }
      transfer.consume(sectors, drive);
    }
    master.deviceDone();
    this.finish();
  }

  // --- Interrupt ---

  private setInterrupt(pending: boolean): void {
    this.interrupt = pending;
    this.driveLine();
  }

  private driveLine(): void {
    const level = this.interrupt && !(this.file.control & AtaControl.NO_INTERRUPT);
    if (level === this.lineUp) return;
    this.lineUp = level;
    if (level) this.master?.interruptRose();
    this.wiring.irq.set(level);
  }

  save(out: StateWriter): void {
    this.file.save(out);
    out.u8(this.status);
    out.u8(this.phase);
    out.f64(this.due);
    out.u8(Number(this.interrupt) | (Number(this.lineUp) << 1));
    this.transfer.save(out);
    for (const drive of this.drives) drive?.save(out);
  }

  restore(from: StateReader): void {
    this.file.restore(from);
    this.status = from.u8();
    this.phase = from.u8();
    this.setDeadline(from.f64());
    const bits = from.u8();
    this.interrupt = (bits & 1) !== 0;
    this.lineUp = (bits & 2) !== 0;
    this.transfer.restore(from);
    for (const drive of this.drives) drive?.restore(from);
  }
}
