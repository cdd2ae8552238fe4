import { hostPhysical } from '../../memory/address';
import type { MmioRange } from '../../memory/bus';
import type { PciBus } from './bus';

/** Where the board puts it, and what the MCFG table says: bus 0 only */
export const ECAM_BASE = 0xe0000000n;
const FUNCTION_SIZE = 4096;
const CONVENTIONAL_SIZE = 256;

/**
 * Memory-mapped configuration (PCI Express Base Specification, "Enhanced Configuration Access Mechanism"): 4 KiB for
 * each function. The functions here are conventional: beyond 256 bytes there is nothing (all ones).
 */
export class Ecam implements MmioRange {
  readonly name = 'PCI ECAM';
  readonly base = hostPhysical(ECAM_BASE);
  /** One bus: 256 functions */
  readonly size = 0x100000n;

  constructor(private readonly bus: PciBus) {}

  read(offset: bigint, size: number): bigint {
    const at = Number(offset);
    if (size === 8) return this.read(offset, 4) | (this.read(offset + 4n, 4) << 32n);
    const register = at % FUNCTION_SIZE;
    if (register + size > CONVENTIONAL_SIZE) return 0xffffffffn >> BigInt(32 - 8 * size);
    return BigInt(this.bus.readConfig(at >>> 12, register, size));
  }

  write(offset: bigint, size: number, value: bigint): void {
    if (size === 8) {
      this.write(offset, 4, value & 0xffffffffn);
      this.write(offset + 4n, 4, value >> 32n);
      return;
    }
    const at = Number(offset);
    const register = at % FUNCTION_SIZE;
    if (register + size <= CONVENTIONAL_SIZE) this.bus.writeConfig(at >>> 12, register, size, Number(value));
  }
}
