import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

interface Fault {
  readonly name: string;
  readonly file: string;
  readonly rules: readonly string[];
  readonly places: readonly string[];
  readonly program: string;
  readonly modules: readonly string[];
  readonly files: readonly { readonly path: string }[];
}
interface Patches {
  readFaults(sample: string): Fault[];
  parsePatch(text: string, file: string): Fault;
  applyHunks(text: string, change: unknown, file: string): string;
}

const SAMPLE = path.resolve('samples/cloudvisor');
const HEADER = 'What: a() forgets.\nBreaks: all.\nExpect: guest-page at a\n\n';
const DIFF = '--- a/m/x.c\n+++ b/m/x.c\n@@ -2,3 +2,2 @@\n two\n-three\n four\n';

describe('seeded faults: patches', () => {
  let patches: Patches;
  before(async () => {
    const url = pathToFileURL(path.resolve('scripts/fault-patches.mjs')).href;
    patches = (await import(url)) as Patches;
  });

  it('are at least 20, numbered, each with a file of its own and another fault', () => {
    const faults = patches.readFaults(SAMPLE);
    assert.ok(faults.length >= 20);
    faults.forEach(({ name }, index) =>
      assert.match(name, new RegExp(`^${String(index + 1).padStart(2, '0')}-[a-z0-9-]+$`)),
    );
    const texts = faults.map(({ file }) => readFileSync(path.join(SAMPLE, 'faults', file), 'utf8').split('\n--- ')[1]);
    assert.equal(new Set(texts).size, faults.length, 'two patches are the same');
  });

  it('apply to the sample as it is', () => {
    for (const { file, files } of patches.readFaults(SAMPLE)) {
      for (const change of files) {
        const text = readFileSync(path.join(SAMPLE, change.path), 'utf8');
        assert.notEqual(patches.applyHunks(text, change, file), text, file);
      }
    }
  });

  it('apply where the lines have moved', () => {
    const { files } = patches.parsePatch(HEADER + DIFF, '01-x.patch');
    assert.equal(patches.applyHunks('zero\none\ntwo\nthree\nfour\n', files[0], 'x'), 'zero\none\ntwo\nfour\n');
  });

  it('say which file and line they no longer fit', () => {
    const { files } = patches.parsePatch(HEADER + DIFF, '01-x.patch');
    assert.throws(
      () => patches.applyHunks('one\ntwo\n3\nfour\n', files[0], '01-x.patch'),
      /01-x\.patch no longer applies: m\/x\.c has nothing like line 2 of the patch:\n {2}two\n {2}three\n {2}four/,
    );
  });

  it('are refused without a header or a diff, by file and line', () => {
    assert.throws(() => patches.parsePatch(`Hello\n${DIFF}`, '02-y.patch'), /02-y\.patch:1: no header line: Hello/);
    assert.throws(
      () => patches.parsePatch(`What: x\n${DIFF}`, '02-y.patch'),
      /02-y\.patch: the header has no "Breaks:"/,
    );
    assert.throws(() => patches.parsePatch(HEADER, '02-y.patch'), /02-y\.patch: there is no diff in it/);
    const place = HEADER.replace(' at a', '');
    assert.throws(() => patches.parsePatch(place + DIFF, '02-y.patch'), /"Expect:" must be: rule or rule at function/);
    assert.throws(() => patches.parsePatch(`${HEADER}${DIFF}x`, '02-y.patch'), /02-y\.patch:11: no line of a unified/);
  });
});
