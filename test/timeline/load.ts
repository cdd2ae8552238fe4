import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { MachineConfiguration } from '../../emulator/machine/api';

const SAMPLE = path.resolve('samples/cloudvisor/build');
const SECTOR = 512;
const SECTORS = 64;

const image = (name: string, commandLine = name) => ({
  name: `${name}.elf`,
  bytes: new Uint8Array(readFileSync(path.join(SAMPLE, `${name}.elf`))),
  commandLine,
});

function disk(name: string, kind: 'ide' | 'virtio') {
  const bytes = new Uint8Array(SECTOR * SECTORS).map((_, at) => (at * 7 + (at >> 9)) & 0xff);
  const read = (offset: number, target: Uint8Array): void => target.set(bytes.subarray(offset, offset + target.length));
  return { name, source: { size: bytes.length, read }, interface: kind };
}

/**
 * The stack under load: a guest that never ends under the VMM under the monitor on the first processor, swapped to an IDE disk
 * by DMA and driven by a timer; on the others timers, interrupts among them, a virtio disk and copies (samples/cloudvisor/load).
 */
export const underLoad = (more: Partial<MachineConfiguration> = {}): MachineConfiguration => ({
  memory: 64,
  kernel: image('load', ''),
  modules: [image('tireless', 'guest'), image('monitor'), image('vmm', 'hypervisor')],
  commandLine: '',
  translator: true,
  processors: 3,
  disks: [disk('swap', 'ide'), disk('data', 'virtio')],
  iommu: true,
  tpm: true,
  ...more,
});
