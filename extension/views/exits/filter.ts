import type { ExitKind } from '../../../debug-adapter/protocol/requests';
import { count } from '../model/node';

/** What VM Exits is narrowed to: exits of these layers, for these reasons; none of a sort = any. */
export interface ExitFilter {
  readonly layers: readonly string[];
  readonly reasons: readonly { readonly reason: number; readonly name: string }[];
}

/** A layer or a reason that can be chosen. */
export interface Choice {
  readonly label: string;
  readonly description: string;
  readonly picked: boolean;
  readonly layer?: string;
  readonly reason?: number;
}

/** `EPT violation, CPUID \u00b7 guest` */
export function filterInWords({ layers, reasons }: ExitFilter): string {
  return [reasons.map(({ name }) => name).join(', '), layers.join(', ')].filter(Boolean).join(' \u00b7 ');
}

/** The arguments of undervisor/exits that say the same. */
export const filterArguments = ({ layers, reasons }: ExitFilter): { layers?: string[]; reasons?: number[] } => ({
  ...(layers.length > 0 && { layers: [...layers] }),
  ...(reasons.length > 0 && { reasons: reasons.map(({ reason }) => reason) }),
});

/** The layers and the reasons seen so far, the most frequent first; what is chosen stays there even if unseen. */
export function choices(kinds: readonly ExitKind[], filter?: ExitFilter): { layers: Choice[]; reasons: Choice[] } {
  const layers = new Map<string, number>(filter?.layers.map((layer) => [layer, 0]));
  const reasons = new Map<number, number>(filter?.reasons.map(({ reason }) => [reason, 0]));
  const names = new Map<number, string>(filter?.reasons.map(({ reason, name }) => [reason, name]));
  for (const { layer, reason, name, count: exits } of kinds) {
    layers.set(layer, (layers.get(layer) ?? 0) + exits);
    reasons.set(reason, (reasons.get(reason) ?? 0) + exits);
    names.set(reason, name);
  }
  const sorted = <Key>(counts: ReadonlyMap<Key, number>) => [...counts].sort(([, a], [, b]) => b - a);
  return {
    layers: sorted(layers).map(([layer, exits]) => ({
      label: layer,
      description: count(exits),
      picked: filter?.layers.includes(layer) ?? false,
      layer,
    })),
    reasons: sorted(reasons).map(([reason, exits]) => ({
      label: names.get(reason) ?? String(reason),
      description: count(exits),
      picked: filter?.reasons.some((chosen) => chosen.reason === reason) ?? false,
      reason,
    })),
  };
}

/** The filter that stands for what was chosen; undefined when nothing was. */
export function filterOf(chosen: readonly Choice[]): ExitFilter | undefined {
  if (chosen.length === 0) return undefined;
  return {
    layers: chosen.flatMap(({ layer }) => layer ?? []),
    reasons: chosen.flatMap(({ reason, label }) => (reason === undefined ? [] : { reason, name: label })),
  };
}
