import type { PageImages } from './page-images';

/**
 * A moment whose machine state is kept, and the piece of time from it to the next one. `images` are of the pages that
 * changed in that piece: as they are at its beginning for a piece that lies behind the machine, at its end for one ahead;
 * undefined: not known, as what is ahead of everything that ran, or no longer kept.
 */
export interface Landmark<State> {
  readonly moment: number;
  /** Inputs that the machine had been given: at one moment there may be landmarks with more and more of them */
  readonly given: number;
  readonly state: State;
  /** What the state takes */
  readonly bytes: number;
  images: PageImages | undefined;
  /** What it costs to run to the next one, in milliseconds */
  cost: number;
  /** Pages that this piece and the next have in common; -1: to be counted */
  shared: number;
}

/** The index of the last landmark at or before a moment, with at most so many inputs given; the first one's is 0. */
export function indexAt(landmarks: readonly Landmark<unknown>[], moment: number, given: number): number {
  let [low, high] = [0, landmarks.length];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    const mark = landmarks[middle];
    if (mark && (mark.moment < moment || (mark.moment === moment && mark.given <= given))) low = middle;
    else high = middle;
  }
  return low;
}

/** Replays of the last so many milliseconds are as likely to be wanted as each other; of what is older, less with age. */
const HORIZON = 10_000;
const PAGE = 4096;

/** What may be forgotten: a landmark, so that two pieces become one, or (index 0) how to get over the first piece. */
export interface Sacrifice {
  readonly index: number;
  /** What replays then cost more, set against what is gained */
  readonly loss: number;
}

/**
 * The cheapest thing to forget. By the rule the distances of landmarks grow in proportion to their age beyond HORIZON, and
 * pieces that are expensive to run, or free little, stay longer.
 * @param at where RAM is: this landmark must stay, and the last one, which is the end of all that ran
 */
export function cheapestSacrifice(landmarks: readonly Landmark<unknown>[], at: number): Sacrifice | undefined {
  let best: Sacrifice | undefined;
  const propose = (index: number, cost: number, age: number, freed: number): void => {
    const loss = cost / (HORIZON + Math.abs(age)) / freed;
    if (!best || loss < best.loss) best = { index, loss };
  };
  let age = 0;
  for (let i = 0; i < at; i++) age += landmarks[i]?.cost ?? 0;
  for (const [index, here] of landmarks.entries()) {
    const previous = landmarks[index - 1];
    if (!previous) {
      if (at > 0 && here.images && here.images.count > 0) propose(0, here.cost, age, here.images.count);
    } else if (index !== at && index < landmarks.length - 1) {
      propose(index, previous.cost + here.cost, age, gain(previous, here));
    }
    age -= here.cost;
  }
  return best;
}

/** Pages that are freed when the landmark between two pieces is forgotten */
function gain(previous: Landmark<unknown>, here: Landmark<unknown>): number {
  const state = (here.bytes + PAGE - 1) / PAGE;
  if (!previous.images || !here.images) return state + (previous.images?.count ?? 0) + (here.images?.count ?? 0);
  if (previous.shared < 0) previous.shared = previous.images.shared(here.images);
  return state + previous.shared;
}
