import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DiskConfiguration, MachineConfiguration } from '../../emulator/machine/api';
import { buildAssembly } from '../asm/build';
import { keelImage } from '../foreign/keel-images';

/** scripts/asm-test.mjs, which has no types */
interface AsmTools {
  processorsOf(this: void, name: string): number;
  devicesOf(this: void, name: string): { readonly iommu: boolean };
  disksOf(this: void, devices: unknown): readonly DiskConfiguration[];
}

const load = (file: string) => ({ name: path.basename(file), bytes: new Uint8Array(readFileSync(file)) });

const configuration = (more: Partial<MachineConfiguration> & Pick<MachineConfiguration, 'kernel'>) => ({
  memory: 16,
  modules: [],
  commandLine: '',
  translator: false,
  ...more,
});

/** A program of test/asm with the processors and devices that it asks for */
export async function assembly(name: string, more: Partial<MachineConfiguration> = {}): Promise<MachineConfiguration> {
  const tools = (await import(pathToFileURL(path.resolve('scripts/asm-test.mjs')).href)) as AsmTools;
  const devices = tools.devicesOf(name);
  const kernel = load(await buildAssembly(name));
  const disks = tools.disksOf(devices);
  return configuration({ kernel, processors: tools.processorsOf(name), disks, iommu: devices.iommu, ...more });
}

const sample = (name: string) => ({
  ...load(path.resolve('samples/cloudvisor/build', `${name}.elf`)),
  commandLine: name,
});

/** The sample: guest and VMM under the monitor */
export const stack = (more: Partial<MachineConfiguration> = {}): MachineConfiguration =>
  configuration({ memory: 64, kernel: sample('vmm'), modules: ['guest', 'monitor'].map(sample), ...more });

/** A hypervisor that shares nothing with the samples */
export const foreign = async (): Promise<MachineConfiguration> =>
  configuration({ memory: 64, kernel: load(await keelImage('plain')) });
