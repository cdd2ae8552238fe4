/** A row of a tree view, free of VS Code: the models make these, tree-view.ts shows them. */
export interface TreeNode {
  /** Stable across refreshes, so that rows stay expanded and selected */
  readonly id: string;
  readonly label: string;
  readonly description?: string;
  readonly tooltip?: string;
  /** Name of a codicon */
  readonly icon?: string;
  /** Id of a theme colour for the icon */
  readonly color?: string;
  /** Source place that activating the row opens; its line counts from 1 */
  readonly source?: { readonly path: string; readonly line: number };
  /** What the machine can go to, to be where the row is about */
  readonly goTo?: { readonly event: number } | { readonly moment: number };
  /** Memory that the row shows, whose last write can be asked for: a memory reference and bytes */
  readonly who?: { readonly address: string; readonly bytes: number };
  /** Open when first shown */
  readonly expanded?: boolean;
  readonly children?: () => readonly TreeNode[] | Promise<readonly TreeNode[]>;
}

/** A `name: value` row inside an expanded one. */
export function detail(parent: string, name: string, value: string): TreeNode {
  return { id: `${parent}/${name}`, label: name, description: value, tooltip: `${name}: ${value}` };
}

/** A count with thousands separated, the same on every machine. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** How a row is shown that is ahead of where the machine stands in its past. */
export const AHEAD = { icon: 'debug-step-over', color: 'disabledForeground' } as const;
