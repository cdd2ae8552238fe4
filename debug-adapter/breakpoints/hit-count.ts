import { userError } from '../session/errors';

/** Whether a breakpoint stops at its n-th hit, n from 1. */
export type HitCondition = (hits: number) => boolean;

const operators: Readonly<Record<string, (hits: number, value: number) => boolean>> = {
  '>': (hits, value) => hits > value,
  '>=': (hits, value) => hits >= value,
  '<': (hits, value) => hits < value,
  '<=': (hits, value) => hits <= value,
  '=': (hits, value) => hits === value,
  '==': (hits, value) => hits === value,
  '%': (hits, value) => hits % value === 0,
};

/** "> 3", ">= 3", "< 3", "<= 3", "== 3", "% 3" (every third); a bare number n means "== n". */
export function parseHitCondition(text: string): HitCondition {
  const match = /^\s*(>=|<=|==|=|>|<|%)?\s*(\d{1,15})\s*$/.exec(text);
  const value = Number(match?.[2]);
  const compare = operators[match?.[1] ?? '=='];
  if (!match || !compare || (match[1] === '%' && value === 0)) {
    throw userError(`hit count "${text}" is not understood: write a number, or one of > >= < <= == % before it`);
  }
  return (hits) => compare(hits, value);
}
