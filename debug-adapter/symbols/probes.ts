import type { ElfFile, ElfNote } from '../../emulator/machine/elf';
import type { Probe } from './api';
import { Cursor } from './cursor';
import { parseProbeArguments } from './probe-argument';
import type { SymbolTable } from './symbol-table';

const NT_STAPSDT = 3;

/**
 * Static probes: notes "stapsdt" of type 3 (SystemTap wiki, "UserSpaceProbeImplementation"). The descriptor holds pc, the
 * address that .stapsdt.base had at link time, the semaphore, then provider, name and arguments as strings. When the
 * base moved since (prelink), the addresses move with it. A note that cannot be read is reported and left out.
 */
export function readProbes(elf: ElfFile, symbols: SymbolTable, guard: <T>(read: () => T, otherwise: T) => T): Probe[] {
  const base = elf.section('.stapsdt.base')?.addr;
  const addressOf = (name: string) => symbols.named(name)[0]?.value;
  return guard(() => elf.notes(), [])
    .filter((note) => note.type === NT_STAPSDT && note.name === 'stapsdt')
    .map((note) => guard(() => readProbe(elf, note, base, addressOf), undefined))
    .filter((probe) => probe !== undefined);
}

function readProbe(
  elf: ElfFile,
  note: ElfNote,
  base: bigint | undefined,
  addressOf: (name: string) => bigint | undefined,
): Probe {
  const cursor = new Cursor(note.descriptor, '.note.stapsdt');
  const size = elf.class === 64 ? 8 : 4;
  const address = cursor.unsigned(size);
  const linkedBase = cursor.unsigned(size);
  const semaphore = cursor.unsigned(size);
  const moved = base === undefined || linkedBase === 0n ? 0n : base - linkedBase;
  const provider = cursor.string();
  const name = cursor.string();
  return {
    provider,
    name,
    pc: address + moved,
    semaphore: semaphore === 0n ? 0n : semaphore + moved,
    arguments: parseProbeArguments(cursor.string(), addressOf),
  };
}
