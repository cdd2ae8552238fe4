import type { View } from './view';

/** The VMM, a guest, or the devices of a domain: who may reach what. */
export interface Side {
  readonly kind: 'vmm' | 'guest' | 'device';
  /** 0 for the VMM, a guest's number from 1, -1 for devices */
  readonly number: number;
  /** "the VMM", "guest 1", "device 00:01.1" */
  readonly name: string;
  readonly views: Set<View>;
}

/** Whose a page is: `VMM`, `MONITOR`, or the number of a guest. */
export const VMM = 0;
export const MONITOR = -1;

export const ownerName = (owner: number): string =>
  owner === VMM ? 'the VMM' : owner === MONITOR ? 'the monitor' : `guest ${owner}`;

/** "read, write and execute" */
export function rightsInWords(rights: number): string {
  const words = ['read', 'write', 'execute'].filter((_, bit) => (rights >> bit) & 1);
  const last = words.pop() ?? 'reach';
  return words.length === 0 ? last : `${words.join(', ')} and ${last}`;
}
