import assert from 'node:assert/strict';
import { ElfError, type ElfFile, parseElf, pvhEntry } from '../../emulator/machine/elf';
import { ExpressionError } from '../../debug-adapter/expression/api';
import { Evaluator } from '../../debug-adapter/expression/evaluator';
import { unwind } from '../../debug-adapter/stack/unwind';
import { Program } from '../../debug-adapter/symbols/program';
import { ProgramSet } from '../../debug-adapter/symbols/program-set';
import { compile, compileClang, tool, PATIENCE } from './compiled';
import { imageMemory } from './image-memory';

/** xorshift32: the same damage for the same seed, everywhere */
function generator(seed: number): (below: number) => number {
  let x = seed || 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** Asks for everything that a program knows. Only ElfError may come out; debug information never throws. */
function exercise(bytes: Uint8Array): void {
  let program: Program;
  try {
    program = Program.open(bytes, 'damaged');
    program.elf.notes();
  } catch (error) {
    if (error instanceof ElfError) return;
    throw error;
  }
  const set = new ProgramSet();
  set.add(program);
  const memory = imageMemory(smaller(program));
  const addresses = [program.elf.entry, ...['main', 'leaf', 'scale'].flatMap((n) => program.breakAddressesOf(n))];
  for (const path of program.files().slice(0, 4)) {
    for (let line = 1; line < 60; line += 7)
      addresses.push(...program.addressesOf(path, line).flatMap((l) => l.addresses));
  }
  program.probes();
  for (const address of addresses.slice(0, 24)) {
    program.symbolAt(address);
    const registers = new Map([[16, address], [7, 0x7000n], [6, 0x7010n], [3, 1n], [5, 2n]]); // prettier-ignore
    for (const frame of unwind(set, registers, memory, { limit: 8 })) {
      const evaluator = new Evaluator(set, { memory, registers: () => 0n, frame });
      for (const { value } of [...evaluator.arguments(), ...evaluator.locals()]) {
        void value.text;
        void value.typeName;
        for (const child of value.children(0, 3)) void child.value.text;
      }
      for (const text of ['machine', 'sizeof(struct vm)', '((vm_t *)vp)->next->c', '*leaf', 'machine.p[1],x']) {
        try {
          void evaluator.evaluate(text).text;
        } catch (error) {
          if (!(error instanceof ExpressionError)) throw error;
        }
      }
    }
  }
}

/** A damaged header may claim a segment of gigabytes, which the test need not make. */
function smaller(program: Program): Program {
  const segments = program.elf.segments.filter((s) => s.memsz < 0x10_0000n);
  return {
    elf: { ...program.elf, segments, segmentBytes: program.elf.segmentBytes.bind(program.elf) },
  } as unknown as Program;
}

describe('damaged images', function () {
  this.timeout(PATIENCE);
  const seed = Number(process.env['SEED'] ?? 20261123);
  // Freestanding: small, so that most damage hits what is read.
  const flags = ['-nostdlib', '-static', '-ffreestanding', '-fno-stack-protector'];
  const sound = {
    'DWARF 5 of gcc': () => compile(['shapes.c', 'start.c'], ['-gdwarf-5', '-O2', ...flags]).bytes,
    'DWARF 4 of gcc': () => compile(['shapes.c', 'start.c'], ['-gdwarf-4', '-Og', ...flags]).bytes,
    'DWARF 5 of clang': () => compileClang(['shapes.c', 'start.c'], ['-gdwarf-5', '-O2']).bytes,
  };

  for (const [name, make] of Object.entries(sound)) {
    it(`changed bytes give ElfError or a reported problem: ${name}, SEED=${seed}`, () => {
      const random = generator(seed);
      const image = make();
      for (let round = 0; round < 80; round++) {
        const bytes = image.slice();
        const last = random(3) === 0 ? 64 : bytes.length;
        for (let n = 1 + random(12); n > 0; n--) bytes[random(last)] = [0, 0xff, 0x7f, 0x80, random(256)][random(5)]!;
        guard(bytes, `round ${round}`);
      }
    });

    it(`damaged debug sections: ${name}, SEED=${seed}`, () => {
      const random = generator(seed + 1);
      const image = make();
      const sections = parseElf(image, 'sound').sections.filter(
        (s) => /^\.(debug_|eh_frame|note)/.test(s.name) && s.size > 0,
      );
      for (let round = 0; round < 80; round++) {
        const bytes = image.slice();
        const section = sections[random(sections.length)]!;
        for (let n = 1 + random(6); n > 0; n--) bytes[section.offset + random(section.size)] = random(256);
        guard(bytes, `round ${round} in ${section.name}`);
      }
    });

    it(`cut files: ${name}`, () => {
      const image = make();
      for (let length = 0; length < image.length; length += 1 + Math.floor(image.length / 120)) {
        guard(image.slice(0, length), `cut to ${length}`);
      }
    });
  }

  function guard(bytes: Uint8Array, what: string): void {
    try {
      exercise(bytes);
    } catch (error) {
      assert.fail(`SEED=${seed}, ${what}: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
});

describe('ELF headers', function () {
  this.timeout(PATIENCE);
  it('equal readelf', () => {
    const { file, bytes } = compile(['shapes.c'], ['-g', '-static']);
    const elf = parseElf(bytes, 'x');
    const header = tool('readelf', ['-hW', file]);
    assert.equal(elf.entry, BigInt(/Entry point address:\s+(0x[0-9a-f]+)/.exec(header)![1]!));
    const segments = [
      ...tool('readelf', ['-lW', file]).matchAll(/^  (\w+) +(0x\w+) (0x\w+) (0x\w+) (0x\w+) (0x\w+)/gm),
    ];
    assert.deepEqual(
      elf.segments.map((s) => [BigInt(s.offset), s.vaddr, s.paddr, BigInt(s.filesz), s.memsz]),
      segments.map((m) => m.slice(2, 7).map((x) => BigInt(x))),
    );
    const sections = [
      ...tool('readelf', ['-SW', file]).matchAll(/^  \[ *\d+\] (\S+) +\w+ +([0-9a-f]{16}) ([0-9a-f]+) ([0-9a-f]+)/gm),
    ];
    assert.deepEqual(
      elf.sections.slice(1).map((s) => [s.name, s.addr, BigInt(s.offset), BigInt(s.size)]),
      sections.map((m) => [m[1]!, ...m.slice(2, 5).map((x) => BigInt(`0x${x}`))]),
    );
    const symbols = tool('readelf', ['-sW', '--syms', file]).split("'.symtab'")[1]!;
    const rows = [...symbols.matchAll(/^ *\d+: ([0-9a-f]{16}) +(\w+) \w+ +\w+ +\w+ +\w+ ?(\S*)/gm)].slice(1);
    assert.deepEqual(
      elf
        .symbols()
        .filter((s) => s.type !== 3)
        .map((s) => [s.name, s.value, s.size]),
      rows.filter((m) => !/ SECTION /.test(m[0])).map((m) => [m[3], BigInt(`0x${m[1]}`), BigInt(m[2]!)]),
    );
  });

  const image = () => compile(['probed.c'], ['-g', '-static']).bytes.slice();
  const refusal = (change: (bytes: Uint8Array) => Uint8Array): ElfError => {
    try {
      parseElf(change(image()), 'kernel.elf').symbols();
    } catch (error) {
      if (error instanceof ElfError) return error;
      throw error;
    }
    return assert.fail('the image was accepted');
  };
  const set =
    (at: number, ...values: number[]) =>
    (bytes: Uint8Array) => {
      bytes.set(values, at);
      return bytes;
    };

  it('what is refused is refused with what, where and what to do', () => {
    const cases: [(b: Uint8Array) => Uint8Array, RegExp][] = [
      [() => new Uint8Array(0), /^kernel\.elf: is no ELF file: it has only 0 bytes \(at file offset 0x0\)\. Give /],
      [set(0, 0x4d, 0x5a), /begins with 4d 5a 4c 46, as a PE image/],
      [set(4, 9), /class 9 is neither.*offset 0x4/],
      [set(5, 2), /little-endian/],
      [set(18, 183, 0), /machine 183 \(AArch64\), not x86-64.*offset 0x12\)\. Build it for x86/],
      [set(16, 1, 0), /relocatable object.*Link it/],
      [set(16, 4, 0), /type 4/],
      [set(54, 8, 0), /program header entries have 8 bytes/],
      [set(40, 0xff, 0xff, 0xff, 0xff, 0xff), /section header 0 needs bytes up to .* but the file ends at/],
      [(b) => b.slice(0, b.length >> 1), /needs bytes up to 0x[0-9a-f]+, but the file ends at 0x[0-9a-f]+/],
    ];
    for (const [change, message] of cases) assert.match(refusal(change).message, message);
  });

  it('a PVH note gives the entry; its absence is no error', () => {
    assert.equal(pvhEntry(parseElf(image(), 'x')), undefined);
    const note = new Uint8Array([0x34, 0x12, 0x10, 0]);
    const elf = {
      notes: () => [{ name: 'Xen', type: 18, descriptor: note, offset: 0 }],
      name: 'x',
    } as unknown as ElfFile;
    assert.equal(pvhEntry(elf), 0x101234n);
  });
});
