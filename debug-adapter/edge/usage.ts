/** Wrong use of the command line; the message says what is wrong. */
export class UsageError extends Error {}

export function whole(text: string | undefined, option: string, most: number): number {
  const value = /^\d{1,16}$/.test(text ?? '') ? Number(text) : NaN;
  if (!(value <= most)) throw new UsageError(`${option} needs a whole number up to ${most}, not "${text ?? ''}"`);
  return value;
}
