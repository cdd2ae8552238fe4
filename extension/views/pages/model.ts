import type { PageDecision, PageRow, PagesResponse } from '../../../debug-adapter/protocol/requests';
import { AHEAD, count, detail, type TreeNode } from '../model/node';
import { rangeNodes } from '../model/ranges';
import { RecordedRows } from '../model/recorded-rows';

/** What each decision says to the user: words, codicon, theme colour. */
const decisions: Record<PageDecision, { words: string; icon: string; color?: string }> = {
  owner: { words: 'new owner', icon: 'person' },
  encrypted: { words: 'encrypted', icon: 'lock', color: 'charts.yellow' },
  decrypted: { words: 'decrypted', icon: 'unlock', color: 'charts.blue' },
  refused: { words: 'refused', icon: 'circle-slash', color: 'charts.red' },
  verified: { words: 'verified', icon: 'pass', color: 'charts.green' },
  corrupt: { words: 'corrupt', icon: 'warning', color: 'charts.red' },
};

/** The decisions about each physical page, as announced by probes: pages by their newest decision, then newest first. */
export class PagesModel {
  private readonly recorded: RecordedRows<PageRow>;
  private byPage = new Map<string, PageRow[]>();
  private read = 0;

  constructor(
    fetch: (start: number, count: number) => Promise<PagesResponse>,
    /** The moment at which the machine stands: decisions behind it are marked */
    private readonly now: () => number = () => Infinity,
  ) {
    this.recorded = new RecordedRows(fetch);
  }

  async nodes(): Promise<readonly TreeNode[]> {
    await this.update();
    const pages = [...this.byPage.values()].sort((a, b) => newest(a).n - newest(b).n);
    return rangeNodes(
      'pages',
      pages.length,
      ({ start, end }) => `Pages decided on earlier (${end - start})`,
      ({ start, end }) => Promise.resolve(pages.slice(start, end).map((rows) => pageNode(rows, this.now()))),
    );
  }

  /** Reads the decisions announced since the last time. */
  private async update(): Promise<void> {
    const total = await this.recorded.total();
    if (total < this.read) {
      this.byPage = new Map();
      this.read = 0;
    }
    for (const row of await this.recorded.rows({ start: this.read, end: total })) {
      const rows = this.byPage.get(row.hpa);
      if (rows) rows.push(row);
      else this.byPage.set(row.hpa, [row]);
    }
    this.read = total;
  }
}

function newest(rows: readonly PageRow[]): PageRow {
  const row = rows.at(-1);
  if (!row) throw new Error('a page without decisions');
  return row;
}

/** A page, by the decision that holds now; by its first one when all are ahead. */
function pageNode(rows: readonly PageRow[], now: number): TreeNode {
  const holds = rows.findLast(({ moment }) => moment <= now);
  const last = holds ?? newest(rows.slice(0, 1));
  const { words, icon, color } = decisions[last.decision];
  return {
    id: `page/${last.hpa}`,
    label: last.hpa,
    description: [holds ? '' : 'ahead', words, last.why, rows.length > 1 ? `${count(rows.length)} decisions` : '']
      .filter(Boolean)
      .join('  \u00b7  '),
    tooltip: `Host-physical page ${last.hpa}\nguest-physical ${last.gpa} of VM ${last.vm}\n${words}: ${last.why}`,
    icon,
    ...(color && { color }),
    ...(!holds && AHEAD),
    children: () => rows.map((row) => decisionNode(row, row.moment > now)).reverse(),
  };
}

function decisionNode(row: PageRow, ahead: boolean): TreeNode {
  const id = `page/${row.hpa}/${row.n}`;
  const { words, icon, color } = decisions[row.decision];
  return {
    id,
    label: words,
    description: [ahead ? 'ahead' : '', row.why, row.symbol].filter(Boolean).join('  \u00b7  '),
    tooltip: `${words}: ${row.why}\nby ${row.symbol}\nafter ${count(row.instruction)} instructions`,
    icon,
    ...(color && { color }),
    ...(ahead && AHEAD),
    goTo: { moment: row.moment },
    children: () => [
      detail(id, 'Reason', row.why),
      detail(id, 'Decided by', row.symbol),
      detail(id, 'VM', String(row.vm)),
      detail(id, 'Guest-physical', row.gpa),
      detail(id, 'Host-physical', row.hpa),
      detail(id, 'Instruction', `${count(row.instruction)} since reset`),
    ],
  };
}
