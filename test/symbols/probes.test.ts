import assert from 'node:assert/strict';
import { parseProbeArguments } from '../../debug-adapter/symbols/probe-argument';
import { LoadedProgram } from '../../debug-adapter/symbols/program-set';
import { toBytes } from '../../debug-adapter/symbols/bytes';
import { compile, tool, PATIENCE } from './compiled';
import { imageMemory, memoryOf } from './image-memory';

describe('static probes', function () {
  this.timeout(PATIENCE);
  it('equal readelf -n in place, name and arguments', () => {
    for (const level of ['-O0', '-O2']) {
      const { file, program } = compile(['probed.c'], ['-g', '-static', level]);
      const found = tool('readelf', ['-nW', file])
        .split(/stapsdt\s+0x/)
        .slice(1);
      const theirs = found.map((text) => ({
        provider: /Provider: (.*)/.exec(text)![1],
        name: /Name: (.*)/.exec(text)![1],
        pc: BigInt(/Location: (0x[0-9a-f]+)/.exec(text)![1]!),
        arguments: /Arguments: (.*)/.exec(text)![1]!.trim(),
      }));
      const ours = program.probes().map((p) => ({
        provider: p.provider,
        name: p.name,
        pc: p.pc,
        arguments: p.arguments.map((a) => a.text).join(' '),
      }));
      assert.deepEqual(ours, theirs);
      assert(ours.filter((p) => p.provider === 'undervisor').length === 3);
      const site = program.probes().find((p) => p.name === 'page_owner')!;
      assert.equal(program.functionAt(site.pc)?.name, 'work');
    }
  });

  it('arguments have the values that gdb computes at the probe', () => {
    const { file, program } = compile(['probed.c'], ['-g', '-static', '-O0']);
    const stop = (name: string, count: number) => [
      '-ex', `break -probe-stap undervisor:${name}`, '-ex', 'run',
      ...Array.from({ length: count }, (_, n) => ['-ex', `printf "ARG %lld\\n", (long long)$_probe_arg${n}`]).flat(),
      '-ex', 'printf "REG %lu %lu\\n", (unsigned long)$rbp, (unsigned long)$rsp',
      '-ex', 'printf "HERE %ld\\n", here',
      '-ex', 'info registers', '-ex', 'kill', '-ex', 'delete',
    ]; // prettier-ignore
    for (const [name, count] of [
      ['page_owner', 4],
      ['page_refused', 1],
    ] as const) {
      const out = tool('gdb', ['-batch', '-nx', '-ex', 'set startup-with-shell off', ...stop(name, count), file]);
      const values = [...out.matchAll(/^ARG (-?\d+)/gm)].map((m) => BigInt.asUintN(64, BigInt(m[1]!)));
      assert.equal(values.length, count, out);
      const registers = new Map([...out.matchAll(/^(r\w+) +(0x[0-9a-f]+)/gm)].map((m) => [m[1]!, BigInt(m[2]!)]));
      const here = BigInt(/^HERE (-?\d+)/m.exec(out)![1]!);
      const frame = registers.get('rbp')!;
      const stack = new Uint8Array(256);
      const slot = Number(
        program
          .probes()
          .find((p) => p.name === 'page_refused')!
          .arguments[0]!.text.match(/@(-\d+)\(/)![1],
      );
      stack.set(toBytes(here, 8), 128 + slot);
      const memory = memoryOf([{ start: frame - 128n, bytes: stack }]);
      const probe = program.probes().find((p) => p.name === name)!;
      const parts = (register: string) => {
        const whole = registers.get(register) ?? registers.get(register.replace(/^e/, 'r'));
        return whole ?? registers.get(register.replace(/d$/, ''));
      };
      const ours = probe.arguments.map((a) => a.evaluate(parts, memory));
      assert.deepEqual(ours, values, name);
    }
  });

  it('arguments that name a symbol are read there', () => {
    const { program } = compile(['probed.c'], ['-g', '-static', '-O0']);
    const probe = program.probes().find((p) => p.name === 'counted')!;
    const values = probe.arguments.map((a) => a.evaluate(() => undefined, imageMemory(program)));
    assert.deepEqual(values, [0x55667788n, 0x5566n]);
  });

  it('every form of operand', () => {
    const registers = new Map<string, bigint>([
      ['rdi', 0x1234_5678_9abc_def0n], ['eax', 0xffff_fff0n], ['rbp', 0x1000n], ['rcx', 4n], ['fs.base', 0x2000n],
    ]); // prettier-ignore
    const memory = memoryOf([
      { start: 0xff0n, bytes: Uint8Array.from({ length: 64 }, (_, i) => i + 0x80) },
      { start: 0x2000n, bytes: Uint8Array.from({ length: 16 }, (_, i) => i) },
    ]);
    const symbol = (name: string) => (name === 'table' ? 0x1000n : undefined);
    const value = (text: string, bias = 0n) =>
      parseProbeArguments(text, symbol).map((a) => a.evaluate((r) => registers.get(r), memory, bias));
    const cases: [string, bigint | undefined][] = [
      ['8@%rdi', 0x1234_5678_9abc_def0n],
      ['2@%rdi', 0xdef0n],
      ['-2@%rdi', 0xffff_ffff_ffff_def0n],
      ['4@%eax', 0xffff_fff0n],
      ['-4@%eax', 0xffff_ffff_ffff_fff0n],
      ['8@$5', 5n],
      ['-4@$-1', 0xffff_ffff_ffff_ffffn],
      ['4@$-1', 0xffff_ffffn],
      ['8@$0x10', 16n],
      ['8@$table', 0x1000n],
      ['8@$table+4', 0x1004n],
      ['1@-16(%rbp)', 0x80n],
      ['-1@-16(%rbp)', 0xffff_ffff_ffff_ff80n],
      ['1@(%rbp)', 0x90n],
      ['1@(%rbp,%rcx)', 0x94n],
      ['1@(%rbp, %rcx, 2)', 0x98n],
      ['1@-8(%rbp,%rcx,4)', 0x98n],
      ['1@0xff1(,%rcx,1)', 0x85n],
      ['2@table(%rip)', 0x9190n],
      ['1@table+1(%rip)', 0x91n],
      ['1@table-1(,%rcx,4)', 0x9fn],
      ['1@%fs:8', 8n],
      ['1@0x1000', 0x90n],
      ['1@8+8-15+table(%rip)', undefined],
      ['8@%xyz', undefined],
      ['8@-16(%r9)', undefined],
      ['8@0x9000', undefined],
      ['8@nothing(%rip)', undefined],
      ['8@%rdi%rsi', undefined],
      ['%rdi', 0x1234_5678_9abc_def0n],
    ];
    for (const [text, expected] of cases) assert.deepEqual(value(text), [expected], text);
    assert.deepEqual(value('1@table(%rip)', 0x10n), [0xa0n], 'a load bias moves symbols');
    assert.deepEqual(value('1@(%rbp)', 0x10n), [0x90n], 'a load bias does not move registers');
    assert.deepEqual(value('8@$1 8@$2  8@$3'), [1n, 2n, 3n]);
    assert.deepEqual(value(''), []);
  });

  it('a load bias moves the probe', () => {
    const { program } = compile(['probed.c'], ['-g', '-static', '-O0']);
    const [first] = new LoadedProgram(program, 0x1000n).probes();
    assert.equal(first!.pc, program.probes()[0]!.pc + 0x1000n);
  });
});
