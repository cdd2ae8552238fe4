import type { PortRange } from '../memory/bus';
import type { AddressLine20 } from './i8042';

/** PS/2 Hardware Interface Technical Reference, "System Control Port A": bit 0 resets, bit 1 is address line 20. */
export class SystemPortA implements PortRange {
  readonly name = 'system control port A';
  readonly first = 0x92;
  readonly count = 1;

  /** The line's state is saved by the keyboard controller, which has the other hand on it. */
  constructor(
    private readonly a20: AddressLine20,
    private readonly reset: () => void,
  ) {}

  read(): number {
    return this.a20.enabled ? 2 : 0;
  }

  write(_port: number, _size: number, value: number): void {
    this.a20.enabled = (value & 2) !== 0;
    if (value & 1) this.reset();
  }
}

const RESET_PROCESSOR = 0x04;
const WRITABLE = 0x0e;

/**
 * The reset control register at 0xcf9 ("82371SB (PIIX3)" data sheet 290550, RC; FADT's RESET_REG): a write that sets bit 2
 * resets, hard or soft. The machine ends with it, so it has no state worth saving.
 */
export class ResetControl implements PortRange {
  readonly name = 'reset control';
  readonly first = 0xcf9;
  readonly count = 1;

  constructor(private readonly reset: () => void) {}

  read(): number {
    return 0;
  }

  write(_port: number, _size: number, value: number): void {
    if (value & WRITABLE & RESET_PROCESSOR) this.reset();
  }
}
