import type { ExitRow, ExitsResponse } from '../../../debug-adapter/protocol/requests';
import { count, detail, type TreeNode } from '../model/node';
import { rangeNodes, type Range } from '../model/ranges';
import { RecordedRows } from '../model/recorded-rows';

/** The recorded VM exits as a tree, newest first; a row opens into its details. */
export class ExitsModel {
  private readonly exits: RecordedRows<ExitRow>;

  constructor(fetch: (start: number, count: number) => Promise<ExitsResponse>) {
    this.exits = new RecordedRows(fetch);
  }

  async nodes(): Promise<readonly TreeNode[]> {
    const total = await this.exits.total();
    return rangeNodes('exits', total, groupName, async (range) => (await this.exits.rows(range)).map(exitNode));
  }
}

function groupName({ start, end }: Range): string {
  return `Exits ${count(start + 1)} to ${count(end)}`;
}

/** `12  EPT violation` | `guest  touch+0x1f  write to guest-physical 0x5000` */
export function exitNode(exit: ExitRow): TreeNode {
  const id = `exit/${exit.n}`;
  const place = exit.symbol || exit.rip;
  return {
    id,
    label: `${exit.n}  ${exit.name}`,
    description: [exit.layer, place, exit.qualification].filter(Boolean).join('  \u00b7  '),
    tooltip: [
      `VM exit ${count(exit.n)}: ${exit.name} (${exit.reason})`,
      `in ${exit.layer} at ${place}`,
      exit.qualification,
    ]
      .filter(Boolean)
      .join('\n'),
    children: () => [
      detail(id, 'Reason', `${exit.name} (${exit.reason})`),
      ...(exit.qualification ? [detail(id, 'Qualification', exit.qualification)] : []),
      detail(id, 'Layer', exit.layer),
      detail(id, 'RIP', exit.symbol ? `${exit.rip}  ${exit.symbol}` : exit.rip),
      detail(id, 'vCPU', String(exit.vcpu)),
      detail(id, 'Instruction', `${count(exit.instruction)} since reset`),
    ],
  };
}
