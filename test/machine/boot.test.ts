import { strict as assert } from 'node:assert';
import { CpuState } from '../../emulator/cpu/state';
import { MachineError, type BootImage, type MachineConfiguration } from '../../emulator/machine/api';
import { boot } from '../../emulator/machine/boot/boot';
import { RAM_BASE, Segment, State } from '../../emulator/memory/layout';
import { MachineMemory } from '../../emulator/memory/machine-memory';
import { elfImage, type ImageOptions } from './elf-image';

const MIB = 1 << 20;
const CODE = [0x90, 0xf4];

function load(options: ImageOptions | Uint8Array, modules: BootImage[] = [], memorySize = 8) {
  const bytes = options instanceof Uint8Array ? options : elfImage(options);
  const configuration: MachineConfiguration = {
    memory: memorySize,
    kernel: { name: 'kernel.elf', bytes },
    modules,
    commandLine: 'hello=1',
    translator: false,
  };
  const memory = new MachineMemory(memorySize * MIB);
  const state = new CpuState(memory);
  boot(configuration, memory, state);
  const ram = new DataView(memory.wasm.buffer, RAM_BASE, memorySize * MIB);
  return { memory, state, ram };
}

const string = (ram: DataView, at: number): string => {
  let text = '';
  for (let i = at; ram.getUint8(i); i++) text += String.fromCharCode(ram.getUint8(i));
  return text;
};

describe('boot: PVH', () => {
  const kernel = { entry: 0x100000, segments: [{ paddr: 0x100000, bytes: CODE, memsz: 0x3000 }], pvh: 0x100001 };

  it('enters in 32-bit protected mode at the address of the note', () => {
    const { state } = load(kernel);
    assert.equal(state.rip, 0x100001n);
    assert.equal(state.cr0 & 0x80000001n, 1n);
    assert.equal(state.rflags, 2n);
    const cs = state.segment(Segment.CS);
    assert.deepEqual([cs.base, cs.limit, cs.access], [0n, 0xffffffff, 0xc09b]);
    assert.equal(state.segment(Segment.TR).access, 0x8b);
  });

  it('gives modules, memory map and command line in the start info', () => {
    const modules = [
      { name: 'monitor.elf', bytes: Uint8Array.from([1, 2, 3]) },
      { name: 'guest.elf', bytes: Uint8Array.from([4]), commandLine: 'guest quiet' },
    ];
    const { state, ram } = load(kernel, modules);
    const info = Number(state.gpr(3));
    assert.equal(ram.getUint32(info, true), 0x336ec578);
    assert.equal(ram.getUint32(info + 4, true), 1);
    assert.equal(ram.getUint32(info + 12, true), 2);
    assert.equal(string(ram, Number(ram.getBigUint64(info + 24, true))), 'hello=1');
    const list = Number(ram.getBigUint64(info + 16, true));
    const at = Number(ram.getBigUint64(list, true));
    assert.ok(at >= 0x103000 && at % 4096 === 0, 'the first module lies behind the kernel, page-aligned');
    assert.deepEqual(
      [0, 1, 2].map((i) => ram.getUint8(at + i)),
      [1, 2, 3],
    );
    assert.equal(ram.getBigUint64(list + 8, true), 3n);
    assert.equal(string(ram, Number(ram.getBigUint64(list + 16, true))), 'monitor.elf');
    assert.equal(string(ram, Number(ram.getBigUint64(list + 32 + 16, true))), 'guest quiet');
    assert.notEqual(ram.getBigUint64(list + 32, true), ram.getBigUint64(list, true));
    const map = Number(ram.getBigUint64(info + 40, true));
    const entries = ram.getUint32(info + 48, true);
    let total = 0n;
    for (let i = 0; i < entries; i++) {
      if (ram.getUint32(map + i * 24 + 16, true) === 1) total += ram.getBigUint64(map + i * 24 + 8, true);
    }
    assert.equal(total, BigInt(8 * MIB - (0x100000 - 0x9fc00)));
  });

  it('moves the start info out of the way of an image in low memory', () => {
    const { state } = load({ entry: 0x1000, segments: [{ paddr: 0x1000, bytes: CODE, memsz: 0x5000 }], pvh: 0x1000 });
    assert.ok(state.gpr(3) >= 0x6000n);
  });
});

describe('boot: plain ELF', () => {
  it('enters ELF64 in 64-bit mode with an identity map, a stack and a GDT', () => {
    const { state, ram } = load({ entry: 0x200000, segments: [{ paddr: 0x200000, bytes: CODE }] });
    assert.equal(state.rip, 0x200000n);
    assert.equal(state.efer, 0x500n);
    assert.equal(state.cr0 & 0x80000001n, 0x80000001n);
    assert.equal(state.segment(Segment.CS).access & 0x6000, 0x2000);
    const entry = (table: bigint, index: number) => ram.getBigUint64(Number(table & ~0xfffn) + index * 8, true);
    const directory = entry(entry(state.cr3, 0), 3);
    assert.equal(entry(directory, 511), 0xffe00083n);
    assert.ok(state.gpr(4) < 0xa0000n && state.gpr(4) % 16n === 0n);
    assert.equal(ram.getUint32(Number(state.gpr(7)), true), 0x336ec578);
    assert.equal(ram.getBigUint64(Number(state.get64(State.GDTR)) + 8, true), 0x00af9b000000ffffn);
  });

  it('enters a higher-half image at its physical address', () => {
    const vaddr = 0x40000000;
    const { state } = load({ entry: vaddr + 1, segments: [{ vaddr, paddr: 0x200000, bytes: CODE }] });
    assert.equal(state.rip, 0x200001n);
  });

  it('enters ELF32 in 32-bit protected mode', () => {
    const { state } = load({ entry: 0x200000, segments: [{ paddr: 0x200000, bytes: CODE }], bits: 32 });
    assert.equal(state.efer, 0n);
    assert.equal(state.cr0 & 0x80000001n, 1n);
    assert.equal(state.gpr(3), state.gpr(7));
  });
});

describe('boot: refuses with a reason', () => {
  const segment = { paddr: 0x100000, bytes: CODE };
  const good = { entry: 0x100000, segments: [segment], pvh: 0x100000 };
  const refused = (pattern: RegExp, image: ImageOptions | Uint8Array, modules: BootImage[] = [], memory = 8) => {
    assert.throws(
      () => load(image, modules, memory),
      (error) => error instanceof MachineError && pattern.test(error.message),
    );
  };

  it('what is no ELF file', () =>
    refused(/kernel\.elf.*no ELF file/s, Uint8Array.from(Buffer.from('#!/bin/sh\necho hello\n'))));
  it('an empty file', () => refused(/kernel\.elf.*0 bytes/s, new Uint8Array(0)));
  it('another architecture', () => refused(/machine 183 \(AArch64\)/, { ...good, machine: 183 }));
  it('a file that was cut short', () => {
    const long = elfImage({ ...good, segments: [{ paddr: 0x100000, bytes: new Uint8Array(5000) }] });
    refused(/file ends at/, long.subarray(0, 3000));
  });
  it('a program of an operating system', () => {
    const image = elfImage({ ...good, pvh: good.entry });
    // The note's program header becomes PT_INTERP.
    new DataView(image.buffer).setUint32(64 + 56 * good.segments.length, 3, true);
    refused(/program for an operating system/, image);
  });
  it('no loadable segment', () => refused(/no loadable segment/, { entry: 0, segments: [] }));
  it('segments that overlap', () =>
    refused(/segment 1 of kernel\.elf at 0x100001.*overlaps segment 0/s, {
      ...good,
      segments: [segment, { paddr: 0x100001, bytes: CODE }],
    }));
  it('a segment beyond RAM', () =>
    refused(/RAM ends at 0x800000 \(8 MiB\)/, {
      ...good,
      segments: [segment, { paddr: 0x7ff000, bytes: CODE, memsz: 0x2000 }],
    }));
  it('a segment in the video and firmware area', () =>
    refused(/overlaps the PC video and firmware area/, {
      ...good,
      segments: [segment, { paddr: 0xb8000, bytes: CODE }],
    }));
  it('modules that do not fit', () =>
    refused(/module big needs physical addresses/, good, [{ name: 'big', bytes: new Uint8Array(7 * MIB) }]));
  it('an entry point outside the image', () => refused(/entry note 0x300000 lies in none/, { ...good, pvh: 0x300000 }));
});
