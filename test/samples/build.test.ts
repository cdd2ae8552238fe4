import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

interface Toolchain {
  name: string;
  cc?: string[];
  ld?: string[];
  missing?: string;
}
interface Toolchains {
  candidates: (env: NodeJS.ProcessEnv, from: string) => Toolchain[];
  pickToolchain: (list: Toolchain[]) => Toolchain;
}

const root = process.cwd();
const images = ['vmm', 'monitor', 'guest'];

/** `node scripts/samples.mjs <folder>`, as a user runs it. */
function build(folder: string, env: NodeJS.ProcessEnv = process.env) {
  return spawnSync(process.execPath, [path.join(root, 'scripts/samples.mjs'), folder], { env, encoding: 'utf8' });
}

describe('samples: build', () => {
  let scratch = '';
  beforeEach(() => {
    scratch = mkdtempSync(path.join(os.tmpdir(), 'undervisor-build-'));
  });
  afterEach(() => rmSync(scratch, { recursive: true, force: true }));

  /** A copy of the sources without anything built, built at this place. */
  function buildCopy(name: string): string {
    const folder = path.join(scratch, name);
    const source = path.join(root, 'samples/cloudvisor');
    cpSync(source, folder, { recursive: true, filter: (file) => path.relative(source, file) !== 'build' });
    const run = build(folder);
    assert.strictEqual(run.status, 0, run.stderr);
    return folder;
  }

  const bytes = (folder: string, image: string) => readFileSync(path.join(folder, 'build', `${image}.elf`));

  it('gives the same bytes in two directories, and names no directory', function () {
    this.timeout(240_000);
    const one = buildCopy('a');
    const other = buildCopy('somewhere-else/with a longer name');
    for (const image of images) {
      assert.ok(bytes(one, image).equals(bytes(other, image)), `${image}.elf differs`);
      assert.ok(!bytes(one, image).includes(scratch), `${image}.elf names ${scratch}`);
    }
    const monitor = bytes(one, 'monitor');
    const sections = ['.debug_info', '.debug_line', '.debug_frame', '.note.stapsdt'];
    for (const section of sections) assert.ok(monitor.includes(`${section}\0`), `monitor.elf has no ${section}`);
    const contract = ['vm_created', 'page_owner', 'page_encrypted', 'page_decrypted', 'page_refused', 'page_verified'];
    for (const probe of [...contract, 'page_corrupt', 'registers_hidden', 'ept_validated', 'dma_refused']) {
      assert.ok(monitor.includes(`undervisor\0${probe}\0`), `monitor.elf has no probe ${probe}`);
    }
  });

  /** A sample of one image that no compiler needs to understand. */
  function smallSample(description: unknown): string {
    writeFileSync(path.join(scratch, 'images.json'), JSON.stringify(description));
    return scratch;
  }

  it('tries the compilers in order and tells for each why it does not fit', async () => {
    const file = path.join(root, 'scripts/toolchain.mjs');
    const { candidates, pickToolchain } = (await import(pathToFileURL(file).href)) as Toolchains;
    const names = candidates({}, path.join(scratch, 'x.js')).map(({ name }) => name);
    assert.deepStrictEqual(names.slice(0, 2).concat(names.slice(-2, -1)), ['clang + ld.lld', 'x86_64-elf-gcc', 'gcc']);
    assert.match(names.at(-1) ?? '', /^npm @zigc\//);
    const absent = path.join(scratch, 'cc');
    const list = [
      { name: 'first', cc: [absent], ld: ['ld'] },
      { name: 'second', missing: 'package not installed' },
    ];
    assert.throws(
      () => pickToolchain(list),
      ({ message }: Error) =>
        message.includes(`  first: ${absent}: not found\n  second: package not installed\n`) &&
        message.includes('set UNDERVISOR_CC'),
    );
  });

  it('does not believe a compiler that only claims success', () => {
    const liar = path.join(scratch, 'liar');
    writeFileSync(liar, '#!/bin/sh\nexit 0\n');
    chmodSync(liar, 0o755);
    const folder = smallSample({ x: { sources: ['.'], linkerScript: 'x.ld' } });
    const run = build(folder, { ...process.env, UNDERVISOR_CC: liar, UNDERVISOR_LD: liar });
    assert.strictEqual(run.status, 1);
    assert.match(run.stderr, /UNDERVISOR_CC: the linker made no file/);
  });

  it('names a compiler of the environment that does not exist, and tries no other', () => {
    const folder = smallSample({ x: { sources: ['.'], linkerScript: 'x.ld' } });
    const run = build(folder, { ...process.env, UNDERVISOR_CC: '/nowhere/cc' });
    assert.strictEqual(run.status, 1);
    assert.match(run.stderr, /UNDERVISOR_CC: \/nowhere\/cc: not found/);
    assert.doesNotMatch(run.stderr, /clang \+/);
  });

  it('names the image and the folder of a wrong description', function () {
    this.timeout(60_000);
    const run = build(smallSample({ kernel: { sources: ['absent'], linkerScript: 'x.ld' } }));
    assert.strictEqual(run.status, 1);
    assert.match(run.stderr, /images\.json: image "kernel" names the folder "absent", which does not exist/);
  });

  it('shows what the compiler says about a wrong source, and keeps what was built before', function () {
    this.timeout(240_000);
    const folder = buildCopy('kept');
    const before = bytes(folder, 'vmm');
    writeFileSync(path.join(folder, 'guest/wrong.c'), 'int x = missing_thing;\n');
    const run = build(folder);
    assert.strictEqual(run.status, 1);
    assert.match(run.stderr, /guest\/wrong\.c:1:9: error: .*missing_thing/);
    assert.ok(bytes(folder, 'vmm').equals(before));
  });
});
