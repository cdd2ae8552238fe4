/**
 * From a control-flow graph to nested loops and blocks, the only control flow that WebAssembly has.
 *
 * The graph is cut into strongly connected components in topological order. A component of several nodes (or one with
 * an edge to itself) is a loop; the edges into its entries are cut and its inside is structured the same way. A loop
 * with several entries stays one loop: its head dispatches on the entry to continue at.
 */

/** A straight line of items; an edge only leads to a later item, or to the head of an enclosing loop. */
export interface Sequence {
  readonly items: readonly Item[];
  /** Nodes at which control arrives from outside. With one, it is in the first item. */
  readonly entries: readonly number[];
}

export interface Item {
  /** Nodes of this item that are jumped to from elsewhere in the sequence or from outside it */
  readonly targets: readonly number[];
  /** Some jump leads here, so that the item needs a label in front of it */
  readonly labelled: boolean;
  /** Set for a plain node */
  readonly node?: number;
  /** Set for a loop: its inside, with the edges to its entries cut */
  readonly loop?: Sequence;
}

export type Successors = (node: number) => readonly number[];

/** Structures those of the nodes that `entries` reach; `successors` may name others, which are ignored. */
export function structure(nodes: readonly number[], entries: readonly number[], successors: Successors): Sequence {
  const inside = new Set(nodes);
  const next = (node: number) => successors(node).filter((target) => inside.has(target));
  const components = stronglyConnected(entries, next);
  const componentOf = new Map<number, number>();
  components.forEach((component, i) => component.forEach((node) => componentOf.set(node, i)));

  const targets = components.map(() => new Set<number>());
  const labelled = components.map(() => false);
  for (const entry of entries) {
    const i = componentOf.get(entry)!;
    targets[i]!.add(entry);
    if (entries.length > 1) labelled[i] = true;
  }
  for (const [node, from] of componentOf) {
    for (const target of next(node)) {
      const to = componentOf.get(target)!;
      if (to === from) continue;
      targets[to]!.add(target);
      labelled[to] = true;
    }
  }

  const items = components.map((component, i): Item => {
    const heads = [...targets[i]!];
    const first = component[0]!;
    if (component.length === 1 && !next(first).includes(first)) {
      return { targets: heads, labelled: labelled[i]!, node: first };
    }
    const cut = new Set(heads);
    const body = structure(component, heads, (node) => next(node).filter((target) => !cut.has(target)));
    return { targets: heads, labelled: labelled[i]!, loop: body };
  });
  return { items, entries };
}

/** Every node at which a loop is entered, at any depth: the places where a region may be resumed. */
export function loopHeads(sequence: Sequence): number[] {
  return sequence.items.flatMap((item) => (item.loop ? [...item.targets, ...loopHeads(item.loop)] : []));
}

/** Tarjan's algorithm; components come out sources first. Regions are small enough for recursion. */
function stronglyConnected(nodes: readonly number[], next: Successors): number[][] {
  const index = new Map<number, number>();
  const low = new Map<number, number>();
  const stack: number[] = [];
  const onStack = new Set<number>();
  const result: number[][] = [];
  const visit = (node: number): void => {
    const order = index.size;
    index.set(node, order);
    low.set(node, order);
    stack.push(node);
    onStack.add(node);
    for (const target of next(node)) {
      if (!index.has(target)) {
        visit(target);
        low.set(node, Math.min(low.get(node)!, low.get(target)!));
      } else if (onStack.has(target)) {
        low.set(node, Math.min(low.get(node)!, index.get(target)!));
      }
    }
    if (low.get(node) !== index.get(node)) return;
    const component: number[] = [];
    for (;;) {
      const member = stack.pop()!;
      onStack.delete(member);
      component.push(member);
      if (member === node) break;
    }
    result.push(component);
  };
  for (const node of nodes) if (!index.has(node)) visit(node);
  return result.reverse();
}
