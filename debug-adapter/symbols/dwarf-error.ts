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
