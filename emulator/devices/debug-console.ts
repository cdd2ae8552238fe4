import { BytePorts } from './port-bus';

/** What a read returns: software finds the console by it (QEMU, hw/char/debugcon.c; Bochs has the same at port 0xe9). */
const READBACK = 0xe9;

/** A port that prints: each byte written is output at once. It has no state. */
export class DebugConsole extends BytePorts {
  readonly count = 1;

  constructor(
    readonly first: number,
    private readonly output: (byte: number) => void,
  ) {
    super();
  }

  get name(): string {
    return `debug console 0x${this.first.toString(16)}`;
  }

  protected readByte(): number {
    return READBACK;
  }

  protected writeByte(_port: number, value: number): void {
    this.output(value);
  }
}
