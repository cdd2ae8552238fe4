import type { DebugProtocol } from '@vscode/debugprotocol';
import { ExpressionError } from '../expression/api';
import type { Evaluator } from '../expression/evaluator';
import { without } from '../protocol/without';
import { silentError, userError } from '../session/errors';
import type { Live } from '../session/live';
import type { Variable } from './container';
import { evaluatorAt, evaluatorIn } from './evaluators';
import { apply, variableOf } from './values';

/** evaluate: a C expression, a register ($rax) or a symbol, in a frame. */
export function evaluate(args: DebugProtocol.EvaluateArguments, live: Live): DebugProtocol.EvaluateResponse['body'] {
  const { evaluator, context } = evaluatorFor(args.frameId, live);
  const variable = inWords(() => {
    const value = evaluator.evaluate(args.expression);
    // Looking at something must not change it: only the console assigns.
    if (value.write && args.context === 'repl') {
      apply(value.write, live.debuggee, context);
      live.written();
    }
    return variableOf({ name: '', evaluateName: args.expression, value }, live.debuggee, context, args.format);
  }, args.context === 'hover');
  return result(variable, live);
}

/** setExpression */
export function setExpression(
  args: DebugProtocol.SetExpressionArguments,
  live: Live,
): DebugProtocol.SetExpressionResponse['body'] {
  const { evaluator, context } = evaluatorFor(args.frameId, live);
  inWords(() => apply(evaluator.assign(args.expression, args.value), live.debuggee, context), false);
  const { result: value, ...shown } = evaluate({ ...args, context: 'watch' }, live);
  return { value, ...shown };
}

/** The evaluator in a frame, or in the innermost one of the context that is meant without */
export function evaluatorFor(frameId: number | undefined, live: Live) {
  const entry = frameId === undefined ? undefined : live.entry(frameId);
  const context = live.contextOf(frameId);
  const evaluator: Evaluator =
    entry?.kind === 'frame' ? evaluatorIn(live.debuggee, context, entry.frame) : evaluatorAt(live.debuggee, context);
  return { evaluator, context };
}

function result(variable: Variable, live: Live): DebugProtocol.EvaluateResponse['body'] {
  const shown = live.references.protocol(variable);
  return { result: shown.value, ...without(shown, 'name', 'value', 'evaluateName') };
}

/** A wrong expression is the user's to correct; while hovering it is nobody's fault. */
export function inWords<T>(task: () => T, silent: boolean): T {
  try {
    return task();
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    throw silent ? silentError(error.message) : userError(error.message);
  }
}
