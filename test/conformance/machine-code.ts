import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createMachine } from '../../emulator/machine/machine';
import { DISAGREEMENTS } from './disagreements';
import type { ConformanceRow, Verdict } from './row';
import { buildProgram, onBochs } from './tools';

export const GROUP = 'exits and controls';
const OUT = path.resolve('.cache/conformance');
/** Instructions after which the program has certainly ended: it needs about ten million. */
const LIMIT = 1_000_000_000;

interface Found {
  readonly verdict: Verdict;
  readonly detail: string;
}

interface Listed {
  readonly name: string;
  readonly covers: readonly string[];
  readonly section: string;
}

/** The cases of programs/, in the order of their names. They judge themselves; what they expect is in their source. */
export async function machineCodeRows(): Promise<ConformanceRow[]> {
  const program = await buildProgram('test/conformance/programs', OUT, 'conformance');
  const here = runHere(program);
  const bochs = await onBochs(program, [], 120);
  const listed = list(here);
  const ours = verdicts(here);
  const theirs = typeof bochs === 'string' ? undefined : verdicts(bochs.serial);
  return listed.map(({ name, covers, section }) => {
    const mine = ours.get(name) ?? ended;
    const other = theirs ? (theirs.get(name) ?? ended) : { verdict: 'not run' as const, detail: '' };
    const explanation = DISAGREEMENTS[name];
    return {
      group: GROUP,
      name,
      covers,
      section,
      here: mine.verdict,
      bochs: other.verdict,
      ...(mine.detail && { hereDetail: mine.detail }),
      ...(other.detail && { bochsDetail: other.detail }),
      ...(explanation !== undefined && { explanation }),
    };
  });
}

const ended: Found = { verdict: 'fail', detail: 'the machine ended in this case' };

/** Serial output of the program on our machine, translated as much as possible and not at all: both must agree. */
function runHere(program: string): string {
  const [interpreted, translated] = [false, true].map((translator) => {
    const machine = createMachine({
      memory: 64,
      kernel: { name: 'conformance', bytes: new Uint8Array(readFileSync(program)) },
      modules: [],
      commandLine: '',
      translator,
      translatorThreshold: 100,
      // Only with a TPM there are safer-mode extensions, and so GETSEC.
      tpm: true,
    });
    const bytes: number[] = [];
    machine.onSerial((byte) => bytes.push(byte));
    const end = machine.run(LIMIT);
    if (end.why === 'limit') bytes.push(...Buffer.from('\ncase the program ends: fail it runs on\n'));
    return Buffer.from(bytes).toString('latin1');
  });
  if (interpreted !== translated)
    return `${interpreted ?? ''}\ncase interpreter and translator agree: fail they differ\n`;
  return interpreted ?? '';
}

function list(serial: string): Listed[] {
  const cases = [...serial.matchAll(/^list (.*)\|(.*)\|(.*?)\r?$/gm)].map(
    ([, name = '', covers = '', section = '']) => ({
      name,
      covers: covers.split(' ').filter(Boolean),
      section,
    }),
  );
  const unlisted = [...verdicts(serial).keys()].filter((name) => !cases.some((one) => one.name === name));
  cases.push(...unlisted.map((name) => ({ name, covers: [], section: '' })));
  return cases.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function verdicts(serial: string): Map<string, Found> {
  const found = new Map<string, Found>();
  for (const [, name = '', word = '', detail = ''] of serial.matchAll(
    /^case (.*): (ok|absent|fail)(?: (.*?))?\r?$/gm,
  )) {
    found.set(name, { verdict: word === 'ok' ? 'pass' : (word as Verdict), detail });
  }
  return found;
}
