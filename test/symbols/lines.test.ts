import assert from 'node:assert/strict';
import { InlinedCall, Subprogram } from '../../debug-adapter/symbols/functions';
import { normalizePath } from '../../debug-adapter/symbols/paths';
import type { Program } from '../../debug-adapter/symbols/program';
import { type Compiled, compile, compileClang, gdb, temporary, tool, variants, variants32, PATIENCE } from './compiled';

/** Every address at which a row of the line table starts, and the one behind it */
function addressesOf(program: Program): bigint[] {
  const found = new Set<bigint>();
  for (const unit of program.units.compile) {
    for (const sequence of program.lines.table(unit)?.sequences ?? []) {
      for (const offset of sequence.offsets) {
        for (const address of [sequence.low + BigInt(offset), sequence.low + BigInt(offset) + 1n]) {
          if (address < sequence.high && program.isCode(address)) found.add(address);
        }
      }
    }
  }
  return [...found];
}

const hex = (address: bigint) => `0x${address.toString(16)}`;
const last = (path: string) => path.slice(path.lastIndexOf('/') + 1);

/** "file:line" by gdb; file without its folder, as gdb may show either */
function gdbLines(file: string, addresses: readonly bigint[]): string[] {
  const script = temporary('lines.gdb', addresses.map((a) => `info line *${hex(a)}`).join('\n'));
  const out = tool('gdb', ['-batch', '-nx', '-ex', 'set width 0', '-x', script, file]).trim().split('\n');
  assert.equal(out.length, addresses.length, 'gdb gave another number of answers');
  return out.map((line) => {
    const found = /^Line (\d+) of "(.*?)"/.exec(line);
    return found ? `${last(found[2]!)}:${found[1]}` : 'none';
  });
}

/** "path:line" by addr2line, innermost */
function addr2line(file: string, addresses: readonly bigint[]): string[] {
  const out = tool('addr2line', ['-e', file], `${addresses.map(hex).join('\n')}\n`)
    .trim()
    .split('\n');
  return out.map((line) => {
    const [, path, number] = /^(.*):(\d+|\?)/.exec(line)!;
    return number === '?' || path === '??' ? 'none' : `${normalizePath(path!)}:${number}`;
  });
}

/**
 * gdb must agree at every address. Where it and addr2line differ (addr2line 2.40 takes file 1 for 0 in DWARF 5, and takes
 * rows that are no statements) either may be ours; where they agree, so must we, with the whole path.
 */
function checkLines({ file, program }: Compiled): void {
  const addresses = addressesOf(program);
  assert(addresses.length > 50, `only ${addresses.length} addresses`);
  const byGdb = gdbLines(file, addresses);
  const byTool = addr2line(file, addresses);
  const wrong: string[] = [];
  addresses.forEach((address, i) => {
    const row = program.lineAt(address);
    const ours = row ? `${row.file}:${row.line}` : 'none';
    const agreed = last(byTool[i]!) === byGdb[i];
    if (agreed ? ours !== byTool[i] : last(ours) !== byGdb[i] && ours !== byTool[i]) {
      wrong.push(`${hex(address)}: ours ${ours}, gdb ${byGdb[i]}, addr2line ${byTool[i]}`);
    }
  });
  assert.equal(wrong.length, 0, `${wrong.length} of ${addresses.length}\n${wrong.slice(0, 12).join('\n')}`);
}

/** Where gdb puts a breakpoint for every line of the files, and for functions, also those without code of their own */
function checkBreakpoints({ file, program }: Compiled, functions: readonly string[]): void {
  const questions: { name: string; ours: () => readonly bigint[] }[] = [];
  for (const path of program.files()) {
    for (let line = 1; line <= 130; line++) {
      const ours = () => program.addressesOf(path, line).flatMap((l) => l.addresses);
      questions.push({ name: `${last(path)}:${line}`, ours });
    }
  }
  for (const name of functions) questions.push({ name, ours: () => program.breakAddressesOf(name) });
  const commands = questions.flatMap(({ name }) => [`break ${name}`, 'info breakpoints', 'delete']);
  const answers = gdb(file, commands);
  const wrong: string[] = [];
  const list = (addresses: readonly bigint[]) => addresses.map(hex).sort().join(' ');
  questions.forEach(({ name, ours }, i) => {
    const theirs = [...(answers[3 * i + 1] ?? '').matchAll(/0x[0-9a-f]{8,}/g)].map((m) => BigInt(m[0]));
    if (list(ours()) !== list(theirs)) wrong.push(`${name}: ours ${list(ours())}, gdb ${list(theirs)}`);
  });
  assert.equal(wrong.length, 0, `${wrong.length} of ${questions.length}\n${wrong.slice(0, 12).join('\n')}`);
}

/** Functions at each address, inlined ones first, as addr2line -i has them */
function checkFunctions({ file, program }: Compiled): void {
  const addresses = addressesOf(program);
  const out = tool('addr2line', ['-f', '-i', '-a', '-e', file], `${addresses.map(hex).join('\n')}\n`);
  let compared = 0;
  const blocks = out.split(/^0x[0-9a-f]+\n/m).slice(1);
  addresses.forEach((address, i) => {
    const lines = blocks[i]!.trim().split('\n');
    const theirs = lines.filter((_, n) => n % 2 === 0);
    const scopes = program.scopesAt(address);
    // Padding between functions belongs to none, whatever the line table covers.
    if (scopes.length === 0) return;
    compared++;
    const named = scopes.filter(
      (s): s is Subprogram | InlinedCall => s instanceof Subprogram || s instanceof InlinedCall,
    );
    const ours = named.map((s) => s.name).reverse();
    assert.deepEqual(ours, theirs, `functions at ${hex(address)}`);
  });
  assert(compared > addresses.length * 0.8, `only ${compared} of ${addresses.length} addresses are in functions`);
}

const FUNCTIONS = ['main', 'leaf', 'middle', 'recurse', 'add', 'scale', 'helper'];

describe('lines equal gdb and addr2line', function () {
  this.timeout(PATIENCE);
  for (const flags of variants) {
    it(flags.join(' '), () => checkLines(compile(['shapes.c'], flags)));
  }
  for (const level of ['-O0', '-Og', '-O2']) {
    it(`clang ${level}`, () => checkLines(compileClang(['shapes.c', 'start.c'], [level, '-gdwarf-5'])));
  }
});

describe('lines of i386 programs equal gdb and addr2line', function () {
  this.timeout(PATIENCE);
  for (const flags of variants32) {
    it(flags.join(' '), () => checkLines(compile(['shapes.c', 'start.c'], flags)));
  }
});

describe('breakpoints go where gdb puts them', function () {
  this.timeout(PATIENCE);
  for (const flags of variants) {
    it(flags.join(' '), () => checkBreakpoints(compile(['shapes.c'], flags), FUNCTIONS));
  }
  it('clang -O0', () => checkBreakpoints(compileClang(['shapes.c', 'start.c'], ['-O0', '-gdwarf-5']), FUNCTIONS));
});

describe('functions and inlined calls equal addr2line -i', function () {
  this.timeout(PATIENCE);
  for (const flags of variants) {
    it(flags.join(' '), () => checkFunctions(compile(['shapes.c'], flags)));
  }
});
