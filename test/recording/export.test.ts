import assert from 'node:assert/strict';
import path from 'node:path';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import { exportRun, type ExportSummary } from '../../debug-adapter/export/export';
import type { ExportFormat } from '../../debug-adapter/export/writer';
import { resolveLaunch } from '../../debug-adapter/launch/description';
import { runHeadless, type HeadlessRow } from '../../debug-adapter/launch/headless';
import { load } from '../../debug-adapter/launch/load';
import { without } from '../../debug-adapter/protocol/without';
import { finish } from '../../emulator/timeline/api';
import { buildAssembly } from '../asm/build';
import { readTrace } from './trace';

const SAMPLE = { program: path.resolve('samples/cloudvisor') };

const machineOf = async (launch: object) => load(await resolveLaunch(launch, nodeEnvironment.files), nodeEnvironment);

async function exported(
  launch: object,
  format: ExportFormat,
  range: { from?: number; to?: number } = {},
): Promise<{ text: string; summary: ExportSummary }> {
  const parts: string[] = [];
  const write = (part: string) => void parts.push(part);
  const summary = finish(exportRun(await machineOf(launch), { format, write, ...range }));
  return { text: parts.join(''), summary };
}

async function headless(launch: object): Promise<HeadlessRow[]> {
  const rows: HeadlessRow[] = [];
  await runHeadless(await machineOf(launch), {
    maxInstructions: Infinity,
    write: (row) => rows.push(row),
    breathe: () => Promise.resolve(),
  });
  return rows;
}

type Line = Record<string, unknown> & { kind: string; moment: number; time: number; vcpu: number };
const linesOf = (text: string): Line[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

function countsOf(rows: Iterable<{ readonly kind: string }>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind } of rows) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

describe('an exported run', function () {
  this.timeout(300_000);
  let rows: HeadlessRow[] = [];
  let lines: Line[] = [];
  let text = '';
  before(async () => {
    rows = await headless(SAMPLE);
    lines = linesOf((await exported(SAMPLE, 'jsonl')).text);
    ({ text } = await exported(SAMPLE, 'perfetto'));
  });

  it('as JSON lines has every row of a headless run, with moment, time and vCPU, and more', () => {
    const counts = countsOf(lines);
    const { begin = 0, probe = 0, interrupt = 0, exception = 0, dma = 0, ...same } = counts;
    assert.deepEqual(same, countsOf(rows));
    assert.equal(begin, 1);
    assert.ok(probe > 100 && interrupt > 100 && exception >= 1 && dma >= 1, JSON.stringify(counts));
    let before = { moment: 0, time: 0 };
    for (const line of lines) {
      assert.ok(line.moment >= before.moment && line.time >= before.time, JSON.stringify(line));
      before = line;
      assert.equal(line.vcpu, 0);
    }
    const exits = rows.filter((row) => row.kind === 'exit');
    const exportedExits = lines.filter(({ kind }) => kind === 'exit');
    exits.forEach((row, index) => {
      const { handler, ...all } = exportedExits[index]!;
      assert.deepEqual(without(all, 'time'), JSON.parse(JSON.stringify(row)));
      assert.equal(handler, 'monitor');
    });
  });

  it('as a trace keeps the rules of the format', () => {
    const { slices, tracks } = readTrace(text);
    assert.deepEqual([...new Set(tracks.values())].sort(), ['guest', 'monitor', 'vmm']);
    assert.ok(slices.every(({ depth }) => depth === 0));
    // One vCPU does one thing at a time: its slices follow each other without a gap.
    const inOrder = [...slices].sort((a, b) => a.begin - b.begin || a.end - b.end);
    inOrder.forEach((slice, index) => {
      const next = inOrder[index + 1];
      if (next) assert.equal(slice.end, next.begin);
    });
    assert.equal(inOrder[0]?.begin, 0);
  });

  it('as a trace has the exits as slices in the layer that handles them, and everything else as instants', () => {
    const { events, slices, tracks } = readTrace(text);
    const counts = countsOf(rows);
    const exits = slices.filter(({ category }) => category === 'exit');
    assert.equal(exits.length, counts.exit);
    assert.ok(exits.every(({ track }) => tracks.get(track) === 'monitor'));
    const headlessExits = rows.filter((row) => row.kind === 'exit');
    assert.deepEqual(
      exits.map(({ name, args }) => [args.n, name, args.from]),
      headlessExits.map(({ n, name, layer }) => [n, name, layer]),
    );
    const runs = slices.filter(({ category }) => category === 'entry');
    assert.equal(runs.length, counts.entry);
    assert.deepEqual(
      runs.map(({ track }) => tracks.get(track)),
      rows.filter((row) => row.kind === 'entry').map(({ layer }) => layer),
    );
    const instants = events.filter(({ ph }) => ph === 'i');
    const more = countsOf(lines);
    for (const kind of ['page', 'serial', 'probe', 'interrupt', 'exception', 'dma', 'end', 'boot']) {
      assert.equal(instants.filter(({ cat }) => cat === kind).length, more[kind], kind);
    }
    assert.equal(instants.length + exits.length + runs.length, lines.length - (more.begin ?? 0));
  });

  it('of a range is the part of the whole', async () => {
    // Where an entry is the first row of its moment
    const entryFrom = (start: number) =>
      lines.findIndex(
        ({ kind, moment }, index) => index >= start && kind === 'entry' && lines[index - 1]!.moment < moment,
      );
    const [first, end] = [entryFrom(8000), entryFrom(9000)];
    const [from, to] = [lines[first]!.moment, lines[end]!.moment];
    const inside = lines.slice(first, end);
    const part = linesOf((await exported(SAMPLE, 'jsonl', { from, to })).text);
    assert.deepEqual(part.slice(1, -1), inside);
    assert.equal(part[0]?.kind, 'begin');
    assert.equal(part.at(-1)?.kind, 'end');
    assert.equal(part.at(-1)?.moment, to);
    const { slices } = readTrace((await exported(SAMPLE, 'perfetto', { from, to })).text);
    // The slice that was open where the range begins is cut there.
    const exits = slices.filter(({ category, args }) => category === 'exit' && Number(args.moment) >= from);
    assert.equal(exits.length, inside.filter(({ kind }) => kind === 'exit').length);
    assert.equal(slices.length, inside.filter(({ kind }) => kind === 'exit' || kind === 'entry').length + 1);
    await assert.rejects(exported(SAMPLE, 'jsonl', { from: 5, to: 4 }), /the range begins at moment 5 and ends before/);
    await assert.rejects(exported(SAMPLE, 'jsonl', { from: 1e12 }), /the run ends at moment \d+, before 1000000000000/);
  });

  it('has a process for each vCPU, with clocks of their own', async () => {
    const launch = { program: await buildAssembly('vmx-processors'), processors: 2, quantum: 100 };
    const { slices, tracks } = readTrace((await exported(launch, 'perfetto')).text);
    assert.ok(new Set([...tracks.keys()].map((track) => track.split('/')[0])).size > 1);
    const counts = countsOf(await headless(launch));
    assert.equal(slices.filter(({ category }) => category === 'exit').length, counts.exit);
    assert.equal(slices.filter(({ category }) => category === 'entry').length, counts.entry);
  });

  it('is the same every time', async () => {
    assert.equal((await exported(SAMPLE, 'perfetto')).text, text);
  });
});
