import assert from 'node:assert/strict';
import { newestFirst, rangeNodes, subgroups, type Range } from '../../extension/views/model/ranges';
import type { TreeNode } from '../../extension/views/model/node';

/** Every row number below the nodes, in the order in which a user who opens everything reads them. */
async function readAll(nodes: readonly TreeNode[], numbers: number[] = []): Promise<number[]> {
  for (const node of nodes) {
    if (node.children) await readAll(await node.children(), numbers);
    else numbers.push(Number(node.label));
  }
  return numbers;
}

const rows = ({ start, end }: Range): Promise<TreeNode[]> =>
  Promise.resolve(
    Array.from({ length: end - start }, (_, index) => ({ id: `${start + index}`, label: `${start + index}` })),
  );
const tree = (total: number) => rangeNodes('list', total, ({ start, end }) => `${start}-${end}`, rows);

describe('rows in groups, newest first', () => {
  for (const total of [0, 1, 100, 199, 200, 201, 12_345, 1_023_456]) {
    it(`shows each of ${total} rows once, in falling order`, async () => {
      const read = await readAll(await tree(total));
      assert.equal(read.length, total);
      assert.ok(read.every((row, index) => row === total - 1 - index));
    });
  }

  it('never has more than a page of entries below a group, nor many at the top', () => {
    const { rows: loose, groups } = newestFirst(99_999_999);
    assert.ok(loose.end - loose.start < 200);
    assert.ok(groups.length < 4 * 100);
    const widest = (range: Range): number => {
      const inner = subgroups(range);
      return inner ? Math.max(inner.length, ...inner.slice(0, 1).map(widest)) : range.end - range.start;
    };
    assert.equal(Math.max(...groups.map(widest)), 100);
  });

  it('keeps a group while the list grows', () => {
    const names = (total: number) => newestFirst(total).groups.map(({ start, end }) => `${start}-${end}`);
    assert.deepEqual(names(450), ['200-300', '100-200', '0-100']);
    for (const name of names(450)) assert.ok(names(9_000).includes(name), name);
  });
});
