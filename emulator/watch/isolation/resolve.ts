import { SegmentType, type ElfFile } from '../../machine/elf';
import { areaText, type Area, type Range } from './areas';
import { PolicyError, type IsolationPolicy } from './policy';
import { resolveSecrecy } from '../secrecy/resolve';
import type { ResolvedPolicy } from './sanitizer';

/** The images of a launch, by the layer that runs them. */
export interface LayerImage {
  readonly layer: string;
  readonly elf: ElfFile;
}

/**
 * Finds the areas of a policy in the images that are loaded. Guest-physical ones need no image and stay as they are.
 * @throws PolicyError for a layer or symbol that there is not
 */
export function resolvePolicy(policy: IsolationPolicy, images: readonly LayerImage[]): ResolvedPolicy {
  const all = (areas: readonly Area[], where: string) => areas.flatMap((area) => rangesOf(area, images, where));
  return {
    policy,
    monitor: all(policy.monitor, 'monitor'),
    shared: all(policy.shared, 'shared'),
    secrecy: policy.secrecy ? resolveSecrecy(policy, images, all) : undefined,
  };
}

/** Host-physical ranges of an area; none for a guest-physical one. `where`: the policy's attribute, for messages */
export function rangesOf(area: Area, images: readonly LayerImage[], where: string): Range[] {
  switch (area.kind) {
    case 'physical':
      return [{ start: area.start, end: area.end }];
    case 'guest':
      return [];
    case 'image':
      return imagesOf(area, area.layer, images, where).flatMap(({ elf }) =>
        loaded(elf).map(({ paddr, memsz }) => ({ start: paddr, end: paddr + memsz })),
      );
    case 'symbol':
      return [symbolRange(area, imagesOf(area, area.layer, images, where), where)];
  }
}

const loaded = (elf: ElfFile) => elf.segments.filter(({ type, memsz }) => type === SegmentType.Load && memsz > 0n);

function imagesOf(area: Area, layer: string, images: readonly LayerImage[], where: string): LayerImage[] {
  const found = images.filter((image) => image.layer === layer);
  if (found.length > 0) return found;
  const layers = [...new Set(images.map((image) => image.layer))];
  throw new PolicyError(
    `isolation.${where}: "${areaText(area)}" names no image. Layers with an image: ${layers.join(', ') || 'none'}`,
  );
}

function symbolRange(area: Area & { kind: 'symbol' }, images: readonly LayerImage[], where: string): Range {
  for (const { elf } of images) {
    const begin = symbolOf(elf, area.begin);
    if (!begin) continue;
    const end = area.end === undefined ? begin.value + begin.size : symbolOf(elf, area.end)?.value;
    const first = end === undefined ? undefined : physical(elf, begin.value);
    if (end === undefined || first === undefined || end <= begin.value) break;
    return { start: first, end: first + (end - begin.value) };
  }
  throw new PolicyError(
    `isolation.${where}: "${areaText(area)}": no image of layer ${area.layer} has such symbols, with bytes between them. Images without a symbol table need a physical range`,
  );
}

const symbolOf = (elf: ElfFile, name: string) =>
  elf.symbols().find((symbol) => symbol.name === name && symbol.section !== 0);

/** Where a link address is loaded */
function physical(elf: ElfFile, address: bigint): bigint | undefined {
  const segment = loaded(elf).find(({ vaddr, memsz }) => address >= vaddr && address < vaddr + memsz);
  return segment && address - segment.vaddr + segment.paddr;
}
