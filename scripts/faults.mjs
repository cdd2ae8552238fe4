// npm run faults [-- NAME ...]: builds the sample with each of its seeded faults, runs it with the isolation sanitizer, and
// says which were caught. Ends with 1 when one was missed, or when the sample without a fault is not silent.
// Needs `npm run samples`. Two runs at a time: --parallel N for more.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { buildFault, readFaults } from './fault-patches.mjs';
import { pickToolchain } from './toolchain.mjs';

const ROOT = path.resolve(import.meta.dirname, '..');
export const SAMPLE = path.join(ROOT, 'samples/cloudvisor');
/** More than any run takes: a fault may send the guest astray for ever. */
const MOST_INSTRUCTIONS = 200_000_000;

/** Runs without a fault: each has to be silent. */
export const SILENT_RUNS = [
  { name: 'with the monitor', program: 'vmm', modules: ['guest', 'monitor'] },
  { name: 'attacks', program: 'attacks', modules: ['guest', 'monitor'] },
  { name: 'nested', program: 'chain', modules: ['monitor', 'guest', 'vmm=hypervisor'] },
  { name: 'the VMM alone', program: 'vmm', modules: ['guest'] },
];

/** Bundles the program that makes one run; its path, in `folder`. */
export async function bundleRunner(folder) {
  const outfile = path.join(folder, 'sanitized-run.js');
  const entryPoints = [path.join(ROOT, 'test/faults/sanitized-run.ts')];
  await build({ entryPoints, outfile, bundle: true, platform: 'node', target: 'node20', logLevel: 'warning' });
  return outfile;
}

/**
 * Runs the images of a `build` folder with the sample's policy, to the first finding or the end.
 * @returns what test/faults/sanitized-run.ts tells
 */
function sanitize(images, { program, modules }, runner) {
  const policy = modules.includes('monitor') ? 'isolation.json' : 'isolation-alone.json';
  const request = {
    build: images,
    policy: path.join(SAMPLE, policy),
    program,
    modules,
    mostInstructions: MOST_INSTRUCTIONS,
  };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [runner, JSON.stringify(request)], { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let said = '';
    child.stdout.on('data', (text) => (out += text));
    child.stderr.on('data', (text) => (said += text));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(out));
      else reject(new Error(`the run of ${program} ended with ${code ?? signal}: ${said}`));
    });
  });
}

/** Functions whose instructions a finding is made of, without their layers and lines; each once. */
export const functionsOf = (finding) => [
  ...new Set(finding.path.flatMap(({ functions }) => functions.map((text) => /!(\w+)/.exec(text)?.[1] ?? text))),
];

/** Whether the first finding is the one that a fault is to give. */
export const isExpected = (fault, finding) =>
  finding !== undefined &&
  fault.rules.includes(finding.rule) &&
  fault.places.every((place) =>
    place.startsWith('"') ? finding.title.includes(place.slice(1, -1)) : functionsOf(finding).includes(place),
  );

/** Builds and runs one fault in a folder of its own. */
export async function tryFault(fault, tool, runner) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'undervisor-fault-'));
  try {
    const { findings, end } = await sanitize(buildFault(SAMPLE, fault, tool, folder), fault, runner);
    const [first] = findings;
    return { fault, first, end, caught: isExpected(fault, first) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The sample without a fault: there should be no finding, and an end. */
export async function trySample(run, runner) {
  const { findings, end, serial } = await sanitize(path.join(SAMPLE, 'build'), run, runner);
  return { run, findings, serial, silent: findings.length === 0 && end === 'ended' };
}

/** Calls `work` for each item, at most `limit` at a time; the results in the order of the items. */
export async function inParallel(items, limit, work) {
  const results = [];
  const waiting = items.entries();
  await Promise.all(
    Array.from({ length: limit }, async () => {
      for (const [index, item] of waiting) results[index] = await work(item);
    }),
  );
  return results;
}

const line = (finding) => {
  const functions = functionsOf(finding);
  const by = functions.length > 0 ? `; ${functions.join(', ')}` : '';
  return `${finding.rule}: ${finding.title} (moment ${finding.moment}${by})`;
};

function showFault({ fault, first, end, caught }) {
  const { name, what, rules, places } = fault;
  process.stdout.write(
    [
      `${caught ? 'caught' : 'MISSED'}  ${name}: ${what}`,
      `        expected ${rules.join(' or ')} at ${places.join(' and ')}`,
      `        found    ${first ? line(first) : `nothing (the run's end: ${end})`}`,
      '',
    ].join('\n'),
  );
}

function showSample({ run, findings, silent }) {
  process.stdout.write(`${silent ? 'silent' : 'ALARM '}  ${run.name}\n`);
  for (const finding of findings) process.stdout.write(`        ${line(finding)}\n`);
}

/** Whether the work came to the result that it should; what goes wrong on the way is told. */
async function judged(work, show, key) {
  try {
    const result = await work();
    show(result);
    return result[key];
  } catch (error) {
    process.stdout.write(`FAIL    ${error.message}\n`);
    return false;
  }
}

async function main(args) {
  const at = args.indexOf('--parallel');
  const parallel = at < 0 ? 2 : Number(args.splice(at, 2)[1]) || 2;
  if (!existsSync(path.join(SAMPLE, 'build/monitor.elf'))) throw new Error('the sample is not built: npm run samples');
  const chosen = readFaults(SAMPLE).filter(({ name }) => args.length === 0 || args.some((word) => name.includes(word)));
  if (chosen.length === 0) throw new Error(`no fault has a name with ${args.join(' or ')}`);
  const tool = pickToolchain();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'undervisor-faults-'));
  try {
    const runner = await bundleRunner(folder);
    const silent = await inParallel(SILENT_RUNS, parallel, (run) =>
      judged(() => trySample(run, runner), showSample, 'silent'),
    );
    const caught = await inParallel(chosen, parallel, (fault) =>
      judged(() => tryFault(fault, tool, runner), showFault, 'caught'),
    );
    const count = (list) => `${list.filter(Boolean).length} of ${list.length}`;
    process.stdout.write(`${count(caught)} faults caught, ${count(silent)} runs without a fault silent\n`);
    process.exitCode = [...caught, ...silent].every(Boolean) ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).catch((error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}
