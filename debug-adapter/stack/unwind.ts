import type { Frame, FunctionSymbol, MemoryReader, RegisterValues, SourcePlace } from '../symbols/api';
import { InlinedCall, Subprogram } from '../symbols/functions';
import type { LoadedProgram, ProgramSet } from '../symbols/program-set';
import { registerNumbers } from '../symbols/register-numbers';
import { callerByCallFrames } from './unwind-cfi';
import { callerByFramePointer } from './unwind-frame-pointer';
import type { CallerStep, UnwindInput } from './unwind-step';

export interface UnwindOptions {
  /** Of the code that runs: 8 in 64-bit mode, 4 in 32-bit mode. Default 8 */
  readonly addressSize?: 4 | 8;
  /** Physical frames at most. Default 256 */
  readonly limit?: number;
}

/**
 * The call stack, innermost frame first. `registers` by DWARF number must contain the instruction pointer and the stack
 * pointer. Call frame information tells callers where it exists; elsewhere the function's way to its RET does, or the chain of frame
 * pointers. The walk
 * ends when the return address is 0, undefined or in no known image, when a frame makes no progress, or at the limit.
 * Inlined calls become frames of their own. Never throws for bad memory or bad debug information.
 */
export function unwind(
  set: ProgramSet,
  registers: RegisterValues,
  memory: MemoryReader,
  options: UnwindOptions = {},
): Frame[] {
  const addressSize = options.addressSize ?? 8;
  const limit = options.limit ?? 256;
  const numbers = registerNumbers(addressSize);
  const frames: Frame[] = [];
  let current = registers;
  let interrupted = true;
  let previous: bigint | undefined;
  const firstFrameOf: number[] = [];
  for (let depth = 0; depth < limit; depth++) {
    const pc = current.get(numbers.pc);
    if (pc === undefined) break;
    // A caller's pc stands behind its call, which may be the first instruction of something else.
    const lookup = interrupted ? pc : pc - 1n;
    const image = set.imageAt(lookup);
    const input: UnwindInput = { set, image, pc, lookup, registers: current, memory, addressSize };
    let step = callerOf(input);
    if (!('stop' in step)) step = checked(step, input, previous, interrupted);
    const cfa = step.cfa;
    firstFrameOf.push(frames.length);
    const index = depth;
    const caller = () => {
      const first = firstFrameOf[index + 1];
      return first === undefined ? undefined : frames[first];
    };
    const unwoundBy = 'stop' in step ? step.stop : step.by;
    for (const view of viewsOf(image, lookup)) {
      frames.push({ pc, lookup, depth, cfa, registers: current, image, caller, unwoundBy, ...view });
    }
    if ('stop' in step) break;
    previous = cfa;
    interrupted = step.interrupted;
    current = step.registers;
  }
  return frames;
}

function callerOf(input: UnwindInput): CallerStep {
  return callerByCallFrames(input) ?? callerByFramePointer(input);
}

/** A caller must have another place and lie further up the stack, unless an interrupt switched stacks. */
function checked(
  step: Exclude<CallerStep, { stop: string }>,
  input: UnwindInput,
  previous: bigint | undefined,
  interrupted: boolean,
): CallerStep {
  const pc = step.registers.get(registerNumbers(input.addressSize).pc);
  if (pc === undefined) return { stop: 'the return address is not known', cfa: step.cfa };
  if (pc === 0n) return { stop: 'the return address is 0', cfa: step.cfa };
  if (previous !== undefined && !interrupted && !step.interrupted && step.cfa <= previous) {
    return { stop: 'the stack makes no progress (damaged?)', cfa: step.cfa };
  }
  if (step.cfa === previous && pc === input.pc)
    return { stop: 'the stack makes no progress (damaged?)', cfa: step.cfa };
  return step;
}

type View = Pick<Frame, 'name' | 'place' | 'inlined' | 'scope'>;

/** The function at an address and the calls inlined into it there, innermost first */
function viewsOf(image: LoadedProgram | undefined, lookup: bigint): View[] {
  if (!image) return [{ name: undefined, place: undefined, inlined: false, scope: undefined }];
  const row = image.lineAt(lookup);
  let place: SourcePlace | undefined = row && { file: row.file, line: row.line, column: row.column };
  const scopes = image.program
    .scopesAt(image.toLink(lookup))
    .filter((s): s is Subprogram | InlinedCall => s instanceof Subprogram || s instanceof InlinedCall);
  const views: View[] = [];
  for (const scope of [...scopes].reverse()) {
    const inlined = scope instanceof InlinedCall;
    views.push({ name: scope.name, place, inlined, scope });
    if (inlined) place = scope.call;
  }
  if (views.length > 0) return views;
  const f: FunctionSymbol | undefined = image.functionAt(lookup);
  const name = f?.name ?? image.symbolAt(lookup)?.name;
  return [{ name, place, inlined: false, scope: undefined }];
}
