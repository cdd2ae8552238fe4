// Seeded faults: <sample>/faults/NN-name.patch, each a header of "Key: value" lines and a unified diff of the sample.
//   What:    what is left out
//   Breaks:  which guarantee that breaks
//   Expect:  the first finding: its rule (or several, any of which is right), "at" what it names, all of it: functions whose
//            instructions it is made of, and words of its title in quotes: guest-page at give and "of guest 1"
//   Run:     program and modules, when it is not "vmm guest monitor"
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildSample, imagesOf } from './samples.mjs';

const HEADER = /^(What|Breaks|Expect|Run): (.+)$/;
const DEFAULT_RUN = 'vmm guest monitor';

/** A patch that cannot be read or does not fit the sources. */
export class PatchError extends Error {
  name = 'PatchError';
}

/**
 * Every fault of a sample, in the order of the file names.
 * @returns {{ name: string, file: string, what: string, breaks: string, rules: string[], places: string[],
 *   program: string, modules: string[], files: { path: string, hunks: object[] }[] }[]}
 */
export function readFaults(sample) {
  const folder = path.join(sample, 'faults');
  return readdirSync(folder)
    .filter((file) => file.endsWith('.patch'))
    .sort()
    .map((file) => parsePatch(readFileSync(path.join(folder, file), 'utf8'), file));
}

export function parsePatch(text, file) {
  const lines = text.split('\n');
  const header = {};
  let at = 0;
  for (; at < lines.length && !lines[at].startsWith('--- '); at++) {
    const [, key, value] = HEADER.exec(lines[at]) ?? [];
    if (key) header[key] = value;
    else if (lines[at] !== '') throw new PatchError(`${file}:${at + 1}: no header line: ${lines[at]}`);
  }
  for (const key of ['What', 'Breaks', 'Expect']) {
    if (!header[key]) throw new PatchError(`${file}: the header has no "${key}:"`);
  }
  const [, rules = '', places = ''] = /^(.+?) at (.+)$/.exec(header.Expect) ?? [];
  if (!places.split(' and ').every((place) => /^(\w+|"[^"]+")$/.test(place))) {
    throw new PatchError(`${file}: "Expect:" must be: rule or rule at function and "words"`);
  }
  const [program, ...modules] = (header.Run ?? DEFAULT_RUN).split(' ');
  const files = parseDiff(lines.slice(at), file, at + 1);
  if (files.length === 0) throw new PatchError(`${file}: there is no diff in it`);
  const name = path.basename(file, '.patch');
  return {
    name,
    file,
    what: header.What,
    breaks: header.Breaks,
    rules: rules.split(' or '),
    places: places.split(' and '),
    program,
    modules,
    files,
  };
}

function parseDiff(lines, file, first) {
  const files = [];
  let hunk;
  lines.forEach((line, index) => {
    const range = /^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@/.exec(line);
    if (line.startsWith('--- a/') && hunk?.open !== true) {
      files.push({ path: line.slice('--- a/'.length), hunks: [] });
    } else if (line.startsWith('+++ b/')) {
      return;
    } else if (range) {
      hunk = { line: Number(range[1]), before: [], after: [] };
      files.at(-1)?.hunks.push(hunk);
    } else if (hunk && /^[ +-]/.test(line)) {
      if (line[0] !== '+') hunk.before.push(line.slice(1));
      if (line[0] !== '-') hunk.after.push(line.slice(1));
    } else if (line !== '') {
      throw new PatchError(`${file}:${first + index}: no line of a unified diff: ${line}`);
    }
  });
  return files;
}

/** The text with a file's hunks applied. Every line must be as the diff has it; hunks may have moved. */
export function applyHunks(text, { path: source, hunks }, file) {
  let lines = text.split('\n');
  let moved = 0;
  for (const { line, before, after } of hunks) {
    const fits = (start) => start >= 0 && before.every((expected, i) => lines[start + i] === expected);
    const wanted = line - 1 + moved;
    const starts = Array.from({ length: lines.length }, (_, start) => start).filter(fits);
    starts.sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted));
    if (starts.length === 0) {
      throw new PatchError(
        `${file} no longer applies: ${source} has nothing like line ${line} of the patch:\n  ${before.join('\n  ')}`,
      );
    }
    lines = [...lines.slice(0, starts[0]), ...after, ...lines.slice(starts[0] + before.length)];
    moved += starts[0] - wanted + after.length - before.length;
  }
  return lines.join('\n');
}

/**
 * Builds a sample with a fault in `folder`, which gets the sources and `build/` with all images: those that the patch
 * changes anew, the others as the sample itself has them.
 */
export function buildFault(sample, fault, tool, folder) {
  const skipped = ['build', 'faults'].map((name) => path.join(sample, name));
  rmSync(folder, { recursive: true, force: true });
  cpSync(sample, folder, { recursive: true, filter: (from) => !skipped.includes(from) });
  for (const changed of fault.files) {
    const file = path.join(folder, changed.path);
    if (!existsSync(file)) throw new PatchError(`${fault.file} no longer applies: there is no ${changed.path}`);
    writeFileSync(file, applyHunks(readFileSync(file, 'utf8'), changed, fault.file));
  }
  const needed = [fault.program, ...fault.modules].map((module) => module.split('=')[0]);
  const anew = Object.entries(imagesOf(folder))
    .filter(([name, image]) => needed.includes(name) && fault.files.some(({ path: file }) => has(image, file)))
    .map(([name]) => name);
  mkdirSync(path.join(folder, 'build'), { recursive: true });
  cpSync(path.join(sample, 'build'), path.join(folder, 'build'), { recursive: true });
  buildSample(folder, tool, anew);
  return path.join(folder, 'build');
}

const has = (image, file) => image.sources?.includes(path.posix.dirname(file)) && !image.without?.includes(file);
