import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createMachine } from '../../emulator/machine/machine';
import { buildProgram, onBochs } from '../conformance/tools';

const BUILT = path.resolve('samples/cloudvisor/build');
const OUT = path.resolve('.cache/skiff');
const LIMIT = 300_000_000;

interface Module {
  readonly file: string;
  readonly name: string;
}

function here(program: string, modules: readonly Module[], translator: boolean): string {
  const machine = createMachine({
    memory: 64,
    kernel: { name: 'program', bytes: new Uint8Array(readFileSync(program)) },
    modules: modules.map(({ file, name }) => ({
      name,
      bytes: new Uint8Array(readFileSync(file)),
      commandLine: name,
    })),
    commandLine: '',
    translator,
  });
  const bytes: number[] = [];
  machine.onSerial((byte) => bytes.push(byte));
  const end = machine.run(LIMIT);
  const serial = Buffer.from(bytes).toString('latin1');
  assert.deepEqual(end, { why: 'ended', outcome: { kind: 'exit-port', code: 0 } }, serial);
  return serial;
}

async function bochs(program: string, modules: readonly Module[]): Promise<string | undefined> {
  const run = await onBochs(program, [...modules], 120);
  if (typeof run === 'string') {
    assert.ok(!process.env.CI, `Bochs cannot run here, ${run}`);
    console.log(`      not run, ${run}`);
    return undefined;
  }
  assert.ok(run.finished, run.serial);
  return run.serial;
}

/** What the hypervisor itself says: the monitor's and the loader's lines begin with their names. */
const told = (serial: string): string[] => serial.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('['));

const WITH_SHADOWING = [
  'skiff lends its guest a VMCS',
  'guest: 37',
  'guest: 66696b73',
  'guest: 5ca1ab1e',
  'guest: 5ca1ab1f',
  'guest: 40',
  'the VMCS comes back with 5ca1ab1f',
  'machine ends with status 0',
];

describe('a hypervisor that knows of nothing, with the monitor beneath', function () {
  this.timeout(300_000);
  const beneath = (hypervisor: string): Module[] => [
    { file: path.join(BUILT, 'monitor.elf'), name: 'monitor' },
    { file: hypervisor, name: 'hypervisor' },
  ];
  const chain = path.join(BUILT, 'chain.elf');
  let skiff = '';

  before(async () => {
    skiff = await buildProgram('test/foreign/skiff', OUT, 'skiff');
  });

  it('with VMCS shadowing says the same alone and above the monitor', () => {
    assert.deepEqual(told(here(skiff, [], true)), WITH_SHADOWING);
    assert.deepEqual(told(here(chain, beneath(skiff), true)), WITH_SHADOWING);
  });

  it('and so on Bochs', async () => {
    const alone = await bochs(skiff, []);
    if (alone !== undefined) assert.deepEqual(told(alone), WITH_SHADOWING);
    const nested = await bochs(chain, beneath(skiff));
    if (nested !== undefined) assert.deepEqual(told(nested), WITH_SHADOWING);
  });

  it("without VMCS shadowing: the sample's VMM, whose guest keeps its secret", () => {
    const modules = [...beneath(path.join(BUILT, 'vmm.elf')), { file: path.join(BUILT, 'guest.elf'), name: 'guest' }];
    const serial = here(chain, modules, true);
    assert.match(serial, /^\[guest\] secret intact: 4e9d7d9079745aa1/m);
    assert.match(serial, /^\[vmm\] adversary: page \w+ of the guest reads "(?!.*4e9d7d9079745aa1)/m);
    assert.match(serial, /^\[monitor\] refused, page \w+: the VMM writes to a page of a guest/m);
  });
});
