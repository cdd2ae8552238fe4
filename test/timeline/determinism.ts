import type { MachineInput } from '../../emulator/machine/input';
import { createMachine } from '../../emulator/machine/machine';
import { finish, type Moment, type Timeline } from '../../emulator/timeline/api';
import { createTimeline } from '../../emulator/timeline/timeline';
import { underLoad } from './load';

/** Of a run that is made several times */
export interface Plan {
  readonly seed: number;
  /** Retired by all processors together; the run is as many transitions long as that takes */
  readonly instructions: number;
  /** Moments at which the machine's hash is taken */
  readonly points: number;
  /** Times at which serial input is given, at random moments */
  readonly inputs: number;
}

/** How it is made: recorded from power-on, or again from power-on with the journal of the recording */
export type Pass = 'recorded' | 'translated' | 'interpreted';
export const PASSES: readonly Pass[] = ['recorded', 'translated', 'interpreted'];

export interface PassResult {
  readonly pass: Pass;
  /** Hash by moment, ascending */
  readonly hashes: readonly (readonly [Moment, string])[];
  readonly instructions: number;
  readonly length: Moment;
  readonly seconds: number;
  readonly translated: number;
  /** Of the recorded machine: hashes at moments that it went back to when it had come to its end */
  readonly visits: readonly (readonly [Moment, string])[];
}

/** Events take part in the count of moments: some in ten thousand. */
const MARGIN = 1.001;
const SLICE = 20_000_000;
const LONGEST_INPUT = 20;
/** Points that the recorded machine goes back to at its end */
const VISITS = 10;

/** Numbers from 0 to below `most`, the same for the same seed */
export function randomNumbers(seed: number): (most: number) => number {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  const next = (): number => {
    // SplitMix32
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  return (most) => Math.floor(((next() * 2 ** 21 + (next() >>> 11)) / 2 ** 53) * most);
}

interface PlannedInput {
  readonly moment: Moment;
  readonly bytes: Uint8Array;
}

interface Schedule {
  readonly length: Moment;
  readonly points: readonly Moment[];
  readonly inputs: readonly PlannedInput[];
}

function schedule({ seed, instructions, points, inputs }: Plan): Schedule {
  const random = randomNumbers(seed);
  const length = Math.floor(instructions * MARGIN);
  const moments = new Set([length]);
  while (moments.size < points) moments.add(random(length));
  const planned = Array.from({ length: inputs }, () => ({
    moment: random(length),
    bytes: new Uint8Array(1 + random(LONGEST_INPUT)).map(() => random(256)),
  }));
  const ascending = (a: Moment, b: Moment): number => a - b;
  return { length, points: [...moments].sort(ascending), inputs: planned.sort((a, b) => a.moment - b.moment) };
}

/** Makes the run once. `progress` is told the moment now and then. */
export function makePass(plan: Plan, pass: Pass, progress: (moment: Moment) => void = () => undefined): PassResult {
  const { length, points, inputs } = schedule(plan);
  const machine = createMachine(underLoad({ translator: pass !== 'interpreted', randomSeed: plan.seed }));
  const timeline = pass === 'recorded' ? createTimeline(machine, { recording: true }) : undefined;
  const run = (until: Moment): void => {
    const { why } = (timeline ?? machine).run(Infinity, false, undefined, until);
    if (why !== 'limit') throw new Error(`the load ended (${why}) at moment ${machine.moment}`);
  };
  const give =
    pass === 'recorded'
      ? (bytes: Uint8Array) => machine.serialInput(bytes)
      : (bytes: Uint8Array) => machine.apply({ kind: 'serial', bytes } satisfies MachineInput);
  const began = Date.now();
  const hashes: [Moment, string][] = [];
  let given = 0;
  for (const point of points) {
    for (;;) {
      for (; (inputs[given]?.moment ?? Infinity) <= machine.moment; given++) give(inputs[given]!.bytes);
      if (machine.moment === point) break;
      run(Math.min(point, inputs[given]?.moment ?? Infinity, machine.moment + SLICE));
      progress(machine.moment);
    }
    hashes.push([point, machine.stateHash()]);
  }
  const { instructions, statistics } = machine;
  const seconds = (Date.now() - began) / 1000;
  const visits = timeline ? visit(timeline, points, randomNumbers(plan.seed + 1)) : [];
  return { pass, hashes, instructions, length, seconds, translated: statistics.translated, visits };
}

/** Goes back and forth, in random order, with what is left of history by then. */
function visit(timeline: Timeline, points: readonly Moment[], random: (most: number) => number): [Moment, string][] {
  return Array.from({ length: VISITS }, () => {
    const moment = points[random(points.length)] ?? 0;
    finish(timeline.seek(moment));
    return [moment, timeline.machine.stateHash()];
  });
}

/** The moments at which passes differ, and in what */
export function differences(results: readonly PassResult[]): string[] {
  const [first, ...others] = results;
  if (!first) return ['no pass was made'];
  const known = new Map(first.hashes);
  const visited = first.visits
    .filter(([moment, hash]) => known.get(moment) !== hash)
    .map(([moment, hash]) => `${first.pass} went back to moment ${moment}: ${hash}, not ${known.get(moment)}`);
  const repeated = others.flatMap(({ pass, hashes, instructions }) => {
    const found = hashes.flatMap(([moment, hash], index) => {
      const [expectedMoment, expected] = first.hashes[index] ?? [];
      if (moment === expectedMoment && hash === expected) return [];
      return [`${pass} differs from ${first.pass} at moment ${moment}: ${hash}, not ${expected}`];
    });
    if (hashes.length !== first.hashes.length) found.push(`${pass} has ${hashes.length} points`);
    if (instructions !== first.instructions) found.push(`${pass} retired ${instructions}, not ${first.instructions}`);
    return found;
  });
  return [...visited, ...repeated];
}
