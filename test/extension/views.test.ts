import assert from 'node:assert/strict';
import type { ExitRow, PageRow, TranslateStep } from '../../debug-adapter/protocol/requests';
import { statusOf } from '../../extension/session/status-text';
import { choices, filterArguments, filterOf } from '../../extension/views/exits/filter';
import { ExitsModel } from '../../extension/views/exits/model';
import type { TreeNode } from '../../extension/views/model/node';
import { PagesModel } from '../../extension/views/pages/model';
import { addressOf, literalAddress } from '../../extension/views/translation/address';
import { translationNodes } from '../../extension/views/translation/model';

const serve =
  <Row>(rows: readonly Row[]) =>
  (start: number, count: number) =>
    Promise.resolve({ total: rows.length, rows: rows.slice(start, start + count) });

const labels = (nodes: readonly TreeNode[]) => nodes.map(({ label }) => label);
const childrenOf = async (node: TreeNode | undefined) => (await node?.children?.()) ?? [];

const exit = (n: number, change: Partial<ExitRow> = {}): ExitRow => ({
  n,
  event: n - 1,
  moment: n * 1001,
  instruction: n * 1000,
  vcpu: 0,
  layer: 'guest',
  reason: 48,
  name: 'EPT violation',
  rip: '0x401000',
  symbol: 'touch+0x10',
  qualification: 'write',
  ...change,
});

describe('VM Exits', () => {
  it('shows the newest first and opens into every fact of the row', async () => {
    const nodes = await new ExitsModel(
      serve([exit(1), exit(2, { name: 'CPUID', reason: 10, qualification: '' })]),
    ).nodes();
    assert.deepEqual(labels(nodes), ['2  CPUID', '1  EPT violation']);
    assert.equal(nodes[1]?.description, 'guest  \u00b7  touch+0x10  \u00b7  write');
    const facts = (await childrenOf(nodes[1])).map(({ label, description }) => `${label}: ${description}`);
    assert.deepEqual(facts, [
      'Reason: EPT violation (48)',
      'Qualification: write',
      'Layer: guest',
      'RIP: 0x401000  touch+0x10',
      'vCPU: 0',
      'Instruction: 1,000 since reset',
      'Moment: 1,001',
    ]);
    assert.ok(!labels(await childrenOf(nodes[0])).includes('Qualification'));
  });

  it('gives the address where there is no symbol', async () => {
    const [node] = await new ExitsModel(serve([exit(1, { symbol: '' })])).nodes();
    assert.match(node?.description ?? '', /0x401000/);
  });

  it('opens the source place of a row that has one', async () => {
    const source = { path: '/guest/touch.c', line: 7 };
    const nodes = await new ExitsModel(serve([exit(1, { source }), exit(2)])).nodes();
    assert.deepEqual(
      nodes.map((node) => node.source),
      [undefined, source],
    );
  });

  it('pages through the matches of a filter, whose numbers are not in sequence, and says how many of all they are', async () => {
    const rows = Array.from({ length: 250 }, (_, index) => exit(10 * (index + 1)));
    const filter = { layers: ['guest'], reasons: [{ reason: 48, name: 'EPT violation' }] };
    const model = new ExitsModel(
      (start, count, by) => (by ? serve(rows)(start, count) : Promise.resolve({ total: 10_608, rows: [] })),
      filter,
    );
    const nodes = await model.nodes();
    assert.equal(nodes[0]?.label, '2500  EPT violation');
    assert.equal(nodes.at(-1)?.label, 'Matches 1 to 100');
    assert.deepEqual(labels(await childrenOf(nodes.at(-1))).slice(-1), ['10  EPT violation']);
    assert.equal(await model.description(), 'EPT violation \u00b7 guest, 250 of 10,608');
    assert.equal(await new ExitsModel(serve(rows)).description(), undefined);
  });

  it('offers the layers and reasons seen, the most frequent first, and those chosen before', () => {
    const kinds = [
      { layer: 'vmm', reason: 23, name: 'VMREAD', count: 5 },
      { layer: 'guest', reason: 48, name: 'EPT violation', count: 1200 },
      { layer: 'vmm', reason: 48, name: 'EPT violation', count: 2 },
    ];
    const filter = { layers: ['kernel'], reasons: [{ reason: 48, name: 'EPT violation' }] };
    const { layers, reasons } = choices(kinds, filter);
    const words = [...layers, ...reasons].map(({ label, description, picked }) => `${label} ${description} ${picked}`);
    assert.deepEqual(words, [
      'guest 1,200 false',
      'vmm 7 false',
      'kernel 0 true',
      'EPT violation 1,202 true',
      'VMREAD 5 false',
    ]);
    const picked = filterOf([...layers, ...reasons].filter((choice) => choice.picked));
    assert.deepEqual(picked, filter);
    assert.ok(picked);
    assert.deepEqual(filterArguments(picked), { layers: ['kernel'], reasons: [48] });
    assert.deepEqual(filterArguments({ layers: [], reasons: picked.reasons }), { reasons: [48] });
    assert.equal(filterOf([]), undefined);
  });
});

const decision = (n: number, hpa: string, change: Partial<PageRow> = {}): PageRow => ({
  n,
  moment: n,
  instruction: n,
  decision: 'owner',
  hpa,
  gpa: '0x5000',
  vm: 1,
  why: 'given to the guest',
  symbol: 'page_owner_change monitor/pages.c:10',
  ...change,
});

describe('Pages', () => {
  it('groups decisions by page, the page decided on last first, its newest decision first', async () => {
    const rows = [
      decision(1, '0x1000'),
      decision(2, '0x2000'),
      decision(3, '0x1000', { decision: 'encrypted', why: 'the VMM reads it' }),
    ];
    const nodes = await new PagesModel(serve(rows)).nodes();
    assert.deepEqual(labels(nodes), ['0x1000', '0x2000']);
    assert.equal(nodes[0]?.icon, 'lock');
    assert.match(nodes[0]?.description ?? '', /encrypted.*the VMM reads it.*2 decisions/);
    assert.deepEqual(labels(await childrenOf(nodes[0])), ['encrypted', 'new owner']);
  });

  it('reads only what is new, and starts again when the record has become shorter', async () => {
    const rows = [decision(1, '0x1000')];
    const model = new PagesModel((start, count) => serve(rows)(start, count));
    await model.nodes();
    rows.push(decision(2, '0x2000', { decision: 'refused' }));
    assert.deepEqual(labels(await model.nodes()), ['0x2000', '0x1000']);
    rows.length = 0;
    rows.push(decision(1, '0x9000'));
    assert.deepEqual(labels(await model.nodes()), ['0x9000']);
  });
});

describe('Address Translation', () => {
  const step = (name: string, table: 'paging' | 'ept', output: string): TranslateStep => ({
    name,
    table,
    level: 1,
    entryAddress: '0x1000',
    entry: '0x2067',
    input: '0x400000',
    output,
    flags: ['present', 'writable'],
  });

  it('puts the EPT entries that located a guest table inside its row, the final ones below the guest-physical address', async () => {
    const nodes = translationNodes('&secret', {
      layer: 'guest',
      linear: '0x400000',
      guestPhysical: '0x5000',
      hostPhysical: '0x905000',
      steps: [step('EPT PTE', 'ept', '0x901000'), step('PTE', 'paging', '0x5000'), step('EPT PDE', 'ept', '0x905000')],
    });
    assert.deepEqual(labels(nodes), [
      'Linear 0x400000',
      'PTE',
      'Guest-physical 0x5000',
      'EPT PDE',
      'Host-physical 0x905000',
    ]);
    const inner = (await childrenOf(nodes[1])).at(-1);
    assert.equal(inner?.label, 'EPT walk to this PTE');
    assert.deepEqual(labels(await childrenOf(inner)), ['EPT PTE']);
    assert.equal(new Set(nodes.map(({ id }) => id)).size, nodes.length);
  });

  it('ends a failed walk with the reason and without a host-physical address', () => {
    const failure = 'PTE at 0x1000 is not present';
    const nodes = translationNodes('0x0', { layer: 'vmm', linear: '0x0', steps: [], failure });
    assert.deepEqual(labels(nodes), ['Linear 0x0', failure]);
  });

  it('reads addresses without losing a bit', () => {
    assert.equal(literalAddress('0xFFFF_8000`0000_1001'), '0xffff800000001001');
    assert.equal(literalAddress('$rip'), undefined);
    assert.equal(addressOf({ result: '18446744073709551615' }), '0xffffffffffffffff');
    assert.equal(addressOf({ result: '0x7f00 <main>' }), '0x7f00');
    assert.equal(addressOf({ result: '{...}', memoryReference: 'linear@3:0x10' }), 'linear@3:0x10');
    assert.equal(addressOf({ result: 'true' }), undefined);
  });
});

describe('status bar', () => {
  it('names the layer that runs and lists the others with how they were left', () => {
    const common = { vcpu: 0, rip: '0x1000', symbol: '' };
    const { text, tooltip } = statusOf([
      { ...common, name: 'monitor', contextId: 1, root: true, running: true, symbol: 'on_exit' },
      {
        ...common,
        name: 'guest',
        contextId: 2,
        root: false,
        vmcs: '0x9000',
        running: false,
        lastLeft: 'VM exit: CPUID',
      },
    ]);
    assert.equal(text, '$(layers) monitor: on_exit');
    assert.match(tooltip, /guest \(vCPU 0, VMX non-root, VMCS 0x9000\) at 0x1000, left by VM exit: CPUID/);
  });
});
