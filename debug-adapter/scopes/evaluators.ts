import type { Context } from '../../emulator/machine/api';
import { Evaluator } from '../expression/evaluator';
import type { Debuggee } from '../launch/debuggee';
import { addressSizeOf, memoryOf, unwindContext } from '../stack/call-stack';
import type { Frame } from '../symbols/api';
import { ProgramSet } from '../symbols/program-set';

const NOTHING = new ProgramSet();

/** The C evaluator in a frame of a context: its layer's symbols, its address space, its registers. */
export function evaluatorIn(debuggee: Debuggee, context: Context, frame: Frame | undefined): Evaluator {
  const set = debuggee.layers.imageOf(context)?.set ?? NOTHING;
  return new Evaluator(set, {
    memory: memoryOf(debuggee, context),
    registers: (name) => context.registers.read(name),
    frame,
    addressSize: addressSizeOf(context),
  });
}

/** In the innermost frame of a context: for conditions and log points. */
export const evaluatorAt = (debuggee: Debuggee, context: Context): Evaluator =>
  evaluatorIn(debuggee, context, unwindContext(debuggee, context)[0]);

/** A condition as C has it: anything but zero. Throws ExpressionError, also for a struct. */
export function isTrue(evaluator: Evaluator, expression: string): boolean {
  // By itself first: what is wrong with it is then said about what the user wrote.
  evaluator.evaluate(expression);
  return evaluator.evaluate(`!(${expression})`).text === '0';
}
