import type { AccessHit } from '../../emulator/machine/watchpoints';
import type { Debuggee } from '../launch/debuggee';
import { hex } from '../memory/reference';
import type { QuestionAnswer } from '../protocol/requests';
import type { SourceMap } from '../launch/source-map';

type When = Pick<AccessHit, 'moment' | 'vcpu' | 'context' | 'rip'>;

/** An answer that leads to a moment: in words, and with what a client needs to show the place and to go there. */
export function answerAt(text: string, { moment, vcpu, context: id, rip }: When, at: Surroundings): QuestionAnswer {
  const { debuggee, sources } = at;
  const context = debuggee.machine.contexts.find((candidate) => candidate.id === id);
  const symbol = context && debuggee.layers.symbolAt(context, rip);
  const source = symbol?.place && sources.source(symbol.place.file).path;
  return {
    text,
    moment,
    vcpu,
    rip: hex(rip),
    ...(context ? { layer: debuggee.layers.nameOf(context) } : {}),
    ...(symbol?.place && source ? { source: { path: source, line: symbol.place.line } } : {}),
  };
}

export interface Surroundings {
  readonly debuggee: Debuggee;
  readonly sources: SourceMap;
}
