/** The shortest decimal that reads back as the same number of its format: 0.1f is "0.1", not "0.10000000149011612". */
export function formatFloat(value: number, size: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  if (Object.is(value, -0)) return '-0';
  if (size !== 4) return exponent(String(value));
  for (let digits = 1; digits <= 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return exponent(String(Number(text)));
  }
  return exponent(String(value));
}

/** As C writes exponents: at least two digits */
const exponent = (text: string): string => text.replace(/e([-+])(\d)$/, 'e$10$2');
