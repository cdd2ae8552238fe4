/** What DAP's evaluate request answers, as far as an address can be read from it. */
export interface Evaluation {
  readonly result: string;
  readonly memoryReference?: string;
}

const literal = /^0x[0-9a-f]{1,16}$/i;

/** An address that needs no evaluation, as the adapter takes it; undefined for an expression. */
export function literalAddress(text: string): string | undefined {
  const compact = text.replace(/[`_']/g, '');
  return literal.test(compact) ? compact.toLowerCase() : undefined;
}

/**
 * The address, in the form in which the adapter takes it, that an expression stands for: where its memory is when it has some (a pointer's target, an object's
 * place), else its value. Undefined when it is neither.
 */
export function addressOf({ result, memoryReference }: Evaluation): string | undefined {
  if (memoryReference) return memoryReference;
  const hexadecimal = /\b0x[0-9a-f]{1,16}\b/i.exec(result)?.[0];
  if (hexadecimal) return hexadecimal;
  return /^\d+$/.test(result) ? `0x${BigInt(result).toString(16)}` : undefined;
}
