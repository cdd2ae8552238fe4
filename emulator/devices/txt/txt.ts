import type { SaferModePlatform } from '../../cpu/safer-mode/platform';
import type { CpuState } from '../../cpu/state';
import { hostPhysical } from '../../memory/address';
import type { MmioRange } from '../../memory/bus';
import type { Device, StateReader, StateWriter } from '../device';
import type { MemoryInterface } from '../tpm/memory-interface';
import {
  DEVICE_AND_VENDOR,
  E2STS_SECRETS,
  ERROR_VALID,
  Register,
  Status,
  TXT_PRIVATE,
  TXT_PUBLIC,
  TXT_SPACE,
} from './registers';

/** Registers that only hold what was written: in the public space until the launch, then only in the private one */
const HELD: readonly number[] = [
  Register.SINIT_BASE,
  Register.SINIT_SIZE,
  Register.MLE_JOIN,
  Register.HEAP_BASE,
  Register.HEAP_SIZE,
];

/**
 * The chipset's side of a measured launch: TXT registers, and which of the TPM's localities they open. Locality 3 is for
 * the module that SENTER runs, locality 2 for the environment that it launches. Firmware reserves no memory for SINIT or
 * heap: their registers are 0 until software writes them.
 */
export class Txt implements Device, SaferModePlatform {
  readonly name = 'TXT';
  readonly ranges: readonly MmioRange[];
  private status = 0;
  private error = 0;
  private secrets = false;
  private moduleRuns = false;
  private readonly held = new Map<number, bigint>(HELD.map((register) => [register, 0n]));

  constructor(
    private readonly tpm: MemoryInterface,
    private readonly processors: { readonly count: number; state(index: number): CpuState },
    private readonly reset: (cause: string) => void,
  ) {
    this.ranges = [this.space('TXT public registers', TXT_PUBLIC), this.space('TXT private registers', TXT_PRIVATE)];
    tpm.softwareReaches = (locality) => {
      if (locality <= 1) return true;
      if (locality === 2) return this.moduleRuns || (this.status & Status.LOCALITY2_OPEN) !== 0;
      return locality === 3 && this.moduleRuns;
    };
  }

  private space(name: string, base: bigint): MmioRange {
    const isPrivate = base === TXT_PRIVATE;
    const closed = (): boolean => isPrivate && !(this.status & Status.PRIVATE_OPEN);
    return {
      name,
      base: hostPhysical(base),
      size: TXT_SPACE,
      read: (offset, size) => {
        if (closed()) return (1n << BigInt(size * 8)) - 1n;
        const at = Number(offset);
        return this.value(at & ~7) >> BigInt((at & 7) * 8);
      },
      write: (offset, _size, value) => {
        if (!closed()) this.write(Number(offset), value, isPrivate);
      },
    };
  }

  private value(at: number): bigint {
    const held = this.held.get(at);
    if (held !== undefined) return held;
    switch (at) {
      case Register.STS:
        return BigInt(this.status);
      case Register.ERRORCODE:
        return BigInt(this.error);
      case Register.DIDVID:
        return DEVICE_AND_VENDOR;
      case Register.E2STS:
        return BigInt(this.secrets ? E2STS_SECRETS : 0);
      default:
        return 0n;
    }
  }

  private write(at: number, value: bigint, isPrivate: boolean): void {
    if (this.held.has(at)) {
      if (isPrivate || !(this.status & Status.SENTER_DONE)) this.held.set(at, BigInt.asUintN(64, value));
      return;
    }
    if (!isPrivate) return;
    switch (at) {
      case Register.CMD_CLOSE_PRIVATE:
        this.status &= ~(Status.PRIVATE_OPEN | Status.LOCALITY1_OPEN | Status.LOCALITY2_OPEN);
        return;
      case Register.CMD_OPEN_LOCALITY1:
        this.status |= Status.LOCALITY1_OPEN;
        return;
      case Register.CMD_CLOSE_LOCALITY1:
        this.status &= ~Status.LOCALITY1_OPEN;
        return;
      case Register.CMD_OPEN_LOCALITY2:
        this.status |= Status.LOCALITY2_OPEN;
        return;
      case Register.CMD_CLOSE_LOCALITY2:
        this.status &= ~Status.LOCALITY2_OPEN;
        return;
      case Register.CMD_SECRETS:
      case Register.CMD_NO_SECRETS:
        this.secrets = at === Register.CMD_SECRETS;
        return;
    }
  }

  // --- What GETSEC asks of the chipset ---

  others(index: number): readonly CpuState[] {
    const all = Array.from({ length: this.processors.count }, (_, i) => i);
    return all.filter((i) => i !== index).map((i) => this.processors.state(i));
  }

  measure(parts: readonly Uint8Array[]): void {
    this.tpm.hashStart();
    for (const part of parts) this.tpm.hashData(part);
    this.tpm.hashEnd();
  }

  launched(): void {
    this.status = (this.status | Status.SENTER_DONE | Status.PRIVATE_OPEN) & ~Status.SEXIT_DONE;
    this.moduleRuns = true;
  }

  moduleEnded(): void {
    this.moduleRuns = false;
  }

  ended(): void {
    this.status = Status.SEXIT_DONE;
  }

  get join(): bigint {
    return this.held.get(Register.MLE_JOIN) ?? 0n;
  }

  failed(code: number, why: string): void {
    this.error = (ERROR_VALID | code) >>> 0;
    this.reset(`TXT reset (TXT.ERRORCODE ${code}): ${why}`);
  }

  save(out: StateWriter): void {
    out.u32(this.status);
    out.u32(this.error);
    out.u8((this.secrets ? 1 : 0) | (this.moduleRuns ? 2 : 0));
    for (const register of HELD) out.u64(this.held.get(register) ?? 0n);
  }

  restore(from: StateReader): void {
    this.status = from.u32();
    this.error = from.u32();
    const flags = from.u8();
    this.secrets = (flags & 1) !== 0;
    this.moduleRuns = (flags & 2) !== 0;
    for (const register of HELD) this.held.set(register, from.u64());
  }
}
