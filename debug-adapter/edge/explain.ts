import { find, nearest, type Subject } from '../explain';
import { lineOf, objectOf, textOf } from '../explain/text';

export interface ExplainOptions {
  readonly subject: Subject;
  /** Undefined: list what there is */
  readonly name: string | undefined;
  readonly json: boolean;
}

/** `undervisor explain`: prints rows of the tables. Resolves with the exit code; 2 when nothing has the name. */
export async function explain({ subject, name, json }: ExplainOptions): Promise<number> {
  const rows = name === undefined ? subject.rows : find(subject, name);
  if (rows.length === 0) {
    const like = nearest(subject, name ?? '').join(', ');
    process.stderr.write(`undervisor: there is no ${subject.title} "${name ?? ''}"; nearest: ${like}\n`);
    return 2;
  }
  const lines = json
    ? rows.map((row) => JSON.stringify(objectOf(subject.kind, row)))
    : rows.map(name === undefined ? lineOf : textOf);
  // Blank lines part several explanations; the last needs none.
  await new Promise<void>((done) => process.stdout.write(`${lines.join('\n').trimEnd()}\n`, () => done()));
  return 0;
}
