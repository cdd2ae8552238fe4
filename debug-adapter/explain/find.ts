import { distance } from './distance';
import type { Explained, Subject } from './row';

/** Case, and whether words are parted by blanks, "_" or "-", do not matter. */
const plain = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[\s_-]+/g, ' ')
    .trim();

/** All that a row is found by, as people write it. */
export const namesOf = (row: Explained): readonly string[] => [
  row.symbol,
  row.name,
  ...row.aliases,
  // "EPT pointer (EPTP)" is found by "EPT pointer" and by "EPTP"
  ...[row.name.replace(/ \([^)]*\)$/, ''), /\(([^)]*)\)$/.exec(row.name)?.[1] ?? row.name],
  ...(row.number ? [row.number.text] : []),
];

function numberOf(name: string): number | undefined {
  return /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(name.trim()) ? Number(name) : undefined;
}

/** The rows of a name or number, several where they share it; empty when there is none. */
export function find(subject: Subject, name: string): readonly Explained[] {
  const number = numberOf(name);
  if (number !== undefined) {
    const row = subject.rows.find((one) => one.number?.value === number) ?? subject.ofNumber?.(number);
    return row ? [row] : (subject.related?.(name) ?? []);
  }
  const wanted = plain(name);
  const exact = subject.rows.find((row) => row.symbol === name);
  if (exact) return [exact];
  const named = subject.rows.filter((row) => namesOf(row).some((one) => plain(one) === wanted));
  return named.length > 0 ? named : (subject.related?.(name) ?? []);
}

const LIKE = 5;

/** Symbols of the rows whose names are most like one that was not found, the nearest first. */
export function nearest(subject: Subject, name: string): readonly string[] {
  const wanted = plain(name);
  const far = (row: Explained): number =>
    Math.min(
      ...namesOf(row).map((one) => {
        const text = plain(one);
        // A part of a name is nearer than any misspelling of the whole.
        return wanted !== '' && text.includes(wanted) ? 0 : distance(text, wanted);
      }),
    );
  return subject.rows
    .map((row) => ({ symbol: row.symbol, far: far(row) }))
    .sort((a, b) => a.far - b.far)
    .slice(0, LIKE)
    .map(({ symbol }) => symbol);
}
