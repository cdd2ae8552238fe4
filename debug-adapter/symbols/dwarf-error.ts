import { ElfError } from '../../emulator/machine/elf';

/** Debug information that cannot be read. The message says what, in which section at which offset, and what to do. */
export class DwarfError extends Error {
  override name = 'DwarfError';
  constructor(
    readonly section: string,
    readonly offset: number,
    problem: string,
    remedy = 'Build the image again with -gdwarf-4 or -gdwarf-5.',
  ) {
    super(`${problem} (at ${section}+0x${offset.toString(16)}). ${remedy}`);
  }
}

/** Whether an error tells of a damaged image (and not of a fault in the reader) */
export function isDamage(error: unknown): error is DwarfError | ElfError {
  return error instanceof DwarfError || error instanceof ElfError;
}
