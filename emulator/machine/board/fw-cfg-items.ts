import { FwCfgItem } from '../../devices/fw-cfg';
import type { MachineConfiguration } from '../api';
import { memoryMap } from '../boot/memory-map';
import { StructWriter, zeroEnded } from '../boot/struct-writer';

const MIB = 1 << 20;

/** What fw-cfg tells of this machine, by number. */
export function fwCfgItems(configuration: MachineConfiguration, processors: number): ReadonlyMap<number, Uint8Array> {
  const commandLine = zeroEnded(configuration.commandLine);
  const items = new Map<number, Uint8Array>([
    [FwCfgItem.RamSize, new StructWriter().u64(configuration.memory * MIB).finish()],
    [FwCfgItem.Processors, new StructWriter().u16(processors).finish()],
    [FwCfgItem.MostProcessors, new StructWriter().u16(processors).finish()],
    [FwCfgItem.CommandLineSize, new StructWriter().u32(commandLine.length).finish()],
    [FwCfgItem.CommandLineData, commandLine],
  ]);
  const initrd = configuration.modules[0];
  if (initrd) {
    items.set(FwCfgItem.InitrdSize, new StructWriter().u32(initrd.bytes.length).finish());
    items.set(FwCfgItem.InitrdData, initrd.bytes);
  }
  return items;
}

/** The files: the memory map in the BIOS's format. */
export function fwCfgFiles(configuration: MachineConfiguration): Map<string, Uint8Array> {
  const e820 = new StructWriter();
  for (const { start, end, type } of memoryMap(configuration.memory * MIB)) e820.u64(start, end - start).u32(type);
  return new Map([['etc/e820', e820.finish()]]);
}
