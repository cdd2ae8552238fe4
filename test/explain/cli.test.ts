import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { SUBJECTS } from '../../debug-adapter/explain';

const CLI = path.join(__dirname, '../../debug-adapter/edge/cli.js');

function explain(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'explain', ...args], { encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

describe('undervisor explain', () => {
  it('prints a row, its name given in one word or several', () => {
    const { code, out } = explain('exit', 'EPT', 'violation');
    assert.equal(code, 0);
    assert.match(
      out,
      /^EPT violation \(EPT_VIOLATION 48\)\nAn access [^]* Exit qualification +0 read[^]*SDM vol\. 3, 29/,
    );
    assert.equal(explain('exit', '48').out, out);
  }).timeout(60_000);

  it('prints objects for machines', () => {
    const { code, out } = explain('vmentry', 'HOST_CR4', '--json');
    assert.equal(code, 0);
    const rows = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.ok(rows.length > 1);
    assert.deepEqual(rows[0]?.symbol, 'host.cr4');
    assert.ok(rows.every(({ kind, section }) => kind === 'vmentry' && String(section).startsWith('SDM')));
  }).timeout(60_000);

  it('lists every row of a kind', () => {
    for (const { kind, rows } of SUBJECTS) {
      const lines = explain(kind).out.trimEnd().split('\n');
      assert.equal(lines.length, rows.length, kind);
      rows.forEach((row, at) => assert.ok(lines[at]?.includes(row.symbol), row.symbol));
    }
  }).timeout(60_000);

  it('ends with 2 and says what is nearest, or what is wrong', () => {
    for (const [args, message] of [
      [['exit', 'EPT_VIOLATON'], /no exit reason "EPT_VIOLATON"; nearest: EPT_VIOLATION/],
      [['field', '0xffff', '--json'], /no VMCS field "0xffff"/],
      [[], /no kind given: vmentry, exit/],
      [['trap'], /unknown kind "trap": vmentry, exit/],
      [['exit', '--all'], /unknown option "--all"/],
    ] as const) {
      const { code, out, err } = explain(...args);
      assert.equal(code, 2, args.join(' '));
      assert.match(err, message);
      assert.equal(out, '');
    }
  }).timeout(60_000);
});
