import type { Taps } from '../cpu/taps';

type Mutable = { -readonly [Name in keyof Taps]: Taps[Name] };
type Callback = (...values: never[]) => void;

const NAMES = [
  'vmExit',
  'vmExitBegin',
  'vmEntryBegin',
  'vmEntry',
  'vmEntryFailed',
  'exception',
  'interrupt',
  'tripleFault',
  'controlRegister',
  'tlbFlush',
  'staleTranslation',
  'dma',
] as const satisfies readonly (keyof Taps)[];
/** Fails to compile when a tap is missing from NAMES. */
type Missing = Exclude<keyof Taps, (typeof NAMES)[number]>;
const complete: [Missing] extends [never] ? true : Missing = true;
void complete;

/**
 * Joins several listeners into the one set of taps that the processor knows. With none a tap is `undefined` and with
 * one it is that listener's own function: fan-out costs only those who use it.
 */
export class TapHub {
  /** What the processor is given; its fields change as listeners come and go. */
  readonly taps: Taps;
  private readonly joined: Mutable = {};
  private listeners: readonly Taps[] = [];

  constructor() {
    this.taps = this.joined;
  }

  /** Listeners are called in the order they were added. @returns the way to remove it */
  add(listener: Taps): () => void {
    this.listeners = [...this.listeners, listener];
    this.join();
    return () => {
      this.listeners = this.listeners.filter((other) => other !== listener);
      this.join();
    };
  }

  private join(): void {
    for (const name of NAMES) this.joinOne(name);
  }

  private joinOne(name: keyof Taps): void {
    const callbacks = this.listeners.flatMap((listener) => {
      const callback = listener[name] as Callback | undefined;
      return callback ? [callback.bind(listener)] : [];
    });
    const [first] = callbacks;
    const joined: Callback | undefined = callbacks.length > 1 ? inTurn(callbacks) : first;
    (this.joined as Record<string, Callback | undefined>)[name] = joined;
  }
}

/** No tap has more than four values; spreading them would allocate at every VM exit. */
const inTurn =
  (callbacks: readonly Callback[]): Callback =>
  (a, b, c, d) => {
    for (const callback of callbacks) callback(a, b, c, d);
  };
