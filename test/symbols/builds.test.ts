import assert from 'node:assert/strict';
import { Evaluator } from '../../debug-adapter/expression/evaluator';
import { Program } from '../../debug-adapter/symbols/program';
import { ProgramSet } from '../../debug-adapter/symbols/program-set';
import { compile, tool, PATIENCE } from './compiled';
import { parseElf } from '../../emulator/machine/elf';
import { imageMemory } from './image-memory';

/** What must be found however the program was built */
function checkWhole(program: Program, what: string): void {
  assert.deepEqual(program.problems, [], what);
  const main = program.functionsNamed('main')[0];
  assert.match(main?.place?.file ?? '', /shapes\.c$/, what);
  assert.equal(program.symbolAt(main!.entry)?.name, 'main', what);
  assert(program.addressesOf('shapes.c', main!.place!.line).length > 0, what);
  const set = new ProgramSet();
  set.add(program);
  const place = { memory: imageMemory(program), registers: () => undefined, frame: undefined };
  const evaluator = new Evaluator(set, place);
  const expected: [string, string][] = [
    ['machine.p[0]', '{x = 1, y = 2, flag = 3, mode = 4, big = -5}'],
    ['machine.c', 'GREEN'],
    ['sizeof(struct vm)', '128'],
    ['machine.inner', '-7'],
    ['matrix[2][3]', '12'],
    ['(enum color)6', 'BLUE'],
  ];
  for (const [text, value] of expected) assert.equal(evaluator.evaluate(text).text, value, `${text}, ${what}`);
  assert.equal(evaluator.evaluate('machine').typeName, 'vm_t', what);
  assert.deepEqual(program.problems, [], what);
}

describe('ways to build a program', function () {
  this.timeout(PATIENCE);
  const ways = [
    ['-gdwarf-2', '-gstrict-dwarf'],
    ['-gdwarf-3', '-gstrict-dwarf'],
    ['-gdwarf-4', '-gstrict-dwarf'],
    ['-gdwarf-5', '-gstrict-dwarf'],
    ['-gdwarf-5', '-gdwarf64'],
    ['-gdwarf-4', '-gdwarf64'],
    ['-gdwarf-4', '-fdebug-types-section'],
    ['-gdwarf-5', '-fdebug-types-section'],
    ['-g3'],
    ['-g', '-gz=zlib'],
    ['-g', '-O2', '-flto'],
    ['-g', '-ffunction-sections', '-Wl,--gc-sections'],
    ['-g', '-no-pie'],
    ['-g', '-Wa,--gdwarf-5'],
    ['-g', '-O2', '-gno-variable-location-views'],
    ['-g', '-gcolumn-info', '-Os'],
  ];
  for (const way of ways) {
    it(way.join(' '), () => checkWhole(compile(['shapes.c'], [...way, '-static', '-fno-pie']).program, way.join(' ')));
  }

  it('a position-independent program at a bias', () => {
    const { program } = compile(['shapes.c'], ['-g', '-fpie', '-pie']);
    const bias = 0x5555_5555_4000n;
    const set = new ProgramSet();
    const image = set.add(program, bias);
    const main = set.functionsNamed('main')[0]!;
    assert.equal(main.entry, program.functionsNamed('main')[0]!.entry + bias);
    assert.equal(set.symbolAt(main.entry)?.name, 'main');
    assert.equal(set.lineAt(main.entry)?.line, program.lineAt(main.entry - bias)?.line);
    assert(set.lineAt(main.entry));
    assert.equal(set.format(main.entry + 4n), 'main+0x4');
    assert.equal(set.imageAt(main.entry), image);
    assert.equal(set.imageAt(main.entry - bias), undefined);
    const [place] = set.addressesOf('shapes.c', main.place!.line);
    assert(place!.addresses.every((a) => set.functionAt(a)?.name === 'main'));
    set.remove(image);
    assert.equal(set.symbolAt(main.entry), undefined);
  });

  it('code that the linker removed is not found at address 0', () => {
    const flags = ['-g', '-O2', '-ffunction-sections', '-Wl,--gc-sections', '-static', '-fno-pie'];
    const { program } = compile(['unused.c', 'shapes.c'], flags);
    assert.equal(program.functionAt(8n), undefined);
    assert.equal(program.lineAt(8n), undefined);
    assert.deepEqual(program.functionsNamed('never_called'), []);
    assert.deepEqual(
      program.addressesOf('unused.c', 4).map((l) => l.addresses),
      [],
    );
  });

  it('what cannot be read is said, with what to do, and the ELF symbols stay', () => {
    // The compression type of the ABI that no one has: as for zstd, which we do not read.
    const image = compile(['shapes.c'], ['-g', '-gz=zlib', '-static', '-fno-pie']).bytes.slice();
    for (const s of parseElf(image, 'x').sections) if (s.flags & 0x800) image[s.offset] = 2;
    const compressed = Program.open(image, 'x');
    assert.equal(compressed.functionsNamed('main').length, 1);
    assert.match(compressed.problems.join(), /compressed.*-gz=zlib/);
    const split = compile(['shapes.c'], ['-g', '-gsplit-dwarf', '-static', '-fno-pie']).program;
    assert.equal(split.functionsNamed('main').length, 1);
    assert.match(split.problems.join(), /-gsplit-dwarf\. Build it without/);
  });

  it('assembly without DWARF has its labels', () => {
    const { program, file } = compile(['labels.S'], ['-nostdlib', '-static', '-no-pie']);
    assert.equal(program.hasDebugInformation, false);
    const table = tool('nm', [file]);
    const address = (name: string) => BigInt(`0x${new RegExp(`^([0-9a-f]+) \\w ${name}$`, 'm').exec(table)![1]}`);
    const at = (a: bigint) => {
      const symbol = program.symbolAt(a);
      return symbol && `${symbol.name}+${symbol.offset}`;
    };
    assert.equal(at(address('_start')), '_start+0');
    assert.equal(at(address('_start') + 1n), '_start+1');
    assert.equal(at(address('inner') + 1n), 'inner+1');
    assert.equal(at(address('sized')), 'sized+0');
    assert.equal(at(address('sized') + 2n), undefined, 'behind a sized function there is none');
    assert.equal(at(address('table') + 9n), 'table+9');
    assert.equal(program.functionsNamed('table').length, 0, 'data is no function');
    assert.deepEqual(program.breakAddressesOf('inner'), [address('inner')]);
  });
});
