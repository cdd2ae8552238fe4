import { CLOCK_HZ } from '../../arch/clock';
import { tpm2Table, type TpmInterface } from '../../devices/tpm/acpi';
import { CrbInterface } from '../../devices/tpm/crb-interface';
import { FifoInterface } from '../../devices/tpm/fifo-interface';
import type { MemoryInterface } from '../../devices/tpm/memory-interface';
import { Tpm } from '../../devices/tpm/tpm';
import type { AcpiTableSource } from '../../devices/acpi-table';
import type { MachineConfiguration } from '../api';

/** Whatever a launch with the same configuration draws is the same; another name would be another chip. */
const SEED = 'Undervisor TPM';
const TICKS_PER_MILLISECOND = CLOCK_HZ / 1000;

export const tpmInterface = ({ tpm }: MachineConfiguration): TpmInterface | undefined =>
  tpm === true ? 'crb' : tpm || undefined;

/** TPM2_Startup(CLEAR): firmware has sent it before it hands over, as a BIOS does. */
const STARTUP = Uint8Array.of(0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0);

/** The TPM that the configuration asks for, as firmware leaves it */
export function createTpm(configuration: MachineConfiguration, clock: () => number): MemoryInterface | undefined {
  const kind = tpmInterface(configuration);
  if (!kind) return undefined;
  const seed = `${SEED} ${configuration.randomSeed ?? 0}`;
  // The processors are made after the board.
  let made = false;
  const tpm = new Tpm({ seed, milliseconds: () => (made ? clock() / TICKS_PER_MILLISECOND : 0) });
  tpm.execute(STARTUP, 0);
  made = true;
  return kind === 'crb' ? new CrbInterface(tpm) : new FifoInterface(tpm);
}

export function tpmTables(configuration: MachineConfiguration): readonly AcpiTableSource[] {
  const kind = tpmInterface(configuration);
  return kind ? [tpm2Table(kind)] : [];
}
