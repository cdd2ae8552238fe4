import { MachineError, type BootImage, type BootProtocol, type BootReport } from '../api';
import { pvhEntry } from '../elf';
import { looksLikeElf, readElf, withElfErrors } from './elf-image';
import { findMultiboot, findMultiboot2, type FoundHeader } from './headers';

const SECTOR = 512;
const hex = (value: number): string => `0x${value.toString(16)}`;

/**
 * Which protocol an image is for, and why: the first of PVH note, multiboot 2 header, multiboot header, plain ELF entry
 * point; without an ELF header multiboot 2, multiboot, boot sector.
 * @throws MachineError when it is for none
 */
export function chooseProtocol(image: BootImage, wanted: BootProtocol | 'auto'): BootReport {
  if (wanted !== 'auto') return { protocol: wanted, reason: 'the configuration says so' };
  const elf = looksLikeElf(image) ? readElf(image) : undefined;
  if (elf && withElfErrors(() => pvhEntry(elf)) !== undefined) {
    return { protocol: 'pvh', reason: 'the image has a PVH entry note' };
  }
  const broken: string[] = [];
  for (const [protocol, name, header] of [
    ['multiboot2', 'multiboot 2', findMultiboot2(image.bytes)],
    ['multiboot', 'multiboot', findMultiboot(image.bytes)],
  ] as const) {
    if (header && header.problem === undefined) {
      return { protocol, reason: `the image has a ${name} header at file offset ${hex(header.offset)}` };
    }
    if (header) broken.push(brokenHeader(name, header));
  }
  if (elf) {
    const others = broken.length > 0 ? ` (${broken.join('; ')})` : '';
    return { protocol: 'elf', reason: `the image is ELF without a header of a boot protocol${others}` };
  }
  if (broken.length > 0) throw new MachineError(`${image.name}: ${broken.join('; ')}. Correct the header.`);
  if (isBootSector(image.bytes)) {
    return { protocol: 'raw', reason: 'the image begins with a boot sector (0x55 0xaa at offset 510)' };
  }
  // Not an image of any kind known here: the ELF reader says what it begins with.
  return withAdvice(() => ({ protocol: 'elf', reason: String(readElf(image).entry) }));
}

export const brokenHeader = (name: string, { offset, problem }: FoundHeader): string =>
  `the place with the magic number of ${name} at file offset ${hex(offset)} is no header: ${problem ?? ''}`;

export const isBootSector = (bytes: Uint8Array): boolean =>
  bytes.length >= SECTOR && bytes.length % SECTOR === 0 && bytes[510] === 0x55 && bytes[511] === 0xaa;

function withAdvice<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof MachineError)) throw error;
    throw new MachineError(
      `${error.message} It has no multiboot header and no boot sector either. To load it as it is, say boot "raw" and where.`,
    );
  }
}
