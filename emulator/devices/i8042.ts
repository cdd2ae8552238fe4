import type { Device, StateReader, StateWriter } from './device';
import type { InterruptLine } from './interrupt-line';
import type { PortRange } from '../memory/bus';

// "8042 Keyboard Controller": PC/AT Technical Reference, "Keyboard Controller"; PS/2 Hardware Interface Technical Reference,
// "Keyboard and Auxiliary Device Controller". Keyboard commands: the same, "Keyboards (101- and 102-Key)".
const DATA = 0x60;
const COMMAND = 0x64;

const STATUS_OUTPUT_FULL = 0x01;
const STATUS_SYSTEM = 0x04;
const STATUS_COMMAND = 0x08;
const STATUS_UNLOCKED = 0x10;

/** Controller commands */
const enum Command {
  ReadConfiguration = 0x20,
  WriteConfiguration = 0x60,
  DisableAuxiliary = 0xa7,
  EnableAuxiliary = 0xa8,
  TestAuxiliary = 0xa9,
  SelfTest = 0xaa,
  TestKeyboard = 0xab,
  DisableKeyboard = 0xad,
  EnableKeyboard = 0xae,
  ReadInputPort = 0xc0,
  ReadOutputPort = 0xd0,
  WriteOutputPort = 0xd1,
  WriteKeyboardOutput = 0xd2,
  WriteAuxiliary = 0xd4,
  PulseOutput = 0xf0,
}
const CONFIGURATION_INTERRUPT = 0x01;
const CONFIGURATION_SYSTEM = 0x04;
const CONFIGURATION_NO_KEYBOARD = 0x10;
const CONFIGURATION_NO_AUXILIARY = 0x20;
const SELF_TEST_PASSED = 0x55;
/** Interface test: no error. Of the second port, where nothing is: the clock line is stuck low. */
const INTERFACE_GOOD = 0x00;
const INTERFACE_CLOCK_LOW = 0x01;
/** Keyboard not locked, as the input port reports it */
const INPUT_PORT = 0x80;
/** Output port: processor reset (low is active), address line 20 */
const OUTPUT_RESET = 0x01;
const OUTPUT_A20 = 0x02;
/** Lines that nothing pulls low */
const OUTPUT_IDLE = 0xcc;
const KEYBOARD_ACKNOWLEDGE = 0xfa;
const KEYBOARD_RESEND = 0xfe;
const KEYBOARD_TEST_PASSED = 0xaa;

/** Address line 20 as the output port and port 0x92 show it. It is a bit only: addresses are never cut. */
export interface AddressLine20 {
  enabled: boolean;
}

/** The keyboard controller with a keyboard on which nobody types: it answers commands, and its reset line works. */
export class I8042 implements PortRange, Device {
  readonly name = 'i8042';
  readonly first = DATA;
  readonly count = 1;
  /** The command port, 0x64; the ports between belong to others. */
  readonly commandPort: PortRange = {
    name: 'i8042 command',
    first: COMMAND,
    count: 1,
    read: () => this.status,
    write: (_port, _size, value) => this.command(value),
  };
  private configuration = CONFIGURATION_SYSTEM | CONFIGURATION_NO_AUXILIARY;
  /** Bytes for the data port, the first is in the output buffer */
  private output: number[] = [];
  /** The controller command that waits for its byte, 0 = none */
  private waitingFor = 0;
  private lastWasCommand = false;
  /** The keyboard command that waits for its byte, 0 = none */
  private keyboardWaits = 0;

  /**
   * @param line IRQ 1
   * @param reset the processor's reset line was pulled
   */
  constructor(
    private readonly line: InterruptLine,
    private readonly a20: AddressLine20,
    private readonly reset: () => void,
  ) {}

  private get status(): number {
    return (
      (this.output.length > 0 ? STATUS_OUTPUT_FULL : 0) |
      (this.configuration & CONFIGURATION_SYSTEM ? STATUS_SYSTEM : 0) |
      (this.lastWasCommand ? STATUS_COMMAND : 0) |
      STATUS_UNLOCKED
    );
  }

  read(): number {
    const value = this.output.shift() ?? 0;
    // The line falls with each byte that is taken, so that the next one makes an edge.
    this.line.set(false);
    this.update();
    return value;
  }

  write(_port: number, _size: number, value: number): void {
    const command: Command = this.waitingFor;
    this.waitingFor = 0;
    this.lastWasCommand = false;
    switch (command) {
      case Command.WriteConfiguration:
        this.configuration = value;
        break;
      case Command.WriteOutputPort:
        this.a20.enabled = (value & OUTPUT_A20) !== 0;
        if (!(value & OUTPUT_RESET)) this.reset();
        break;
      case Command.WriteKeyboardOutput:
        this.output.push(value);
        break;
      case Command.WriteAuxiliary:
        break; // nothing is there to answer
      default:
        this.keyboard(value);
    }
    this.update();
  }

  save(out: StateWriter): void {
    out.u8(this.configuration);
    out.blob(Uint8Array.from(this.output));
    out.u8(this.waitingFor);
    out.u8(this.keyboardWaits);
    out.u8(Number(this.lastWasCommand) | (Number(this.a20.enabled) << 1));
  }

  restore(from: StateReader): void {
    this.configuration = from.u8();
    this.output = Array.from(from.blob());
    this.waitingFor = from.u8();
    this.keyboardWaits = from.u8();
    const bits = from.u8();
    this.lastWasCommand = (bits & 1) !== 0;
    this.a20.enabled = (bits & 2) !== 0;
  }

  private command(value: number): void {
    this.lastWasCommand = true;
    switch (value as Command) {
      case Command.ReadConfiguration:
        this.output.push(this.configuration);
        break;
      case Command.WriteConfiguration:
      case Command.WriteOutputPort:
      case Command.WriteKeyboardOutput:
      case Command.WriteAuxiliary:
        this.waitingFor = value;
        break;
      case Command.DisableAuxiliary:
        this.configuration |= CONFIGURATION_NO_AUXILIARY;
        break;
      case Command.EnableAuxiliary:
        this.configuration &= ~CONFIGURATION_NO_AUXILIARY;
        break;
      case Command.TestAuxiliary:
        this.output.push(INTERFACE_CLOCK_LOW);
        break;
      case Command.SelfTest:
        this.output = [SELF_TEST_PASSED];
        this.configuration |= CONFIGURATION_SYSTEM;
        break;
      case Command.TestKeyboard:
        this.output.push(INTERFACE_GOOD);
        break;
      case Command.DisableKeyboard:
        this.configuration |= CONFIGURATION_NO_KEYBOARD;
        break;
      case Command.EnableKeyboard:
        this.configuration &= ~CONFIGURATION_NO_KEYBOARD;
        break;
      case Command.ReadInputPort:
        this.output.push(INPUT_PORT);
        break;
      case Command.ReadOutputPort:
        this.output.push(OUTPUT_IDLE | OUTPUT_RESET | (this.a20.enabled ? OUTPUT_A20 : 0));
        break;
      default:
        // F0 to FF pulse the output lines whose bits are 0; bit 0 is the reset line.
        if (value >= (Command.PulseOutput as number) && !(value & OUTPUT_RESET)) this.reset();
    }
    this.update();
  }

  /** A byte for the keyboard. */
  private keyboard(value: number): void {
    if (this.keyboardWaits !== 0) {
      this.keyboardWaits = 0;
      this.output.push(KEYBOARD_ACKNOWLEDGE);
      return;
    }
    switch (value) {
      case 0xff: // reset
        this.output.push(KEYBOARD_ACKNOWLEDGE, KEYBOARD_TEST_PASSED);
        return;
      case 0xf2: // identify: MF II
        this.output.push(KEYBOARD_ACKNOWLEDGE, 0xab, 0x83);
        return;
      case 0xee: // echo
        this.output.push(0xee);
        return;
      case 0xed: // lights
      case 0xf0: // scan code set
      case 0xf3: // repeat rate
        this.keyboardWaits = value;
        this.output.push(KEYBOARD_ACKNOWLEDGE);
        return;
      case 0xf4: // scanning on, off, defaults
      case 0xf5:
      case 0xf6:
        this.output.push(KEYBOARD_ACKNOWLEDGE);
        return;
      default:
        this.output.push(KEYBOARD_RESEND);
    }
  }

  private update(): void {
    this.line.set(this.output.length > 0 && (this.configuration & CONFIGURATION_INTERRUPT) !== 0);
  }
}
