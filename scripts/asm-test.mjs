// The assembly tests of test/asm: node scripts/asm-test.mjs [name ...] builds each, runs the same ELF on QEMU's
// translator and on this machine, and prints where the two outputs differ. Exit code 1 when one does. A test with a file
// NAME.expected beside it is about what QEMU does not do as the manual says; that file is then the judge.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { ASSEMBLY_FLAGS, C_FLAGS, pickToolchain, runTool } from './toolchain.mjs';

const root = path.resolve(import.meta.dirname, '..');
const sources = path.join(root, 'test/asm');
const HARNESS = 'harness';
/** What the tests use beyond QEMU's basic 64-bit processor; all of it exists in its translator. */
const QEMU_CPU = 'qemu64,+smep,+smap,+umip,+rdtscp,+pdpe1gb,+erms,+rdrand';
const QEMU_SUCCESS = 1;

export function asmTests() {
  return readdirSync(sources)
    .filter((file) => /\.[Sc]$/.test(file) && file !== `${HARNESS}.S`)
    .map((file) => path.parse(file).name)
    .sort();
}

/** Builds one test to an ELF image with a PVH entry; returns its path. */
export function buildAsmTest(name, out, tool = pickToolchain()) {
  mkdirSync(out, { recursive: true });
  const objects = [HARNESS, name].map((part) => {
    const object = path.join(out, `${part}.o`);
    const source = sourceOf(part);
    runTool(tool.cc, [...(source.endsWith('.c') ? C_FLAGS : ASSEMBLY_FLAGS), '-c', '-o', object, source], sources);
    return object;
  });
  const elf = path.join(out, `${name}.elf`);
  const layout = ['-T', `${HARNESS}.ld`, '--build-id=none', '-static', '-z', 'max-page-size=4096', '-z', 'noexecstack'];
  runTool(tool.ld, [...layout, '-o', elf, ...objects], sources);
  return elf;
}

const sourceOf = (name) => (existsSync(path.join(sources, `${name}.S`)) ? `${name}.S` : `${name}.c`);

const headingOf = (name) => readFileSync(path.join(sources, sourceOf(name)), 'utf8').split('*/', 1)[0];

/** How many processors a test is about: it says so in its heading, "processors: 4". */
export function processorsOf(name) {
  return Number(/processors: (\d)/.exec(headingOf(name))?.[1] ?? 1);
}

/** What else a test needs, by its heading: "disk: ide" or "disk: virtio", and "iommu". */
export function devicesOf(name) {
  const heading = headingOf(name);
  return { disk: /disk: (\w+)/.exec(heading)?.[1], iommu: /\biommu: yes/.test(heading) };
}

/** The disk of such a test: 64 sectors, each other bytes. */
export function diskBytes() {
  const bytes = new Uint8Array(64 * 512);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(i / 512) * 7 + (i % 512);
  return bytes;
}

function qemuDevices({ disk, iommu }, elf) {
  const args = iommu ? ['-machine', 'q35,kernel-irqchip=split', '-device', 'intel-iommu,intremap=on,aw-bits=48'] : [];
  if (disk === undefined) return args;
  const image = `${elf}.disk.img`;
  writeFileSync(image, diskBytes());
  args.push('-drive', `file=${image},format=raw,if=none,id=disk,snapshot=on`);
  if (disk === 'ide') {
    // The chipset with an IOMMU has no such controller of its own.
    if (iommu) args.push('-device', 'piix3-ide,id=ide,addr=1.0');
    args.push('-device', 'ide-hd,drive=disk,bus=ide.0');
  } else {
    const more = iommu ? ',iommu_platform=on,disable-legacy=on' : '';
    args.push('-device', `virtio-blk-pci,drive=disk,addr=4${more}`);
  }
  return args;
}

/** The output that this machine must produce, and who says so. */
export function expectedOutput(name, elf) {
  const written = path.join(sources, `${name}.expected`);
  if (existsSync(written)) return { judge: 'manual', output: readFileSync(written, 'latin1') };
  return { judge: 'QEMU', output: runOnQemu(elf, processorsOf(name), devicesOf(name)) };
}

/** Runs an image on QEMU's translator; returns what it wrote to COM1. Throws when it did not end by the exit port. */
export function runOnQemu(elf, processors = 1, devices = {}, seconds = 60) {
  const serial = `${elf}.qemu.txt`;
  const args = ['-accel', 'tcg', '-cpu', QEMU_CPU, '-m', '64', '-display', 'none', '-nodefaults', '-no-reboot'];
  args.push('-smp', String(processors), ...qemuDevices(devices, elf));
  args.push('-serial', `file:${serial}`, '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-kernel', elf);
  const run = spawnSync('qemu-system-x86_64', args, { encoding: 'utf8', timeout: seconds * 1000 });
  if (run.error) throw new Error(`qemu-system-x86_64: ${run.error.message}`);
  const output = readFileSync(serial, 'latin1');
  // QEMU's own failures have that status too.
  if (run.status !== QEMU_SUCCESS || output === '') {
    throw new Error(`QEMU ended with ${run.status ?? run.signal}, not by the exit port.\n${run.stderr}${output}`);
  }
  return output;
}

/** The board, bundled from its sources. */
async function loadMachine(out) {
  const file = path.join(out, 'machine.cjs');
  await build({
    entryPoints: [path.join(root, 'emulator/machine/machine.ts')],
    outfile: file,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    logLevel: 'warning',
  });
  return import(pathToFileURL(file));
}

/** The disks of a test for a machine of this project. */
export function disksOf({ disk }) {
  if (disk === undefined) return [];
  const bytes = diskBytes();
  const read = (offset, target) => target.set(bytes.subarray(offset, offset + target.length));
  return [{ name: 'disk', source: { size: bytes.length, read }, interface: disk }];
}

/** Runs an image on a machine of this project; returns its output and how it ended. */
export function runOnMachine(createMachine, elf, processors = 1, translator = false, devices = {}, limit = 50_000_000) {
  const kernel = { name: path.basename(elf), bytes: new Uint8Array(readFileSync(elf)) };
  const disks = disksOf(devices);
  const { iommu } = devices;
  const machine = createMachine({
    memory: 64,
    kernel,
    modules: [],
    commandLine: '',
    processors,
    translator,
    disks,
    iommu,
  });
  const bytes = [];
  machine.onSerial((byte) => bytes.push(byte));
  const result = machine.run(limit);
  return { output: Buffer.from(bytes).toString('latin1'), result, machine };
}

/** The lines that differ, with those of the first output marked "-" and those of the second "+". */
export function difference(first, second) {
  const [a, b] = [first, second].map((text) => text.split('\n'));
  const lines = [];
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if (a[i] === b[i]) continue;
    const heading = a.slice(0, i + 1).findLast((line) => line.startsWith('case')) ?? '';
    if (lines.at(-1) !== heading && heading !== a[i]) lines.push(heading);
    if (a[i] !== undefined) lines.push(`- ${a[i]}`);
    if (b[i] !== undefined) lines.push(`+ ${b[i]}`);
  }
  return lines.join('\n');
}

async function main(names) {
  const out = path.join(root, '.cache/asm');
  const tool = pickToolchain();
  const { createMachine } = await loadMachine(out);
  let failed = 0;
  for (const name of names) {
    const elf = buildAsmTest(name, out, tool);
    const { judge, output: expected } = expectedOutput(name, elf);
    const { output, result } = runOnMachine(createMachine, elf, processorsOf(name), false, devicesOf(name));
    const different = difference(expected, output);
    const ended = result.why === 'ended' && result.outcome.kind === 'exit-port' && result.outcome.code === 0;
    if (different !== '' || !ended) failed++;
    process.stdout.write(`${name}: ${different === '' && ended ? 'equal' : `different (- ${judge}, + here)`}\n`);
    if (different !== '') process.stdout.write(`${different}\n`);
    if (!ended) process.stdout.write(`did not end by the exit port: ${JSON.stringify(result)}\n`);
  }
  return failed === 0 ? 0 : 1;
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const names = process.argv.slice(2);
  process.exitCode = await main(names.length > 0 ? names : asmTests());
}
