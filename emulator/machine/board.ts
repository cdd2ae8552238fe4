import type { Cpu } from '../cpu/cpu';
import type { InterruptSource } from '../cpu/processor';
import type { CpuState } from '../cpu/state';
import type { Taps } from '../cpu/taps';
import type { AcpiTableSource } from '../devices/acpi-table';
import { ApicBus } from '../devices/apic-bus';
import { ApicRegister, Delivery } from '../devices/apic-registers';
import { DebugConsole } from '../devices/debug-console';
import { StateReader, StateWriter, type Device, type SharedState } from '../devices/device';
import { ExitPort } from '../devices/exit-port';
import { FwCfg } from '../devices/fw-cfg';
import { LocalApic } from '../devices/local-apic';
import { DirectMessages } from '../devices/message-decoder';
import { PortBus } from '../devices/port-bus';
import { Serial16550 } from '../devices/serial-16550';
import type { MemoryInterface as TpmDevice } from '../devices/tpm/memory-interface';
import { TestDevice } from '../devices/test-device';
import { TimedDevices } from '../devices/timed-devices';
import { Txt } from '../devices/txt/txt';
import { TimedInterrupts } from '../devices/timed-interrupts';
import { State } from '../memory/layout';
import type { PhysicalMemory } from '../memory/physical';
import { hpetTable, IO_APIC_ID, madt, mcfg } from './acpi/fixed-tables';
import type { MachineConfiguration } from './api';
import { Chipset } from './board/chipset';
import { fwCfgFiles, fwCfgItems } from './board/fw-cfg-items';
import { RamPort } from './board/ram-port';
import { createTpm, tpmTables } from './board/tpm';
import { PciBoard } from './pci-board';
import { RunningApic } from './running-apic';

const COM1 = 0x3f8;
const COM1_IRQ = 4;
/** 1 January 2026, 0:00 UTC */
const DEFAULT_START_TIME = Date.UTC(2026, 0, 1) / 1000;
const DEBUG_CONSOLES = [0xe9, 0x402];

/** What devices tell the machine. */
export interface BoardEvents {
  serialOutput(byte: number): void;
  /** A byte for the debug console (ports 0xe9 and 0x402) */
  consoleOutput(byte: number): void;
  exit(code: number): void;
  /** A device pulls the reset line. */
  reset(cause: string): void;
  powerOff(): void;
  /** An interrupt or deadline of this vCPU may have changed: it must not run, or sleep, on past it. */
  attention(vcpu: number): void;
  /** A device wrote RAM: code that was decoded from these bytes, within one page, is stale. */
  ramChanged(wasmAddress: number, size: number): void;
}

/** The processors that the board is wired to. */
export interface BoardProcessors {
  readonly count: number;
  /** Index of the vCPU that runs */
  readonly running: number;
  state(index: number): CpuState;
  /** Not to be called before all of the machine is made */
  cpu(index: number): Cpu;
}

/** The devices of the PC and their wires: a local APIC for each vCPU, chipset, PCI, serial port, and QEMU's ports for programs. */
export class Board {
  readonly ports = new PortBus();
  readonly serial: Serial16550;
  readonly pci: PciBoard;
  readonly tpm: TpmDevice | undefined;
  /** The chipset's part of a measured launch: with a TPM */
  readonly txt: Txt | undefined;
  readonly apics: readonly LocalApic[];
  /** What interrupts each vCPU, and the clock of all devices */
  readonly interrupts: readonly InterruptSource[];
  private readonly timed: TimedDevices;
  private externalInterrupt = false;
  /** In the order of saving. */
  private readonly devices: readonly Device[];

  constructor(
    physical: PhysicalMemory,
    private readonly processors: BoardProcessors,
    configuration: MachineConfiguration,
    taps: Taps,
    private readonly events: BoardEvents,
  ) {
    const bus = new ApicBus();
    const messages = new DirectMessages(bus);
    const chipset = new Chipset({
      ports: this.ports,
      physical,
      clock: () => processors.cpu(processors.running).clock,
      intr: { set: (asserted) => this.setExternalInterrupt(asserted) },
      messages: { send: (source, address, data) => this.pci.messages.send(source, address, data) },
      ramSize: physical.memory.ramSize,
      processors: processors.count,
      startTime: configuration.startTime ?? DEFAULT_START_TIME,
      reset: (cause) => events.reset(cause),
      powerOff: () => events.powerOff(),
    });
    bus.onEoi((vector) => chipset.ioApic.end(vector));
    this.serial = new Serial16550('COM1', COM1, chipset.irq(COM1_IRQ), (byte) => events.serialOutput(byte));
    this.apics = Array.from({ length: processors.count }, (_, vcpu) => this.localApic(vcpu, bus, chipset));
    const ram = new RamPort(physical, (at, size) => events.ramChanged(at, size));
    const fwCfg = new FwCfg(fwCfgItems(configuration, processors.count), fwCfgFiles(configuration), ram);
    const test = new TestDevice((number) => chipset.input(number));
    physical.addRange(test);
    for (const range of [this.serial, new ExitPort((code) => events.exit(code)), fwCfg, ...test.ports]) {
      this.ports.addRange(range);
    }
    // 0xe9 lies inside the test device's bytes at 0xe8.
    for (const port of DEBUG_CONSOLES) {
      this.ports.addInside(new DebugConsole(port, (byte) => events.consoleOutput(byte)));
    }
    physical.addRange(new RunningApic(() => this.runningApic));
    this.pci = new PciBoard(
      {
        physical,
        ports: this.ports,
        irq: (number) => chipset.irq(number),
        messages,
        apics: bus,
        clock: () => processors.cpu(processors.running).clock,
        ramChanged: (at, size) => events.ramChanged(at, size),
        taps,
      },
      configuration,
    );
    this.tpm = createTpm(configuration, () => processors.cpu(processors.running).clock);
    this.txt = this.tpm && new Txt(this.tpm, processors, (cause) => events.reset(cause));
    for (const range of this.tpm && this.txt ? [this.tpm, ...this.txt.ranges] : []) physical.addRange(range);
    this.timed = new TimedDevices([chipset, this.pci]);
    this.ports.accessed = physical.accessed = () => this.timed.touched();
    this.interrupts = this.apics.map((apic) => new TimedInterrupts(apic, this.timed));
    const trusted = this.tpm && this.txt ? [this.tpm, this.txt] : [];
    this.devices = [chipset, this.serial, ...this.apics, fwCfg, test, this.pci, ...trusted];
  }

  /** What the board tells by ACPI, beside what is fixed */
  acpiTables(configuration: MachineConfiguration): readonly AcpiTableSource[] {
    const { pci, processors } = this;
    return [madt(processors.count), hpetTable(), mcfg(), ...pci.acpiTables(IO_APIC_ID), ...tpmTables(configuration)];
  }

  /**
   * What firmware has done to the boot processor's APIC before it starts a program: virtual wire mode, in which the
   * 8259s interrupt through LINT0 (MultiProcessor Specification 1.4, 3.6.2.2) and NMI comes through LINT1.
   */
  startAsFirmware(): void {
    const [boot] = this.apics;
    boot?.write(BigInt(ApicRegister.SpuriousVector), 4, 0x1ffn);
    boot?.write(BigInt(ApicRegister.LvtLint0), 4, BigInt(Delivery.ExtInt << 8));
    boot?.write(BigInt(ApicRegister.LvtLint1), 4, BigInt(Delivery.Nmi << 8));
  }

  private setExternalInterrupt(asserted: boolean): void {
    if (asserted === this.externalInterrupt) return;
    this.externalInterrupt = asserted;
    this.apics.forEach((apic, vcpu) => {
      apic.setPin(0, asserted);
      if (asserted) this.events.attention(vcpu);
    });
  }

  /** Between two runs anything may have been done to devices from outside. */
  touched(): void {
    this.timed.touched();
  }

  private get runningApic(): LocalApic {
    const apic = this.apics[this.processors.running];
    if (!apic) throw new Error(`no vCPU ${this.processors.running}`);
    return apic;
  }

  private localApic(vcpu: number, bus: ApicBus, chipset: Chipset): LocalApic {
    const cpu = (): Cpu => this.processors.cpu(vcpu);
    const state = this.processors.state(vcpu);
    return new LocalApic({
      id: vcpu,
      bus,
      apicBase: () => state.get64(State.APIC_BASE),
      clock: () => cpu().clock,
      tscBase: () => state.get64(State.TSC_ADJUST),
      nmi: () => cpu().raiseNmi(),
      init: () => cpu().raiseInit(),
      startUp: (vector) => cpu().raiseStartUp(vector),
      externalPending: () => this.externalInterrupt,
      externalAcknowledge: () => chipset.pics.acknowledge(),
      attention: () => this.events.attention(vcpu),
    });
  }

  /** @param shared where state goes that is kept as objects, for a snapshot; absent: all is in the bytes */
  save(shared?: SharedState[]): Uint8Array {
    const writer = new StateWriter(shared);
    for (const device of this.devices) device.save(writer);
    writer.u8(this.externalInterrupt ? 1 : 0);
    return writer.finish();
  }

  restore(saved: Uint8Array, shared?: readonly SharedState[]): void {
    const reader = new StateReader(saved, shared);
    for (const device of this.devices) device.restore(reader);
    this.externalInterrupt = reader.u8() !== 0;
    this.touched();
  }
}
