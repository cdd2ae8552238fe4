import type { UnwindInput } from './unwind-step';

/** Whether the bytes before the address are a near CALL: E8 rel32, or FF /2 with its possible lengths (SDM vol. 2A) */
export function isReturnAddress(input: UnwindInput, address: bigint): boolean {
  const image = input.set.imageAt(address - 1n);
  if (!image?.program.isCode(image.toLink(address - 1n))) return false;
  const before = input.memory(address - 7n, 7);
  if (before.length < 7) return false;
  if (before[2] === 0xe8) return true;
  return [0, 1, 3, 4, 5].some((at) => before[at] === 0xff && ((before[at + 1]! >> 3) & 7) === 2);
}
