// npm run determinism -- [--instructions 10e9] [--points 100] [--seed S] [--parallel]: the stack under load (a timer, several
// processors, disks, DMA, serial input), recorded, and then made twice again from power-on, translated and interpreted. Prints
// the machine's hash at random moments for each, and fails when two of them differ.
import { fork } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { buildSample } from './samples.mjs';
import { pickToolchain } from './toolchain.mjs';

const root = path.resolve(import.meta.dirname, '..');
const bundle = path.join(root, '.cache/determinism/determinism.cjs');
const REPORT = 1e9;

const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};

/** One pass, in a process of its own */
function runPass(plan, pass) {
  return new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, ['--pass', pass, JSON.stringify(plan)]);
    let result;
    child.on('message', (message) => {
      if (message.hashes) result = message;
      else console.log(`${pass}: ${(message.moment / 1e9).toFixed(0)} billion after ${message.seconds.toFixed(0)} s`);
    });
    child.on('exit', (code) => (result ? resolve(result) : reject(new Error(`${pass}: ended with ${code}`))));
  });
}

async function child() {
  const [pass, plan] = process.argv.slice(process.argv.indexOf('--pass') + 1);
  const { makePass } = await import(pathToFileURL(bundle).href);
  const began = Date.now();
  let told = 0;
  const progress = (moment) => {
    if (moment < told + REPORT) return;
    told = moment - (moment % REPORT);
    process.send({ moment: told, seconds: (Date.now() - began) / 1000 });
  };
  process.send(makePass(JSON.parse(plan), pass, progress), () => process.exit(0));
}

function print(results) {
  const [first] = results;
  console.log(['moment', ...results.map(({ pass }) => pass)].map((title) => title.padStart(18)).join(''));
  first.hashes.forEach(([moment], index) => {
    const hashes = results.map(({ hashes }) => `${hashes[index][1].slice(0, 16)}`);
    console.log(`${[String(moment), ...hashes].map((text) => text.padStart(18)).join('')}`);
  });
  console.log(`recorded: went back and forth to ${first.visits.length} of these moments`);
  for (const { pass, instructions, length, seconds, translated } of results) {
    const how = `${((100 * translated) / instructions).toFixed(0)} % in translated code`;
    const speed = `${(instructions / seconds / 1e6).toFixed(1)} MIPS`;
    console.log(
      `${pass}: ${instructions} instructions, ${length} transitions, ${seconds.toFixed(0)} s, ${speed}, ${how}`,
    );
  }
}

async function main() {
  const seed = option('seed', Date.now() % 1_000_000);
  const points = option('points', 100);
  const plan = { seed, instructions: option('instructions', 10e9), points, inputs: points };
  buildSample(path.join(root, 'samples/cloudvisor'), pickToolchain());
  const entry = path.join(root, 'test/timeline/determinism.ts');
  await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile: bundle,
    logLevel: 'error',
  });
  const { PASSES, differences } = (await import(pathToFileURL(bundle).href)).default;
  console.log(`seed ${seed}: ${plan.instructions} instructions, hashes at ${points} random moments`);
  const results = [];
  if (process.argv.includes('--parallel'))
    results.push(...(await Promise.all(PASSES.map((pass) => runPass(plan, pass)))));
  else for (const pass of PASSES) results.push(await runPass(plan, pass));
  print(results);
  const different = differences(results);
  for (const line of different) console.log(line);
  console.log(different.length === 0 ? `the same machine at all ${points} moments` : `${different.length} DIFFERENCES`);
  process.exitCode = different.length === 0 ? 0 : 1;
}

if (process.argv.includes('--pass')) await child();
else await main();
