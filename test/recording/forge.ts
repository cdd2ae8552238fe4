import { chunk, ChunkType, preamble, readChunks } from '../../emulator/timeline/recording/chunks';

/** A recording whose machine has another seed: all checksums are right, but its run is another's. */
export function changedSeed(bytes: Uint8Array, seed: number): Uint8Array {
  const parts = readChunks(bytes).chunks.map(({ type, payload }, number) => {
    if (type !== ChunkType.HEADER) return chunk(type, number, payload);
    const header = JSON.parse(new TextDecoder().decode(payload)) as { machine: { randomSeed?: number } };
    header.machine.randomSeed = seed;
    return chunk(type, number, new TextEncoder().encode(JSON.stringify(header)));
  });
  return Buffer.concat([preamble(), ...parts]);
}
