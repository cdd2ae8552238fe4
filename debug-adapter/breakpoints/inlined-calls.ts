import { InlinedCall, type Scope } from '../symbols/functions';
import type { Program } from '../symbols/program';

/**
 * Where calls of each function begin that the compiler inlined: link addresses by the function's name. A breakpoint on
 * a function that was inlined everywhere would else never be hit.
 */
export function inlinedCallsOf(program: Program): ReadonlyMap<string, readonly bigint[]> {
  let calls = known.get(program);
  if (!calls) {
    calls = new Map();
    for (const unit of program.units.compile) {
      for (const subprogram of program.functionsOf(unit)) {
        const found = calls;
        program.guard(() => collect(subprogram, found), undefined);
      }
    }
    known.set(program, calls);
  }
  return calls;
}

const known = new WeakMap<Program, Map<string, bigint[]>>();

function collect(scope: Scope, calls: Map<string, bigint[]>): void {
  for (const inner of scope.scopes) {
    const [first] = inner.ranges;
    if (inner instanceof InlinedCall && first) {
      const there = calls.get(inner.name);
      if (there) there.push(first.low);
      else calls.set(inner.name, [first.low]);
    }
    collect(inner, calls);
  }
}
