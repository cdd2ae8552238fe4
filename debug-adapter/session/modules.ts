import type { DebugProtocol } from '@vscode/debugprotocol';
import { SegmentType } from '../../emulator/machine/elf';
import type { Debuggee } from '../launch/debuggee';
import type { SourceMap } from '../launch/source-map';
import { hex } from '../memory/reference';
import { baseName } from './paths';

/** One module for each image, with its linear addresses. */
export function modules(debuggee: Debuggee): DebugProtocol.Module[] {
  return debuggee.images.map(({ layer, file, loaded }, id) => {
    const { program } = loaded;
    const loads = program.elf.segments.filter(({ type, memsz }) => type === SegmentType.Load && memsz > 0n);
    const ranges = loads.map(
      ({ vaddr, memsz }) => `${hex(loaded.toRun(vaddr))}-${hex(loaded.toRun(vaddr + memsz - 1n))}`,
    );
    return {
      id,
      name: `${layer} (${baseName(file)})`,
      path: file,
      symbolFilePath: file,
      symbolStatus: program.hasDebugInformation ? 'DWARF' : 'symbol table only: by instruction',
      addressRange: ranges.join(', '),
    };
  });
}

export function modulesPage(
  args: DebugProtocol.ModulesArguments,
  debuggee: Debuggee,
): DebugProtocol.ModulesResponse['body'] {
  const all = modules(debuggee);
  const start = args.startModule ?? 0;
  return {
    modules: all.slice(start, args.moduleCount ? start + args.moduleCount : undefined),
    totalModules: all.length,
  };
}

/** Every file that has code in some image, each once. */
export function loadedSources(debuggee: Debuggee, sources: SourceMap): DebugProtocol.LoadedSourcesResponse['body'] {
  const files = new Set(debuggee.images.flatMap((image) => [...image.loaded.program.files()]));
  return { sources: [...files].sort().map((file) => sources.source(file)) };
}
