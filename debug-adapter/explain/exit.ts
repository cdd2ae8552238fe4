import { qualificationFormat } from '../../emulator/arch/exit-qualification';
import { EXIT_REASONS, exitReasonSymbol, type ExitReasonSymbol } from '../../emulator/arch/exit-reasons';
import type { Explained, Subject } from './row';

function explain(symbol: ExitReasonSymbol): Explained {
  const { number, name, explanation, section } = EXIT_REASONS[symbol];
  return {
    symbol,
    name,
    number: { value: number, text: String(number) },
    aliases: [],
    explanation,
    facts: [['Exit qualification', qualificationFormat(number) ?? 'none']],
    section: `SDM vol. 3, ${section}`,
  };
}

const rows = new Map((Object.keys(EXIT_REASONS) as ExitReasonSymbol[]).map((symbol) => [symbol, explain(symbol)]));

/** VM-exit reasons; also by the value of the exit-reason field, bit 31 and all. */
export const exits: Subject = {
  kind: 'exit',
  title: 'exit reason',
  rows: [...rows.values()],
  ofNumber: (number) => {
    const symbol = exitReasonSymbol(number);
    return symbol && rows.get(symbol);
  },
};
