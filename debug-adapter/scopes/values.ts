import type { Context } from '../../emulator/machine/api';
import type { ValueView, NamedValue, FormatLetter } from '../expression/api';
import type { WriteRequest } from '../symbols/api';
import type { Debuggee } from '../launch/debuggee';
import { formatReference } from '../memory/reference';
import { silentError, userError } from '../session/errors';
import type { Place } from '../watch/place';
import type { Container, Variable } from './container';

/** How values are shown: DAP's ValueFormat asks for hexadecimal, an expression's ",x" for more. */
export interface ValueFormat {
  readonly hex?: boolean;
}

const letterOf = (format: ValueFormat | undefined): FormatLetter | undefined => (format?.hex ? 'x' : undefined);

/** A C value of a context as a variable with its members or elements below it. */
export function variableOf(
  { name, evaluateName, value }: NamedValue,
  debuggee: Debuggee,
  context: Context,
  format?: ValueFormat,
): Variable {
  const letter = letterOf(format);
  return {
    name,
    value: letter ? value.format(letter) : value.text,
    type: value.typeName,
    place: placeOfValue(evaluateName ?? name, value, context),
    ...(evaluateName === undefined ? {} : { evaluateName }),
    ...(value.memoryReference === undefined
      ? {}
      : { memoryReference: formatReference('linear', context.id, value.memoryReference) }),
    ...(value.namedChildren + value.indexedChildren > 0
      ? { container: childrenOf(value, debuggee, context, format) }
      : {}),
  };
}

/** Where a value lies in a context; undefined: it is computed. */
export function placeOfValue(name: string, value: ValueView, context: Context): Place | undefined {
  const { stored } = value;
  if (!stored) return undefined;
  if ('register' in stored) return { kind: 'register', name: stored.register, context: context.id };
  return { kind: 'memory', name, space: 'linear', context: context.id, ...stored };
}

function childrenOf(value: ValueView, debuggee: Debuggee, context: Context, format?: ValueFormat): Container {
  const show = (child: NamedValue) => variableOf(child, debuggee, context, format);
  return {
    list: (start, count) => value.children(start, count).map(show),
    ...(value.indexedChildren > 0 ? { indexed: value.indexedChildren } : {}),
    named: value.namedChildren,
    set: (name, text) => assignIn(() => value.children(), name, text, debuggee, context, format),
  };
}

/** Assigns the child of this name among those that `children` gives, and shows it anew. */
export function assignIn(
  children: () => readonly NamedValue[],
  name: string,
  text: string,
  debuggee: Debuggee,
  context: Context,
  format?: ValueFormat,
): Variable {
  const find = () => children().find((child) => child.name === name);
  const child = find();
  if (!child) throw silentError(`there is no variable "${name}" here`);
  apply(child.value.assign(text), debuggee, context);
  return variableOf(find() ?? child, debuggee, context, format);
}

/** Carries out what the evaluator asks for; throws RequestError when the machine refuses. */
export function apply(write: WriteRequest, debuggee: Debuggee, context: Context): void {
  const { machine } = debuggee;
  if (write.kind === 'register') {
    if (!context.registers.write(write.name, write.value)) {
      throw userError(`${write.name} cannot be written in a context that does not run`);
    }
  } else if (machine.writeMemory(context.space, write.address, write.bytes) < write.bytes.length) {
    throw userError(`0x${write.address.toString(16)} is no writable memory in this address space`);
  }
}
