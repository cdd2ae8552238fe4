// Picks a C toolchain that can build the samples. Every candidate is probed with what the samples need (VMX inline
// assembly, 32-bit and 64-bit code in one file, a link at -2 GiB, DWARF with frame descriptions): names prove nothing.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

const TRIPLE = ['-target', 'x86_64-unknown-none-elf'];

/** Flags of every C file. No SSE or x87: the layers save only general registers at an exit. */
export const C_FLAGS = [
  '-std=gnu17',
  '-ffreestanding',
  '-nostdinc',
  '-fno-pic',
  '-fno-pie',
  '-mno-red-zone',
  '-mcmodel=kernel',
  '-mgeneral-regs-only',
  '-fno-stack-protector',
  '-fno-omit-frame-pointer',
  '-fno-asynchronous-unwind-tables',
  '-fno-strict-aliasing',
  '-Og',
  '-g',
  '-gdwarf-5',
  '-Wall',
  '-Wextra',
  '-Werror',
];

/** Flags of every assembly file, which passes the preprocessor. */
export const ASSEMBLY_FLAGS = ['-ffreestanding', '-nostdinc', '-g', '-gdwarf-5'];

/**
 * Candidates in the order of preference, each { name, cc, ld } with commands as argument lists.
 * @param env environment; UNDERVISOR_CC and UNDERVISOR_LD (optional, default ld) come first and exclude the others
 */
export function candidates(env = process.env, from = import.meta.url) {
  if (env.UNDERVISOR_CC) {
    return [{ name: 'UNDERVISOR_CC', cc: words(env.UNDERVISOR_CC), ld: words(env.UNDERVISOR_LD || 'ld') }];
  }
  const list = [
    { name: 'clang + ld.lld', cc: ['clang', ...TRIPLE], ld: ['ld.lld'] },
    { name: 'x86_64-elf-gcc', cc: ['x86_64-elf-gcc'], ld: ['x86_64-elf-ld'] },
    { name: 'x86_64-linux-gnu-gcc', cc: ['x86_64-linux-gnu-gcc'], ld: ['x86_64-linux-gnu-ld'] },
    { name: 'gcc', cc: ['gcc'], ld: ['ld'] },
  ];
  const npmName = `@zigc/${process.platform}-${process.arch}`;
  try {
    const suffix = process.platform === 'win32' ? '.exe' : '';
    const zig = createRequire(from).resolve(`${npmName}/bin/zig${suffix}`);
    list.push({ name: `npm ${npmName}`, cc: [zig, 'clang', ...TRIPLE], ld: [zig, 'ld.lld'] });
  } catch {
    list.push({ name: `npm ${npmName}`, missing: 'package not installed (npm install)' });
  }
  return list;
}

const words = (text) => text.split(' ').filter((word) => word !== '');

const PROBE_C = `#include <stdint.h>
int global;
_Bool probe(uint64_t field) {
  _Bool below;
  __asm__ volatile("vmwrite %1, %2" : "=@ccna"(below) : "r"(field), "r"(field) : "memory");
  global++;
  return below;
}
`;
const PROBE_S = `.cfi_sections .debug_frame
.code32
.globl start
start: ljmp $8, $0x1000
.code64
invept (%rdi), %rax
.section .note.GNU-stack, "", @progbits
`;
const PROBE_LD = `ENTRY(start)
SECTIONS { . = 0xffffffff80100000; .text : { *(.text*) } .data : { *(.data*) *(.bss*) } }
`;
const PROBE_STDINT = 'typedef unsigned long uint64_t;\n';

/** Runs one command; undefined when it succeeded, else why not, in one line. */
function failure(command, args, cwd) {
  const run = spawnSync(command[0], [...command.slice(1), ...args], { cwd, encoding: 'utf8', timeout: 120000 });
  if (run.error) return run.error.code === 'ENOENT' ? `${command[0]}: not found` : String(run.error.message);
  if (run.status === 0) return undefined;
  const lines = `${run.stderr}${run.stdout}`.split('\n');
  return lines.find((line) => line.includes('error')) ?? lines.find((line) => line !== '') ?? `exit ${run.status}`;
}

/** Why this candidate cannot build the samples, or undefined when it can. */
export function probe(tool) {
  if (tool.missing) return tool.missing;
  const folder = mkdtempSync(path.join(os.tmpdir(), 'undervisor-cc-'));
  try {
    mkdirSync(path.join(folder, 'include'));
    writeFileSync(path.join(folder, 'include/stdint.h'), PROBE_STDINT);
    writeFileSync(path.join(folder, 'c.c'), PROBE_C);
    writeFileSync(path.join(folder, 's.S'), PROBE_S);
    writeFileSync(path.join(folder, 'link.ld'), PROBE_LD);
    const why =
      failure(tool.cc, [...C_FLAGS, '-isystem', 'include', '-c', 'c.c', '-o', 'c.o'], folder) ??
      failure(tool.cc, [...ASSEMBLY_FLAGS, '-c', 's.S', '-o', 's.o'], folder) ??
      failure(tool.ld, ['-T', 'link.ld', '--build-id=none', '-o', 'probe.elf', 'c.o', 's.o'], folder);
    if (why !== undefined) return why;
    const elf = path.join(folder, 'probe.elf');
    return existsSync(elf) ? elfProblem(readFileSync(elf)) : 'the linker made no file';
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const EM_X86_64 = 62;

function elfProblem(elf) {
  if (elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2) return 'the linker did not make a 64-bit ELF file';
  if (elf.readUInt16LE(18) !== EM_X86_64) return `made code for ELF machine ${elf.readUInt16LE(18)}, not x86-64`;
  if (elf.readBigUInt64LE(24) < 0xffff_ffff_8000_0000n) return 'the linker did not place the image at -2 GiB';
  const absent = ['.debug_info', '.debug_line', '.debug_frame'].find((section) => !elf.includes(section));
  return absent && `made no ${absent} section`;
}

/** The first candidate that works. Throws an error that names every candidate and what was wrong with it. */
export function pickToolchain(list = candidates()) {
  const failures = [];
  for (const tool of list) {
    const why = probe(tool);
    if (why === undefined) return tool;
    failures.push(`  ${tool.name}: ${why}`);
  }
  throw new Error(
    `No C compiler can build the samples. Tried:\n${failures.join('\n')}\n` +
      'Install clang and lld, or gcc and binutils, or run npm install (its optional compiler), ' +
      'or set UNDERVISOR_CC and UNDERVISOR_LD.',
  );
}

/** Runs a compiler or linker in `cwd`. Throws its full messages when it fails. */
export function runTool(command, args, cwd) {
  const run = spawnSync(command[0], [...command.slice(1), ...args], { cwd, encoding: 'utf8', timeout: 300000 });
  if (run.error) throw new Error(`${command[0]}: ${run.error.message}`);
  if (run.status !== 0) throw new Error(`${command[0]} failed (${run.status}) on ${args.at(-1)}:\n${run.stderr}`);
}
