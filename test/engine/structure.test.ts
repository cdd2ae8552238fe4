// node scripts/build.mjs --only-tests && npx mocha out/test/engine/structure.test.js
import assert from 'node:assert/strict';
import { loopHeads, structure, type Sequence } from '../../emulator/engine/translator/structure';

const SEED = Number(process.env['SEED'] ?? 20231);

function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Every node once, and every edge leads to a later item or to the head of a loop around it. */
function check(sequence: Sequence, graph: readonly (readonly number[])[], heads: ReadonlySet<number>): Set<number> {
  const later = sequence.items.map((item) => new Set(item.targets));
  const seen = new Set<number>();
  sequence.items.forEach((item, i) => {
    const forward = new Set([...heads, ...later.slice(i + 1).flatMap((targets) => [...targets])]);
    if (item.node !== undefined) {
      assert.ok(!seen.has(item.node));
      seen.add(item.node);
      for (const target of graph[item.node]!) assert.ok(forward.has(target), `edge ${item.node} -> ${target}`);
      return;
    }
    const inner = check(item.loop!, graph, new Set([...forward, ...item.targets]));
    for (const node of inner) {
      assert.ok(!seen.has(node));
      seen.add(node);
    }
  });
  return seen;
}

describe('structure', () => {
  it(`turns any graph into loops and forward jumps (SEED=${SEED})`, () => {
    const random = generator(SEED);
    for (let round = 0; round < 500; round++) {
      const size = 1 + random(14);
      const graph = Array.from({ length: size }, () => Array.from({ length: random(3) }, () => random(size)));
      const entries = [...new Set([0, ...Array.from({ length: random(3) }, () => random(size))])];
      const nodes = graph.map((_, node) => node);
      const sequence = structure(nodes, entries, (node) => graph[node]!);
      const seen = check(sequence, graph, new Set());
      const reachable = new Set<number>(entries);
      for (const node of reachable) for (const target of graph[node]!) reachable.add(target);
      assert.deepEqual([...seen].sort(), [...reachable].sort());
      if (entries.length === 1) assert.ok(sequence.items[0]!.targets.includes(0));
    }
  });

  it('names the heads of nested loops', () => {
    const graph = [[1], [2], [1, 3], [0, 4], []];
    const sequence = structure([0, 1, 2, 3, 4], [0], (node) => graph[node]!);
    assert.deepEqual(loopHeads(sequence), [0, 1]);
  });
});
