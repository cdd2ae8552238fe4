import type { ExitRow, ExitsResponse } from '../../../debug-adapter/protocol/requests';
import { AHEAD, count, detail, type TreeNode } from '../model/node';
import { rangeNodes } from '../model/ranges';
import { RecordedRows } from '../model/recorded-rows';
import { filterInWords, type ExitFilter } from './filter';

/** The recorded VM exits as a tree, newest first; a row opens into its details. */
export class ExitsModel {
  private readonly exits: RecordedRows<ExitRow>;
  private matching = 0;

  constructor(
    private readonly fetch: (start: number, count: number, filter?: ExitFilter) => Promise<ExitsResponse>,
    private readonly filter?: ExitFilter,
    /** The moment at which the machine stands: rows behind it are marked */
    private readonly now: () => number = () => Infinity,
  ) {
    this.exits = new RecordedRows((start, count) => fetch(start, count, filter));
  }

  async nodes(): Promise<readonly TreeNode[]> {
    const total = (this.matching = await this.exits.total());
    const what = this.filter ? 'Matches' : 'Exits';
    return rangeNodes(
      what.toLowerCase(),
      total,
      ({ start, end }) => `${what} ${count(start + 1)} to ${count(end)}`,
      async (range) => (await this.exits.rows(range)).map((row) => exitNode(row, row.moment > this.now())),
    );
  }

  /** What the nodes were chosen by, and from how many; undefined when they are all. */
  async description(): Promise<string | undefined> {
    if (!this.filter) return undefined;
    const { total } = await this.fetch(0, 0);
    return `${filterInWords(this.filter)}, ${count(this.matching)} of ${count(total)}`;
  }
}

/** `12  EPT violation` | `guest  touch+0x1f  write to guest-physical 0x5000` */
export function exitNode(exit: ExitRow, ahead = false): TreeNode {
  const id = `exit/${exit.n}`;
  const place = exit.symbol || exit.rip;
  return {
    id,
    label: `${exit.n}  ${exit.name}`,
    description: [ahead ? 'ahead' : '', exit.layer, place, exit.qualification].filter(Boolean).join('  \u00b7  '),
    tooltip: [
      `VM exit ${count(exit.n)}: ${exit.name} (${exit.reason})`,
      `in ${exit.layer} at ${place}`,
      exit.qualification,
    ]
      .filter(Boolean)
      .join('\n'),
    ...(exit.source && { source: exit.source }),
    ...(ahead && AHEAD),
    goTo: { event: exit.event },
    children: () => [
      detail(id, 'Reason', `${exit.name} (${exit.reason})`),
      ...(exit.qualification ? [detail(id, 'Qualification', exit.qualification)] : []),
      detail(id, 'Layer', exit.layer),
      detail(id, 'RIP', exit.symbol ? `${exit.rip}  ${exit.symbol}` : exit.rip),
      detail(id, 'vCPU', String(exit.vcpu)),
      detail(id, 'Instruction', `${count(exit.instruction)} since reset`),
      detail(id, 'Moment', count(exit.moment)),
    ],
  };
}
