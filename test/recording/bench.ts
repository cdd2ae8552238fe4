import { readFileSync } from 'node:fs';
import { memorySource, type BlockSource } from '../../emulator/devices/storage/block-source';
import type { AddressSpace, Machine, MachineConfiguration } from '../../emulator/machine/api';
import type { MachineInput } from '../../emulator/machine/input';
import { createMachine } from '../../emulator/machine/machine';
import type { Timeline } from '../../emulator/timeline/api';
import { RecordedDisk } from '../../emulator/timeline/recording/disk';
import { Playback, recordedDisks } from '../../emulator/timeline/recording/playback';
import { beginning, Recorder } from '../../emulator/timeline/recording/recorder';
import type { Recording } from '../../emulator/timeline/recording/recording';
import { buildKernel32 } from '../machine/kernels';

/** Configuration of a machine that runs test/machine/kernels/listener.S, whose run depends on all that comes into it */
export async function listener(parts: Partial<MachineConfiguration> = {}): Promise<MachineConfiguration> {
  return {
    memory: 4,
    kernel: { name: 'listener.elf', bytes: new Uint8Array(readFileSync(await buildKernel32('listener'))) },
    modules: [],
    commandLine: 'd',
    translator: true,
    randomSeed: 7,
    startTime: 1_700_000_000,
    ...parts,
  };
}

/** A disk with contents that depend on the place */
export function patterned(sectors: number): Uint8Array {
  const bytes = new Uint8Array(sectors * 512);
  for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 7 + (at >> 9) * 31) & 0xff;
  return bytes;
}

/** A file in memory, with the places where each `append` ended */
export class MemorySink {
  readonly name = 'memory';
  bytes = new Uint8Array();
  readonly ends: number[] = [];
  closed = false;

  append(bytes: Uint8Array): void {
    const all = new Uint8Array(this.bytes.length + bytes.length);
    all.set(this.bytes);
    all.set(bytes, this.bytes.length);
    this.bytes = all;
    this.ends.push(all.length);
  }

  close(): void {
    this.closed = true;
  }
}

export interface Rig {
  readonly machine: Machine;
  readonly recorder: Recorder;
  readonly sink: MemorySink;
  readonly disks: readonly RecordedDisk[];
  readonly timeline: Timeline | undefined;
}

/** A machine that is recorded from power-on. */
export async function recorded(
  configuration: MachineConfiguration,
  sources: readonly BlockSource[] = [memorySource(patterned(64))],
  write: 'copy-on-write' | 'through' = 'copy-on-write',
  past?: (machine: Machine) => Timeline,
): Promise<Rig> {
  const disks = sources.map((source, number) => new RecordedDisk(number, source));
  const shapes = disks.map(({ size }, number) => ({ name: `disk${number}`, interface: 'ide' as const, write, size }));
  const machine = createMachine({
    ...configuration,
    disks: shapes.map(({ size: _, ...shape }, number) => ({ ...shape, source: disks[number]! })),
  });
  for (const disk of disks) disk.now = () => machine.moment;
  const sink = new MemorySink();
  const start = await beginning({ configuration, disks: shapes, images: [], notes: { by: 'a test' } });
  const timeline = past?.(machine);
  return { machine, recorder: new Recorder(machine, disks, sink, start, timeline), sink, disks, timeline };
}

export const HOST_PHYSICAL: AddressSpace = {
  kind: 'host-physical',
  cr0: 0n,
  cr3: 0n,
  cr4: 0n,
  efer: 0n,
  eptp: 0n,
  codeSize: 32,
};

/** A machine made of nothing but a recording, and what leads it through. */
export function follower(
  { machine: made, ...rest }: Recording,
  hashes = true,
): { machine: Machine; playback: Playback } {
  const disks = recordedDisks({ machine: made, disks: rest.disks });
  const machine = createMachine({
    ...made.configuration,
    disks: made.disks.map(({ size: _, ...shape }, number) => ({ ...shape, source: disks[number]! })),
  });
  for (const disk of disks) disk.now = () => machine.moment;
  const give = (input: MachineInput) => machine.apply(input);
  return { machine, playback: new Playback({ machine: made, ...rest }, machine, { give, hashes }) };
}

/** To the end of the recording, or to where it is left. */
export function follow(recording: Recording): { machine: Machine; playback: Playback } {
  const made = follower(recording);
  const { machine, playback } = made;
  playback.arrived();
  for (let next = playback.next; next !== undefined; next = playback.next) {
    const before = machine.moment;
    const { why } = machine.run(1_000_000, false, undefined, next);
    playback.arrived(why === 'ended' || (machine.moment === before && machine.moment < next));
  }
  return made;
}
