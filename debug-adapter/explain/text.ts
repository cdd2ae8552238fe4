import type { Explained } from './row';

const COLUMN = 20;

/** Several lines: title, paragraph, facts, section */
export function textOf(row: Explained): string {
  const number = row.number ? ` ${row.number.text}` : '';
  const title = row.name === row.symbol ? `${row.symbol}${number}` : `${row.name} (${row.symbol}${number})`;
  const facts = [...row.facts, ['Manual', row.section] as const];
  return [title, row.explanation, ...facts.map(([label, value]) => `  ${label.padEnd(COLUMN)}${value}`), ''].join('\n');
}

/** One line, for lists */
export const lineOf = (row: Explained): string =>
  [row.number?.text, row.symbol, row.name === row.symbol ? undefined : row.name]
    .filter((part) => part !== undefined)
    .join('  ');

/** The row for machines; facts by label */
export const objectOf = (kind: string, row: Explained): Readonly<Record<string, unknown>> => ({
  kind,
  symbol: row.symbol,
  name: row.name,
  ...(row.number ? { number: row.number.value } : {}),
  explanation: row.explanation,
  facts: Object.fromEntries(row.facts),
  section: row.section,
});
