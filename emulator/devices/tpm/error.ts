/**
 * A command that fails, with its response code. Part 2, clause 6.6.2: a format-one code (bit 7) also says which handle,
 * parameter or session is wrong: bits 11:8 its number, bit 6 a parameter, bit 11 a session.
 */
export class TpmError extends Error {
  constructor(readonly code: number) {
    super(`TPM response code 0x${code.toString(16)}`);
  }
}

const FORMAT_ONE = 0x080;
const PARAMETER = 0x040;
const SESSION = 0x800;
/** What says which one is wrong already */
const NUMBERED = 0xf40;

const add = (code: number, bits: number): number => (code & FORMAT_ONE && !(code & NUMBERED) ? code | bits : code);

export const ofParameter = (code: number, n: number): number => add(code, PARAMETER | (n << 8));
export const ofHandle = (code: number, n: number): number => add(code, n << 8);
export const ofSession = (code: number, n: number): number => add(code, SESSION | (n << 8));

export function fail(code: number): never {
  throw new TpmError(code);
}

export const failParameter = (code: number, n: number): never => fail(ofParameter(code, n));
export const failHandle = (code: number, n: number): never => fail(ofHandle(code, n));

/** Runs something and numbers the format-one code that it fails with. */
export function numbered<T>(number: (code: number) => number, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof TpmError) throw new TpmError(number(error.code));
    throw error;
  }
}
