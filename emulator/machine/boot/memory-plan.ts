import { MachineError } from '../api';
import { CONVENTIONAL_END } from './memory-map';

const hex = (value: number): string => `0x${value.toString(16)}`;

/** A used piece of RAM: [start, end), host-physical bytes. */
interface Reservation {
  readonly what: string;
  readonly start: number;
  readonly end: number;
}

/** Addresses that a PC does not back with RAM: video memory, option ROMs, firmware. */
const PC_HOLE: Reservation = { what: 'the PC video and firmware area', start: 0xa0000, end: 0x100000 };
/** Interrupt vectors, BIOS data and the last KiB of conventional memory keep their old meaning. */
const LOW_START = 0x1000;

/** Who lies where in RAM while a machine is being loaded. Refuses what overlaps or does not fit. */
export class MemoryPlan {
  private readonly reservations: Reservation[] = [];

  /** @param ramSize bytes */
  constructor(private readonly ramSize: number) {}

  /** @throws MachineError when the piece does not fit in RAM or overlaps another one */
  reserve(what: string, start: bigint, size: bigint): number {
    const end = start + size;
    if (end > BigInt(this.ramSize)) {
      throw new MachineError(
        `${what} needs physical addresses 0x${start.toString(16)}..0x${end.toString(16)}, but RAM ends at ` +
          `${hex(this.ramSize)} (${this.ramSize >>> 20} MiB). Give the machine more memory, or link the image lower.`,
      );
    }
    const piece = { what, start: Number(start), end: Number(end) };
    const other = this.conflict(piece.start, piece.end);
    if (other) {
      throw new MachineError(
        `${what} at ${hex(piece.start)}..${hex(piece.end)} overlaps ${other.what} at ${hex(other.start)}..` +
          `${hex(other.end)}. Link one of them at another physical address.`,
      );
    }
    if (piece.end > piece.start) this.reservations.push(piece);
    return piece.start;
  }

  /**
   * Finds room below 640 KiB, or else above everything that is reserved.
   * @param from the lowest address that is tried
   */
  allocate(what: string, size: number, align: number, from = LOW_START): number {
    for (let start = from; start + size <= CONVENTIONAL_END;) {
      const other = this.conflict(start, start + size);
      if (!other) return this.reserve(what, BigInt(start), BigInt(size));
      start = roundUp(other.end, align);
    }
    return this.allocateHigh(what, size, align);
  }

  /** Places a piece above 1 MiB, behind everything that is reserved. */
  allocateHigh(what: string, size: number, align: number): number {
    const top = this.reservations.reduce((end, piece) => Math.max(end, piece.end), PC_HOLE.end);
    return this.reserve(what, BigInt(roundUp(top, align)), BigInt(size));
  }

  /** Whether RAM has this piece and nothing else uses it. */
  isFree(start: number, size: number): boolean {
    return start + size <= this.ramSize && !this.conflict(start, start + size);
  }

  private conflict(start: number, end: number): Reservation | undefined {
    return [PC_HOLE, ...this.reservations].find((piece) => start < piece.end && piece.start < end);
  }
}

const roundUp = (value: number, align: number): number => Math.ceil(value / align) * align;
