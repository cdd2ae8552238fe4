import type { EntryContext } from './context';
import type { EntryCheck } from './row';

const NOTHING_PASSED = -1;

/** The first rule that does not hold, or undefined. */
export function firstFailure(checks: readonly EntryCheck[], c: EntryContext): EntryCheck | undefined {
  for (const check of checks) if (!check.holds(c)) return check;
  return undefined;
}

/**
 * Rules that are functions of known VMCS slots and a few facts besides. While all of these are what they were when
 * the rules last held, the rules hold again and are not evaluated: a guest that is resumed a thousand times has its
 * segments and its host state checked once. The comparison is with values, so nothing has to be told of a change.
 */
export class CheckGroup {
  private readonly passed: Int32Array;
  private passedFacts = NOTHING_PASSED;

  /**
   * @param slots every slot that the rules read, apart from what `facts` tells
   * @param facts everything else that they read, as a number not below 0
   */
  constructor(
    private readonly checks: readonly EntryCheck[],
    private readonly slots: readonly number[],
    private readonly facts: (c: EntryContext) => number,
  ) {
    this.passed = new Int32Array(slots.length * 2);
  }

  firstFailure(c: EntryContext): EntryCheck | undefined {
    const facts = this.facts(c);
    if (facts === this.passedFacts && c.vmcs.equal(this.slots, this.passed)) return undefined;
    const failure = firstFailure(this.checks, c);
    this.passedFacts = failure ? NOTHING_PASSED : facts;
    if (!failure) c.vmcs.copy(this.slots, this.passed);
    return failure;
  }
}
