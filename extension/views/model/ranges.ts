import type { TreeNode } from './node';

/** Half-open range of row numbers. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Rows that are shown without a group around them, and the number of entries that one group opens into. */
export const PAGE = 100;

/**
 * How the rows 0 to `total` - 1 of a list that only grows are shown, newest first: the newest 100 to 199 one by one,
 * what is older in groups of 100, 10,000, 1,000,000 ... rows. Groups are aligned to their size, so a group that exists
 * keeps its rows and its place while the list grows; the top level never holds more than 99 groups of a size.
 */
export function newestFirst(total: number): { rows: Range; groups: Range[] } {
  const start = Math.max(0, Math.floor(total / PAGE) * PAGE - PAGE);
  const groups: Range[] = [];
  for (let end = start, size = PAGE; end > 0; size *= PAGE) {
    const boundary = Math.floor(end / (size * PAGE)) * size * PAGE;
    for (; end > boundary; end -= size) groups.push({ start: end - size, end });
  }
  return { rows: { start, end: total }, groups };
}

/** The entries of a group, newest first; undefined when it opens into rows. */
export function subgroups({ start, end }: Range): Range[] | undefined {
  const size = (end - start) / PAGE;
  if (size < PAGE) return undefined;
  const groups: Range[] = [];
  for (let upper = end; upper > start; upper -= size) groups.push({ start: upper - size, end: upper });
  return groups;
}

/** Tree of a list, from the number of its rows and a way to get the nodes of a range of them (oldest first). */
export function rangeNodes(
  prefix: string,
  total: number,
  name: (range: Range) => string,
  rows: (range: Range) => Promise<readonly TreeNode[]>,
): Promise<readonly TreeNode[]> {
  const newest = async (range: Range) => [...(await rows(range))].reverse();
  const group = (range: Range): TreeNode => ({
    id: `${prefix}/${range.start}-${range.end}`,
    label: name(range),
    icon: 'folder',
    children: () => subgroups(range)?.map(group) ?? newest(range),
  });
  const { rows: loose, groups } = newestFirst(total);
  return newest(loose).then((nodes) => [...nodes, ...groups.map(group)]);
}
