import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { CpuState } from '../../emulator/cpu/state';
import { MachineError, type BootImage, type MachineConfiguration } from '../../emulator/machine/api';
import { boot } from '../../emulator/machine/boot/boot';
import { RAM_BASE, Segment } from '../../emulator/memory/layout';
import { MachineMemory } from '../../emulator/memory/machine-memory';
import { elfImage } from './elf-image';
import { buildKernel32 } from './kernels';

const MIB = 1 << 20;
const MAGIC = 0x1badb002;
const MAGIC2 = 0xe85250d6;
const RAX = 0;
const RBX = 3;
const RDX = 2;

function load(bytes: Uint8Array, options: Partial<MachineConfiguration> = {}) {
  const size = options.memory ?? 8;
  const configuration = {
    memory: size,
    kernel: { name: 'kernel.bin', bytes },
    modules: [],
    commandLine: 'hello=1',
    translator: false,
    ...options,
  };
  const memory = new MachineMemory(size * MIB);
  const state = new CpuState(memory);
  const rsdp = { address: 0xf0000, bytes: Uint8Array.from({ length: 36 }, (_, i) => i + 1) };
  const report = boot(configuration, memory, state, rsdp);
  const ram = new DataView(memory.wasm.buffer, RAM_BASE, size * MIB);
  return { state, ram, report };
}

const words = (...values: number[]): number[] =>
  values.flatMap((v) => [v, v >>> 8, v >>> 16, v >>> 24].map((b) => b & 0xff));
const string = (ram: DataView, at: number): string => {
  let text = '';
  for (let i = at; ram.getUint8(i); i++) text += String.fromCharCode(ram.getUint8(i));
  return text;
};
const header1 = (flags: number, ...fields: number[]) => words(MAGIC, flags, -(MAGIC + flags), ...fields);
function header2(...tags: number[][]): number[] {
  const body = [...tags, tag(0)].flat();
  const length = 16 + body.length;
  return [...words(MAGIC2, 0, length, -(MAGIC2 + length)), ...body];
}
function tag(type: number, flags = 0, ...fields: number[]): number[] {
  const size = 8 + fields.length * 4;
  const bytes = words(type | (flags << 16), size, ...fields);
  while (bytes.length % 8 !== 0) bytes.push(0);
  return bytes;
}
const AT = 0x200000;
/** 32-bit ELF whose only segment begins with these bytes */
const elf = (bytes: number[], pvh?: number) =>
  elfImage({ entry: AT, bits: 32, segments: [{ paddr: AT, bytes }], ...(pvh === undefined ? {} : { pvh }) });
/** The same, its bytes at a multiple of 8 in the file and 4 bytes into the segment */
const elf2 = (bytes: number[]) => elf([...words(0), ...bytes]);
const refused = (pattern: RegExp, action: () => unknown) =>
  assert.throws(action, (error) => error instanceof MachineError && pattern.test(error.message));

describe('boot: the choice of the protocol', () => {
  // Behind the ELF header a multiple of 8 is 4 bytes away.
  const both = [...words(0), ...header2(), ...header1(0)];
  it('takes the PVH note first, then multiboot 2, then multiboot, then the entry point', () => {
    assert.deepEqual(load(elf(both, AT)).report, { protocol: 'pvh', reason: 'the image has a PVH entry note' });
    const two = load(elf(both)).report;
    assert.equal(two.protocol, 'multiboot2');
    assert.match(two.reason, /multiboot 2 header at file offset 0x/);
    assert.equal(load(elf(header1(0))).report.protocol, 'multiboot');
    assert.equal(load(elf([0x90])).report.protocol, 'elf');
  });

  it('can be overridden', () => {
    const { report, state } = load(elf(both, AT), { boot: 'multiboot' });
    assert.deepEqual(report, { protocol: 'multiboot', reason: 'the configuration says so' });
    assert.equal(state.gpr(RAX), 0x2badb002n);
    refused(/no PVH entry note/, () => load(elf([0x90]), { boot: 'pvh' }));
    refused(/no multiboot header/, () => load(elf([0x90]), { boot: 'multiboot' }));
    refused(/no multiboot 2 header/, () => load(elf([0x90]), { boot: 'multiboot2' }));
  });

  it('passes over a magic number without a header, and says so', () => {
    const { report } = load(elf(words(MAGIC, 3, 5)));
    assert.equal(report.protocol, 'elf');
    assert.match(report.reason, /multiboot at file offset .* its checksum is 0x5, not 0xe4524ffb/);
    refused(/checksum is 0x5/, () => load(elf(words(MAGIC, 3, 5)), { boot: 'multiboot' }));
    refused(/checksum/, () => load(Uint8Array.from(words(MAGIC, 3, 5))));
  });
});

describe('boot: multiboot', () => {
  const modules: BootImage[] = [
    { name: 'a', bytes: Uint8Array.from([7, 8, 9]) },
    { name: 'b', bytes: Uint8Array.from([1]), commandLine: 'b quiet' },
  ];

  it('hands over memory, command line, modules, memory map and its name', () => {
    const { state, ram } = load(elf(header1(3)), { modules });
    assert.equal(state.rip, BigInt(AT));
    assert.equal(state.gpr(RAX), 0x2badb002n);
    assert.equal(state.cr0 & 0x80000001n, 1n);
    const info = Number(state.gpr(RBX));
    const field = (at: number) => ram.getUint32(info + at, true);
    assert.equal(field(0), 0x24f);
    assert.deepEqual([field(4), field(8)], [639, 7 * 1024]);
    assert.equal(string(ram, field(16)), 'kernel.bin hello=1');
    assert.equal(field(20), 2);
    const second = field(24) + 16;
    assert.equal(ram.getUint32(second + 4, true) - ram.getUint32(second, true), 1);
    assert.equal(ram.getUint8(ram.getUint32(field(24), true) + 2), 9);
    assert.equal(string(ram, ram.getUint32(second + 8, true)), 'b quiet');
    assert.equal(string(ram, field(64)), 'Undervisor');
    let usable = 0n;
    for (let at = field(48); at < field(48) + field(44); at += ram.getUint32(at, true) + 4) {
      if (ram.getUint32(at + 20, true) === 1) usable += ram.getBigUint64(at + 12, true);
    }
    assert.equal(usable, BigInt(8 * MIB - (0x100000 - 0x9fc00)));
  });

  it('loads by the address fields of the header, whatever the file is', () => {
    // 16 bytes of text before the header, 8 behind it are loaded, then 0x100 of zeroes
    const file = Uint8Array.from([
      ...words(1, 2, 3, 4),
      ...header1(0x10000, AT + 16, AT, AT + 56, AT + 0x138, AT + 4),
      5,
      6,
      7,
      8,
      0,
      0,
      0,
      0,
      9,
    ]);
    const { state, ram, report } = load(file);
    assert.equal(report.protocol, 'multiboot');
    assert.equal(state.rip, BigInt(AT + 4));
    assert.equal(ram.getUint32(AT + 12, true), 4);
    assert.equal(ram.getUint8(AT + 48), 5);
    assert.equal(ram.getUint8(AT + 56), 0);
  });

  it('refuses addresses that contradict each other', () => {
    const flat =
      (...fields: number[]) =>
      () =>
        load(Uint8Array.from([...header1(0x10000, ...fields), 1, 2]));
    refused(/header_addr 0x1ffff0 is below load_addr/, flat(AT - 16, AT, 0, 0, AT));
    refused(/before the beginning of the file/, flat(AT + 16, AT, 0, 0, AT));
    refused(/load_end_addr 0x100000 is below/, flat(AT, AT, 0x100000, 0, AT));
    refused(/100\d* bytes beyond the file's end|beyond the file's end/, flat(AT, AT, AT + 0x1000, 0, AT));
    refused(/bss_end_addr 0x200001 is below/, flat(AT, AT, 0, AT + 1, AT));
    refused(/RAM ends at/, flat(0x40000000, 0x40000000, 0, 0, AT));
    refused(/ends inside the address fields/, () => load(Uint8Array.from(header1(0x10000, 1))));
    refused(/requires features 0x8 /, () => load(elf(header1(8))));
  });

  it('takes ELF64 too, at its 32-bit entry', () => {
    const image = elfImage({ entry: AT + 12, segments: [{ paddr: AT, bytes: [...header1(0), 0xf4] }] });
    const { state, report } = load(image);
    assert.equal(report.protocol, 'multiboot');
    assert.equal(state.rip, BigInt(AT + 12));
    assert.equal(state.efer, 0n);
  });
});

describe('boot: multiboot 2', () => {
  const tagsOf = (state: CpuState, ram: DataView) => {
    const info = Number(state.gpr(RBX));
    const found = new Map<number, { at: number; size: number }>();
    const end = info + ram.getUint32(info, true);
    for (let at = info + 8; at < end; at += Math.ceil(ram.getUint32(at + 4, true) / 8) * 8) {
      found.set(ram.getUint32(at, true), { at: at + 8, size: ram.getUint32(at + 4, true) });
    }
    return (type: number) => found.get(type)?.at ?? assert.fail(`no tag ${type}`);
  };

  it('hands over its tags', () => {
    const modules = [{ name: 'a', bytes: Uint8Array.from([7]), commandLine: 'a 1' }];
    const { state, ram } = load(elf2(header2(tag(1, 0, 1, 6), tag(6))), { modules });
    assert.equal(state.gpr(RAX), 0x36d76289n);
    assert.equal(state.gpr(RBX) % 8n, 0n);
    const at = tagsOf(state, ram);
    assert.equal(string(ram, at(1)), 'hello=1');
    assert.equal(string(ram, at(2)), 'Undervisor');
    assert.equal(ram.getUint32(at(3) + 4, true) - ram.getUint32(at(3), true), 1);
    assert.equal(string(ram, at(3) + 8), 'a 1');
    assert.deepEqual([ram.getUint32(at(4), true), ram.getUint32(at(4) + 4, true)], [639, 7168]);
    assert.equal(ram.getUint32(at(6), true), 24);
    assert.equal(ram.getBigUint64(at(6) + 16, true), 0x9fc00n);
    assert.equal(ram.getUint8(at(14) + 19), 20);
    assert.equal(ram.getUint8(at(15) + 35), 36);
    at(0);
  });

  it('starts at the entry address tag, by the address tag without ELF', () => {
    assert.equal(load(elf2(header2(tag(3, 0, AT + 8)))).state.rip, BigInt(AT + 8));
    const file = Uint8Array.from([...header2(tag(2, 0, AT, AT, 0, 0), tag(3, 0, AT + 4)), 1]);
    const { state, ram } = load(file);
    assert.equal(state.rip, BigInt(AT + 4));
    assert.equal(ram.getUint32(AT, true), MAGIC2);
    refused(/no entry address tag/, () => load(Uint8Array.from(header2(tag(2, 0, AT, AT, 0, 0)))));
  });

  it('moves a relocatable image where its tag allows it, and says where', () => {
    const moved = load(elf2(header2(tag(10, 0, 0x400000, 0x6fffff, 0x100000, 2))));
    assert.equal(moved.state.rip, 0x600000n);
    const base = tagsOf(moved.state, moved.ram)(21);
    assert.equal(moved.ram.getUint32(base, true), 0x600000);
    assert.equal(moved.ram.getUint32(0x600004, true), MAGIC2);
    const stays = load(elf2(header2(tag(10, 0, 0x100000, 0x6fffff, 0x1000, 0))));
    assert.equal(stays.state.rip, BigInt(AT));
    assert.equal(load(elf2(header2(tag(10, 0, 0x300000, 0x6fffff, 0x1000, 1)))).state.rip, 0x300000n);
    refused(/no room/, () => load(elf2(header2(tag(10, 0, 0x10000000, 0x20000000, 0x1000, 1)))));
  });

  it('gives the section headers, and symbols that no segment brings', async () => {
    const file = new Uint8Array(readFileSync(await buildKernel32('multiboot2')));
    const { state, ram } = load(file);
    const at = tagsOf(state, ram)(9);
    const [count, size, names] = [0, 4, 8].map((offset) => ram.getUint32(at + offset, true));
    assert.ok(count && size === 40 && names !== undefined && names < count);
    const section = (index: number) => at + 12 + index * 40;
    const nameTable = ram.getUint32(section(names) + 12, true);
    const named = Array.from({ length: count }, (_, i) => string(ram, nameTable + ram.getUint32(section(i), true)));
    const symbols = named.indexOf('.symtab');
    const strings = ram.getUint32(section(ram.getUint32(section(symbols) + 24, true)) + 12, true);
    const table = ram.getUint32(section(symbols) + 12, true);
    const all = Array.from({ length: ram.getUint32(section(symbols) + 20, true) / 16 }, (_, i) => [
      string(ram, strings + ram.getUint32(table + i * 16, true)),
      ram.getUint32(table + i * 16 + 4, true),
    ]);
    assert.ok(all.some(([name, value]) => name === 'start' && BigInt(value ?? 0) === state.rip));
  }).timeout(60_000);

  it('refuses what it cannot give, and what is malformed', () => {
    refused(/frame buffer/, () => load(elf2(header2(tag(5, 0, 80, 25, 0)))));
    assert.equal(load(elf2(header2(tag(5, 1, 80, 25, 0)))).report.protocol, 'multiboot2');
    refused(/text console/, () => load(elf2(header2(tag(4, 0, 1)))));
    refused(/unknown type 99/, () => load(elf2(header2(tag(1, 0, 99)))));
    refused(/type 77 is unknown/, () => load(elf2(header2(tag(77)))));
    refused(/needs more than 8 bytes/, () => load(elf2(header2(tag(3)))));
    refused(/before its end tag/, () => load(elf2([...words(MAGIC2, 0, 24, -(MAGIC2 + 24)), ...tag(6)])));
    refused(/architecture 4/, () =>
      load(elf2([...words(MAGIC2, 4, 24, -(MAGIC2 + 28)), ...tag(0)]), { boot: 'multiboot2' }),
    );
  });
});

describe('boot: raw images', () => {
  const sector = new Uint8Array(512);
  sector.set([0x55, 0xaa], 510);

  it('starts a boot sector at 0x7c00 in real mode', () => {
    const { state, ram, report } = load(sector);
    assert.equal(report.protocol, 'raw');
    assert.equal(state.rip, 0x7c00n);
    assert.equal(state.cr0 & 1n, 0n);
    assert.deepEqual(state.segment(Segment.CS), { selector: 0, access: 0x9b, limit: 0xffff, base: 0n });
    assert.equal(state.gpr(RDX), 0x80n);
    assert.equal(ram.getUint16(0x7dfe, true), 0xaa55);
  });

  it('goes where it is told to', () => {
    const raw = { address: 0x12300n, entry: 0x12304n, bits: 16 } as const;
    const far = load(Uint8Array.from([1, 2, 3, 4, 5]), { boot: 'raw', raw });
    assert.equal(far.state.segment(Segment.CS).base + far.state.rip, 0x12304n);
    assert.equal(BigInt(far.state.segment(Segment.CS).selector) * 16n, far.state.segment(Segment.CS).base);
    const flat = load(Uint8Array.from([1, 2]), { boot: 'raw' });
    assert.equal(flat.state.rip, 0x100000n);
    assert.equal(flat.state.cr0 & 1n, 1n);
    assert.equal(flat.ram.getUint32(Number(flat.state.gpr(RBX)), true), 0x336ec578);
  });

  it('refuses what cannot be', () => {
    const one = Uint8Array.of(1);
    refused(/raw\.entry: 0x5 is outside/, () => load(one, { boot: 'raw', raw: { entry: 5n } }));
    refused(/real mode does not reach/, () => load(one, { boot: 'raw', raw: { address: 0x200000n, bits: 16 } }));
    refused(/RAM ends at/, () => load(one, { boot: 'raw', raw: { address: 0x80000000n } }));
    refused(/is empty/, () => load(new Uint8Array(), { boot: 'raw' }));
    refused(/no ELF file.*say boot "raw"/s, () => load(one));
    const elf = elfImage({ entry: AT, pvh: AT, bits: 32, segments: [{ vaddr: AT, paddr: AT, bytes: [0xf4] }] });
    refused(/raw says where.*loaded by pvh.*Leave raw out/s, () => load(elf, { raw: { address: 0x7c00n } }));
  });
});
