import { resolve } from 'node:path';
import { MAXIMUM_PROCESSORS, MAXIMUM_QUANTUM } from '../../emulator/machine/api';
import type { LaunchArguments } from '../protocol/requests';
import type { OutputForm, RunOptions } from './run';
import { UsageError, whole } from './usage';

type Launch = Partial<LaunchArguments>;

/**
 * Options that are attributes of the launch, with the number of values they take. Values are checked with the launch,
 * which knows what each attribute may be.
 */
const ATTRIBUTES: Readonly<Record<string, (launch: Launch, value: string) => void>> = {
  '--append': (launch, value) => {
    launch.commandLine = value;
  },
  '--module': (launch, value) => {
    const [file = '', ...commandLine] = value.split('=');
    if (file === '') throw new UsageError(`--module needs FILE or FILE=TEXT, not "${value}"`);
    const line = commandLine.length === 0 ? {} : { commandLine: commandLine.join('=') };
    (launch.modules ??= []).push({ file: resolve(file), ...line });
  },
  '--memory': (launch, value) => {
    launch.memory = whole(value, '--memory', 3072);
  },
  '--processors': (launch, value) => {
    launch.processors = whole(value, '--processors', MAXIMUM_PROCESSORS);
  },
  '--quantum': (launch, value) => {
    launch.quantum = whole(value, '--quantum', MAXIMUM_QUANTUM);
  },
  '--tpm': (launch, value) => {
    launch.tpm = value as 'tis' | 'crb';
  },
  '--boot': (launch, value) => {
    launch.boot = value as NonNullable<Launch['boot']>;
  },
  '--start-time': (launch, value) => {
    launch.startTime = value;
  },
  '--random-seed': (launch, value) => {
    launch.randomSeed = whole(value, '--random-seed', Number.MAX_SAFE_INTEGER);
  },
  '--raw-address': (launch, value) => {
    launch.raw = { ...launch.raw, address: value };
  },
  '--raw-entry': (launch, value) => {
    launch.raw = { ...launch.raw, entry: value };
  },
  '--isolation': (launch, value) => {
    launch.isolation = resolve(value);
  },
  '--disk': (launch, value) => {
    (launch.disks ??= []).push(diskOf(value));
  },
  '--record': (launch, value) => {
    launch.record = resolve(value);
  },
  '--raw-bits': (launch, value) => {
    launch.raw = { ...launch.raw, bits: Number(value) as 16 | 32 };
  },
};

function diskOf(value: string): NonNullable<Launch['disks']>[number] {
  const [file = '', ...options] = value.split(',');
  if (file === '') throw new UsageError(`--disk needs FILE, not "${value}"`);
  const disk: NonNullable<Launch['disks']>[number] = { file: resolve(file) };
  for (const option of options) {
    if (option === 'interface=ide' || option === 'interface=virtio') {
      disk.interface = option === 'interface=ide' ? 'ide' : 'virtio';
    } else if (option === 'write') disk.write = 'through';
    else if (option === 'readonly') disk.readOnly = true;
    else {
      throw new UsageError(
        `--disk: unknown option "${option}". Valid: interface=ide, interface=virtio, write, readonly`,
      );
    }
  }
  return disk;
}

/** The arguments of `undervisor run`, and of another command that runs a program. @throws UsageError */
export function runOptions(args: readonly string[], command = 'run'): RunOptions {
  const launch: Launch = {};
  let form: OutputForm = 'text';
  let exitStatus = false;
  let maxInstructions = Infinity;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    const attribute = Object.hasOwn(ATTRIBUTES, arg) ? ATTRIBUTES[arg] : undefined;
    if (attribute) {
      const value = args[++at];
      if (value === undefined) throw new UsageError(`${arg} needs a value`);
      attribute(launch, value);
    } else if (arg === '--json' || arg === '--serial') {
      const other: OutputForm = arg === '--json' ? 'json' : 'serial';
      if (form !== 'text' && form !== other) throw new UsageError('--json and --serial exclude each other');
      form = other;
    } else if (arg === '--exit-status') exitStatus = true;
    else if (arg === '--no-translator') launch.translator = false;
    else if (arg === '--iommu') launch.iommu = true;
    else if (arg === '--strict-translation') launch.strictTranslation = true;
    else if (arg === '--max-instructions') maxInstructions = whole(args[++at], arg, Number.MAX_SAFE_INTEGER);
    else if (arg.startsWith('-')) throw new UsageError(`unknown option "${arg}"`);
    else if (launch.program === undefined) launch.program = arg;
    else throw new UsageError(`one program only, but "${arg}" was given beside "${launch.program}"`);
  }
  if (launch.program === undefined) throw new UsageError(`${command}: no program given`);
  if (launch.program.endsWith('.uvrec'))
    throw new UsageError(`run: ${launch.program} is a recording: use "undervisor replay"`);
  return { launch, form, maxInstructions, exitStatus };
}
