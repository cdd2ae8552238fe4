/** Raw DEFLATE (RFC 1951) by the platform's own streams: the same in Node and in a browser. */
export const deflate = (bytes: Uint8Array): Promise<Uint8Array> => through(bytes, new CompressionStream('deflate-raw'));

/**
 * @param length what must come out: nothing longer is kept, so that a damaged file cannot fill the memory
 * @throws RangeError when it is not what was deflated
 */
export async function inflate(bytes: Uint8Array, length: number): Promise<Uint8Array> {
  const out = await through(bytes, new DecompressionStream('deflate-raw'), length).catch((error: unknown) => {
    throw new RangeError('the compressed bytes are damaged', { cause: error });
  });
  if (out.length !== length) throw new RangeError(`${out.length} bytes came out where ${length} were put in`);
  return out;
}

async function through(bytes: Uint8Array, by: GenericTransformStream, most = Infinity): Promise<Uint8Array> {
  const source = new Blob([bytes as BlobPart]).stream().pipeThrough(by);
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = source.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    parts.push(next.value);
    length += next.value.length;
    if (length > most) {
      await reader.cancel();
      throw new RangeError(`more than the ${most} bytes that were put in`);
    }
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
