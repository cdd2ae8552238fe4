/** What there is to say about one row of a table: for the command line and for whatever shows explanations. */
export interface Explained {
  /** As in the tables: "EPT_VIOLATION"; unique among the rows of a kind */
  readonly symbol: string;
  /** As in the manual: "EPT violation" */
  readonly name: string;
  /** Number, encoding or index, where the row has one; `text` as people write it */
  readonly number?: { readonly value: number; readonly text: string };
  /** Everything besides that it is found by: other names of the row */
  readonly aliases: readonly string[];
  /** One paragraph of whole sentences */
  readonly explanation: string;
  /** Label and value, in the order in which to show them */
  readonly facts: readonly (readonly [label: string, value: string])[];
  /** "SDM vol. 3, 29.3.3.2" */
  readonly section: string;
}

/** One kind of thing that can be explained. */
export interface Subject {
  /** "exit": what the command line calls it */
  readonly kind: string;
  /** "exit reason": what messages call it */
  readonly title: string;
  readonly rows: readonly Explained[];
  /** The row of a number, where other numbers than the row's own mean it */
  readonly ofNumber?: (number: number) => Explained | undefined;
  /** Rows that something else than a name selects; asked when no name does */
  readonly related?: (name: string) => readonly Explained[];
}

export const hexNumber = (value: number, digits = 1): string => `0x${value.toString(16).padStart(digits, '0')}`;

/** "counts down" to "Counts down." */
export const sentence = (text: string): string => {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
};
