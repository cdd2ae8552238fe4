import type { Device, StateReader, StateWriter } from './device';
import type { Pit8254 } from './pit-8254';
import { BytePorts } from './port-bus';

// "PC/AT Technical Reference", "System Board I/O": port B of the keyboard controller's neighbour, 0x61.
const GATE = 0x01;
const REFRESH = 0x10;
const OUTPUT = 0x20;
const WRITABLE = 0x0f;
/** Memory is refreshed every 15.085 us; the bit toggles each time. In ticks of the timer: counter 1 counts 18. */
const REFRESH_TICKS = 18;

/** System control port B: gate and output of the timer's counter 2, the speaker, and the refresh bit. */
export class SystemPort extends BytePorts implements Device {
  readonly name = 'system control port B';
  readonly first = 0x61;
  readonly count = 1;
  /** Bit 1 lets the speaker sound, bits 2 and 3 switch checks for errors that never happen: kept, without effect. */
  private enables = 0;

  constructor(private readonly pit: Pit8254) {
    super();
  }

  protected readByte(): number {
    const { ticks, speaker } = this.pit;
    const refresh = Math.floor(ticks / REFRESH_TICKS) & 1 ? REFRESH : 0;
    return (this.enables & ~GATE) | speaker.gate | refresh | (speaker.output(ticks) ? OUTPUT : 0);
  }

  protected writeByte(_port: number, value: number): void {
    this.enables = value & WRITABLE;
    this.pit.speaker.setGate(value & GATE, this.pit.ticks);
  }

  save(out: StateWriter): void {
    out.u8(this.enables);
  }

  restore(from: StateReader): void {
    this.enables = from.u8();
  }
}
