// What the isolation sanitizer costs on the sample: tables alone, and with secrecy tracking. Off, nothing of it is there.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = path.resolve(import.meta.dirname, '../..');
const out = path.join(root, '.cache/bench');
const built = path.join(root, 'samples/cloudvisor/build');
const ROUNDS = 5;
const WAYS = ['off', 'tables', 'secrecy'];

async function load() {
  mkdirSync(out, { recursive: true });
  const outfile = path.join(out, 'isolation.cjs');
  const modules = [
    'emulator/devices/storage/block-source.ts',
    'emulator/machine/elf.ts',
    'emulator/machine/machine.ts',
    'emulator/watch/isolation/policy.ts',
    'emulator/watch/isolation/resolve.ts',
    'emulator/watch/policy-watch.ts',
  ];
  const contents = modules.map((file) => `export * from './${file}';`).join('\n');
  const stdin = { contents, resolveDir: root, loader: 'ts' };
  await build({ stdin, outfile, bundle: true, platform: 'node', format: 'cjs', logLevel: 'warning' });
  return import(pathToFileURL(outfile));
}

function bytesOf(name) {
  const file = path.join(built, name);
  if (!existsSync(file)) throw new Error(`${file} was not built: npm run samples`);
  return new Uint8Array(readFileSync(file));
}

/** @returns milliseconds of processor time */
function run(platform, way) {
  const image = (name) => ({ name, bytes: bytesOf(`${name}.elf`), commandLine: name });
  const [kernel, ...modules] = ['vmm', 'guest', 'monitor'].map(image);
  const machine = platform.createMachine({
    memory: 64,
    kernel: { ...kernel, commandLine: '' },
    modules,
    commandLine: '',
    translator: true,
    iommu: true,
    disks: [{ name: 'disk.img', interface: 'ide', source: platform.memorySource(bytesOf('disk.img')) }],
  });
  let found = 0;
  if (way !== 'off') {
    const policy = JSON.parse(readFileSync(path.join(root, 'samples/cloudvisor/isolation.json'), 'utf8'));
    const images = [kernel, ...modules].map(({ name, bytes }) => ({
      layer: name,
      elf: platform.parseElf(bytes, name),
    }));
    const resolved = platform.resolvePolicy(platform.parsePolicy({ ...policy, secrecy: way === 'secrecy' }), images);
    new platform.PolicyWatch(machine, resolved, { report: () => found++ });
  }
  const began = process.cpuUsage();
  const result = machine.run(1_000_000_000);
  const { user, system } = process.cpuUsage(began);
  if (result.why !== 'ended' || result.outcome.kind !== 'exit-port' || result.outcome.code !== 0 || found > 0)
    throw new Error(`the sample ended early, or with ${found} findings: ${JSON.stringify(result)}`);
  return (user + system) / 1000;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

export async function isolationRows(log) {
  const platform = await load();
  const times = Object.fromEntries(WAYS.map((way) => [way, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    log(`isolation: round ${round} of ${ROUNDS}`);
    for (const way of WAYS) {
      const time = run(platform, way);
      // The first round is for V8.
      if (round > 0) times[way].push(time);
    }
  }
  const slower = (way) => Number((median(times[way]) / median(times.off)).toPrecision(3));
  return [
    { name: 'isolation of the sample: tables', value: slower('tables'), unit: 'x the time of off' },
    { name: 'isolation of the sample: with secrecy', value: slower('secrecy'), unit: 'x the time of off' },
  ];
}
