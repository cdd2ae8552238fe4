import assert from 'node:assert/strict';
import path from 'node:path';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import { resolveLaunch } from '../../debug-adapter/launch/description';
import { runHeadless, textOf, type HeadlessRow } from '../../debug-adapter/launch/headless';
import { load } from '../../debug-adapter/launch/load';

const SAMPLE = path.resolve('samples/cloudvisor');

async function run(launch: Record<string, unknown>, maxInstructions = Infinity) {
  const rows: HeadlessRow[] = [];
  const resolved = await resolveLaunch(launch, nodeEnvironment.files);
  const code = await runHeadless(await load(resolved, nodeEnvironment), {
    maxInstructions,
    write: (row) => rows.push(row),
    breathe: () => Promise.resolve(),
  });
  return { rows, code };
}

const kind = <K extends HeadlessRow['kind']>(rows: readonly HeadlessRow[], wanted: K) =>
  rows.filter((row): row is Extract<HeadlessRow, { kind: K }> => row.kind === wanted);

describe('headless run of the sample', () => {
  let rows: HeadlessRow[] = [];
  let code = -1;
  before(async function () {
    this.timeout(120_000);
    ({ rows, code } = await run({ program: SAMPLE }));
  });

  it('ends with success and a state hash', () => {
    const ends = kind(rows, 'end');
    assert.equal(ends.length, 1);
    assert.equal(rows.at(-1), ends[0]);
    assert.equal(ends[0]?.outcome, 'success');
    assert.match(ends[0]?.stateHash ?? '', /^[0-9a-f]{64}$/);
    assert.equal(code, 0);
  });

  it('prints the exits of VMM and guest in order, addresses as hexadecimal strings', () => {
    const exits = kind(rows, 'exit');
    exits.forEach((row, index) => {
      assert.equal(row.n, index + 1);
      assert.match(row.rip, /^0x[0-9a-f]{1,16}$/);
      assert.notEqual(row.name, '');
      assert.ok(['vmm', 'guest'].includes(row.layer), row.layer);
      assert.ok(index === 0 || row.instruction >= (exits[index - 1]?.instruction ?? 0));
    });
    const by = (layer: string, name: string) => exits.some((row) => row.layer === layer && row.name === name);
    for (const name of ['VMXON', 'VMPTRLD', 'VMWRITE', 'VMREAD', 'VMLAUNCH', 'VMRESUME'])
      assert.ok(by('vmm', name), name);
    for (const name of ['CPUID', 'HLT', 'VMCALL', 'I/O instruction', 'EPT violation'])
      assert.ok(by('guest', name), name);
    assert.ok(by('vmm', 'EPT violation'), 'the VMM touches a page of the guest');
  });

  it('says what an exit was about', () => {
    const words = (name: string) =>
      kind(rows, 'exit')
        .filter((row) => row.name === name)
        .map((row) => row.qualification);
    assert.ok(words('VMREAD').includes('field Exit reason (0x4402)'));
    assert.ok(words('VMWRITE').some((text) => /^field Guest RIP \(0x681e\)$/.test(text)));
    assert.ok(words('RDMSR').some((text) => /^IA32_VMX_\w+ \(MSR 0x48[0-9a-f]\)$/.test(text)));
    assert.ok(words('CPUID').every((text) => /^leaf 0x[0-9a-f]+, ECX 0x[0-9a-f]+$/.test(text)));
    assert.ok(words('I/O instruction').some((text) => /^OUT 0x3f8, 1 byte/.test(text)));
    assert.ok(words('EPT violation').every((text) => /^(read|write|fetch)( and (write|fetch))? of 0x/.test(text)));
  });

  it('enters each layer that exits, after it exited', () => {
    assert.deepEqual([...new Set(kind(rows, 'entry').map(({ layer }) => layer))].sort(), ['guest', 'vmm']);
  });

  it('prints the page decisions that the monitor announced, with reason and page', () => {
    const pages = kind(rows, 'page');
    const decisions = new Set(pages.map(({ decision }) => decision));
    for (const wanted of ['owner', 'encrypted', 'decrypted', 'verified', 'refused'] as const) {
      assert.ok(decisions.has(wanted), wanted);
    }
    for (const page of pages) {
      assert.match(page.hpa, /^0x[0-9a-f]+000$/);
      assert.match(page.gpa, /^0x[0-9a-f]+$/);
      assert.notEqual(page.why, '');
      assert.match(page.symbol, /^\w+ \(\w+\.c:\d+\)$/);
    }
    const refused = pages.find(({ decision }) => decision === 'refused');
    assert.match(refused?.why ?? '', /VMM/);
  });

  it('prints serial lines with the layer that wrote them', () => {
    const serial = kind(rows, 'serial');
    assert.ok(serial.some(({ layer, text }) => layer === 'monitor' && text.includes('launched')));
    assert.ok(serial.some(({ text }) => /secret intact/.test(text)));
  });

  it('has a line of text for every exit and page decision', () => {
    for (const row of rows) {
      const text = textOf(row);
      if (row.kind === 'entry') assert.equal(text, undefined);
      else assert.notEqual(text, '');
    }
  });

  it('says of a refused VM entry on which processor, when it is not the first', () => {
    const row = (vcpu: number): HeadlessRow => ({
      ...{ kind: 'entry-failed', instruction: 7, vcpu, layer: 'mine', title: 'VM entry failed: A = 0x0: rule' },
      ...{ check: 'control.a', field: 'A', value: '0x0', section: 'SDM vol. 3, 27.2' },
    });
    assert.match(textOf(row(1)) ?? '', /^VM entry failed: A.*\[vcpu1 mine; undervisor explain vmentry control\.a\]$/);
    assert.match(textOf(row(0)) ?? '', /\[mine; /);
  });

  it('is the same the next time, bit for bit', async () => {
    assert.deepEqual((await run({ program: SAMPLE })).rows, rows);
  }).timeout(120_000);

  it('is the same however it is cut into slices', async () => {
    const launch = await resolveLaunch({ program: SAMPLE }, nodeEnvironment.files);
    const debuggee = await load(launch, nodeEnvironment);
    let state = 12345;
    for (;;) {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      if (debuggee.advance(1 + (state % (state % 7 === 0 ? 3 : 300_000))).why === 'ended') break;
    }
    const [end] = kind(rows, 'end');
    assert.equal(debuggee.machine.instructions, end?.instructions);
    assert.equal(debuggee.machine.stateHash(), end?.stateHash);
    assert.equal(debuggee.pages.total, kind(rows, 'page').length);
    assert.equal(debuggee.exits.total, kind(rows, 'exit').length);
  }).timeout(120_000);

  it('ends at the limit of instructions, which is no success', async () => {
    const limited = await run({ program: SAMPLE }, 1_000_000);
    const [end] = kind(limited.rows, 'end');
    assert.equal(end?.outcome, 'instruction-limit');
    assert.equal(end?.instructions, 1_000_000);
    assert.equal(limited.code, 1);
  }).timeout(120_000);

  it('needs no monitor: the VMM alone reads the secret', async () => {
    const alone = await run({
      program: path.join(SAMPLE, 'build/vmm.elf'),
      modules: [{ file: path.join(SAMPLE, 'build/guest.elf'), layer: 'guest' }],
    });
    assert.equal(kind(alone.rows, 'page').length, 0);
    assert.ok(kind(alone.rows, 'exit').every(({ layer }) => layer === 'guest'));
    const readings = (all: readonly HeadlessRow[]) =>
      kind(all, 'serial')
        .map(({ text }) => text)
        .filter((text) => /adversary: page .* reads/.test(text));
    assert.ok(readings(alone.rows).length > 0);
    assert.notDeepEqual(readings(alone.rows), readings(rows));
  }).timeout(120_000);
});
