import { domainOf } from './translation-caches';

const TYPES = ['second stage', 'with device TLB', 'pass-through', 'reserved type'];
const WIDTHS: Readonly<Record<number, string>> = { 1: '39-bit, 3 levels', 2: '48-bit, 4 levels' };

export const describeRootEntry = (low: number): string[] => (low & 1 ? ['present'] : ['not present']);

/** @param upper third doubleword of the context entry */
export function describeContextEntry(low: number, upper: number): string[] {
  if (!(low & 1)) return ['not present'];
  const words = ['present', TYPES[(low >>> 2) & 3] ?? '', WIDTHS[upper & 7] ?? `address width ${upper & 7}`];
  words.push(`domain ${domainOf(upper)}`);
  if (low & 2) words.push('fault processing disabled');
  return words;
}

export function describeSecondStageEntry(low: number, leaf: boolean, level: number): string[] {
  const words: string[] = [];
  if (low & 1) words.push('read');
  if (low & 2) words.push('write');
  if (words.length === 0) return ['not present'];
  if (leaf && level > 1) words.push(level === 2 ? '2-MByte page' : '1-GByte page');
  return words;
}
