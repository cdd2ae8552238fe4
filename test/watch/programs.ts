import { readFileSync } from 'node:fs';
import type { Machine, MachineConfiguration } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';
import type { AccessHit } from '../../emulator/machine/watchpoints';
import { buildAssembly } from '../asm/build';
import { elfImage } from '../machine/elf-image';

export const BASE = 0x200000;

/** A machine with these bytes as 64-bit code at BASE, in the state of a plain ELF64 image: all of memory mapped to itself. */
export function machineWith(code: readonly number[], options: Partial<MachineConfiguration> = {}): Machine {
  const bytes = elfImage({ entry: BASE, segments: [{ paddr: BASE, bytes: code }] });
  return createMachine({
    memory: 4,
    kernel: { name: 'test.elf', bytes },
    modules: [],
    commandLine: '',
    translator: false,
    ...options,
  });
}

/** A machine with a program of test/asm */
export async function assemblyMachine(name: string, options: Partial<MachineConfiguration> = {}): Promise<Machine> {
  const bytes = readFileSync(await buildAssembly(name));
  return createMachine({
    memory: 16,
    kernel: { name, bytes },
    modules: [],
    commandLine: '',
    translator: false,
    ...options,
  });
}

export const physical = (machine: Machine) => ({ ...machine.running(0).space, kind: 'host-physical' as const });

/** Watches host-physical bytes and gathers what is told. */
export function gather(machine: Machine, address: number, length: number, kinds = 'write'): AccessHit[] {
  const hits: AccessHit[] = [];
  const [write, read] = [kinds !== 'read', kinds !== 'write'];
  machine.watch({ space: physical(machine), address: BigInt(address), length, write, read }, (hit) => hits.push(hit));
  return hits;
}

/** What identifies an access, in one line */
export const inLine = ({ write, by, moment, vcpu, rip, hostPhysical, before }: AccessHit): string =>
  `${moment} ${write ? 'w' : 'r'} ${by} ${vcpu} ${rip.toString(16)} ${hostPhysical.toString(16)} ${Buffer.from(before).toString('hex')}`;

export const le = (value: number, size: number): number[] =>
  Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** i) & 0xff);
