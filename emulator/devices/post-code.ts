import type { Device, StateReader, StateWriter } from './device';
import { BytePorts } from './port-bus';

/**
 * Port 0x80: the diagnostic code of the power-on self test, otherwise used for nothing but the time an access takes
 * (PC/AT Technical Reference: a latch in the page registers of the DMA controller). It keeps what was written last.
 */
export class PostCode extends BytePorts implements Device {
  readonly name = 'POST code';
  readonly first = 0x80;
  readonly count = 1;
  private code = 0;

  save(out: StateWriter): void {
    out.u8(this.code);
  }

  restore(from: StateReader): void {
    this.code = from.u8();
  }

  protected readByte(): number {
    return this.code;
  }

  protected writeByte(_port: number, value: number): void {
    this.code = value;
  }
}
