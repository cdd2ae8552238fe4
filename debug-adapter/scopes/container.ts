import type { DebugProtocol } from '@vscode/debugprotocol';
import { without } from '../protocol/without';
import type { Place } from '../watch/place';

export type Variable = Omit<DebugProtocol.Variable, 'variablesReference'> & {
  /** Children; absent for a leaf */
  readonly container?: Container;
  /** Where it lies; absent: nowhere */
  readonly place?: Place | undefined;
};

/** Something whose children the client may ask for, in pages. */
export interface Container {
  /** All children, or those of the page when the container can tell them without making all */
  list(start: number, count: number): readonly Variable[];
  /** Total of indexed children; undefined: children are named */
  readonly indexed?: number;
  readonly named?: number;
  /** Assigns a child; throws RequestError. Returns what the child shows now. */
  set?(name: string, text: string): Variable;
}

/** A container of few named children, made when asked for. */
export const named = (make: () => readonly Variable[], set?: Container['set']): Container => ({
  list: (start, count) => make().slice(start, start + count),
  ...(set ? { set } : {}),
});

/** Variable references of one stop: a number each, valid until execution goes on. */
export class References {
  private readonly containers = new Map<number, Container>();
  private next = 1;

  add(container: Container | undefined): number {
    if (!container) return 0;
    this.containers.set(this.next, container);
    return this.next++;
  }

  get(reference: number): Container | undefined {
    return this.containers.get(reference);
  }

  /** Numbers are not used again: an old reference must not show a new thing. */
  clear(): void {
    this.containers.clear();
  }

  protocol({ container, ...variable }: Variable): DebugProtocol.Variable {
    return {
      ...without(variable, 'place'),
      variablesReference: this.add(container),
      ...(container?.indexed === undefined ? {} : { indexedVariables: container.indexed }),
      ...(container?.named === undefined ? {} : { namedVariables: container.named }),
    };
  }
}
