import { readFileSync } from 'node:fs';
import path from 'node:path';
import { memorySource } from '../../emulator/devices/storage/block-source';
import type { Machine } from '../../emulator/machine/api';
import { parseElf } from '../../emulator/machine/elf';
import { createMachine } from '../../emulator/machine/machine';
import type { LayerImage } from '../../emulator/watch/isolation/resolve';

const BUILT = path.resolve('samples/cloudvisor/build');
const bytesOf = (name: string) => new Uint8Array(readFileSync(path.join(BUILT, name)));

/** A machine with programs of the sample, and the images that its policy names. */
export function sampleMachine(program: string, modules: readonly string[], withDisk: boolean) {
  const image = (name: string) => ({ name, bytes: bytesOf(`${name}.elf`), commandLine: name });
  const machine: Machine = createMachine({
    memory: 64,
    kernel: { ...image(program), commandLine: '' },
    modules: modules.map((name) => {
      const [file = '', commandLine = file] = name.split('=');
      return { ...image(file), commandLine };
    }),
    commandLine: '',
    translator: true,
    iommu: withDisk,
    disks: withDisk ? [{ name: 'disk.img', interface: 'ide' as const, source: memorySource(bytesOf('disk.img')) }] : [],
  });
  const layers = [program, ...modules].map((name) => name.split('=')[0] ?? '');
  const images: LayerImage[] = layers.map((name) => ({ layer: name, elf: parseElf(bytesOf(`${name}.elf`), name) }));
  return { machine, images };
}

export const samplePolicy = (): unknown =>
  JSON.parse(readFileSync(path.resolve('samples/cloudvisor/isolation.json'), 'utf8'));
