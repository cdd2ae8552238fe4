// One run of the sample with its isolation policy, in a process of its own (scripts/faults.mjs): prints the findings as JSON.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { InlinedCall, Subprogram } from '../../debug-adapter/symbols/functions';
import { Program } from '../../debug-adapter/symbols/program';
import { memorySource } from '../../emulator/devices/storage/block-source';
import { createMachine } from '../../emulator/machine/machine';
import type { Finding, PathStep } from '../../emulator/watch/isolation/finding';
import { parsePolicy } from '../../emulator/watch/isolation/policy';
import { resolvePolicy } from '../../emulator/watch/isolation/resolve';
import { PolicyWatch } from '../../emulator/watch/policy-watch';

/** What the process is asked for, as the JSON text of its argument */
export interface SanitizedRun {
  /** Folder of the images */
  readonly build: string;
  /** Path of the policy */
  readonly policy: string;
  readonly program: string;
  /** "name" or "name=command line" */
  readonly modules: readonly string[];
  readonly mostInstructions: number;
}

export interface FoundStep {
  readonly what: string;
  /** Functions that the step's instruction is in, the innermost first: "monitor!give (lifecycle.c:76)" */
  readonly functions: readonly string[];
}

export interface Found {
  readonly rule: string;
  readonly title: string;
  readonly moment: number;
  readonly path: readonly FoundStep[];
}

export interface SanitizedResult {
  readonly findings: readonly Found[];
  /** How the run ended: of itself, at a finding that stops, or by the limit */
  readonly end: string;
  readonly serial: string;
}

interface Layer {
  readonly layer: string;
  readonly program: Program;
}

function runSanitized({
  build,
  policy: policyFile,
  program,
  modules,
  mostInstructions,
}: SanitizedRun): SanitizedResult {
  const bytesOf = (file: string) => new Uint8Array(readFileSync(path.join(build, file)));
  const image = (name: string, commandLine: string) => ({ name, bytes: bytesOf(`${name}.elf`), commandLine });
  const kernel = image(program, '');
  const loaded = modules.map((text) => {
    const [name = '', commandLine = name] = text.split('=');
    return image(name, commandLine);
  });
  const machine = createMachine({
    memory: 64,
    kernel,
    modules: loaded,
    commandLine: '',
    translator: true,
    iommu: true,
    disks: [{ name: 'disk.img', interface: 'ide', source: memorySource(bytesOf('disk.img')) }],
  });
  const layers: Layer[] = [kernel, ...loaded].map(({ name, bytes }, index) => ({
    layer: index === 0 && name !== 'chain' ? 'vmm' : name,
    program: Program.open(bytes, name),
  }));
  const policy = parsePolicy(JSON.parse(readFileSync(policyFile, 'utf8')));
  const images = layers.map(({ layer, program: { elf } }) => ({ layer, elf }));
  const findings: Finding[] = [];
  let stopped = false;
  const watch = new PolicyWatch(machine, resolvePolicy(policy, images), {
    report: (finding, severity) => {
      if (!stopped) findings.push(finding);
      if (severity !== 'stop') return;
      stopped = true;
      machine.requestStop();
    },
  });
  const serial: number[] = [];
  machine.onSerial((byte) => serial.push(byte));
  const result = machine.run(mostInstructions);
  if (result.why === 'ended') watch.check();
  return {
    findings: findings.map((finding) => found(finding, layers)),
    end: stopped ? 'finding' : result.why,
    serial: Buffer.from(serial).toString('latin1'),
  };
}

const found = ({ rule, title, moment, path: steps }: Finding, layers: readonly Layer[]): Found => ({
  rule,
  title,
  moment,
  path: steps.map((step) => ({ what: step.what, functions: functionsAt(step, layers) })),
});

/** By address alone: the images of the sample overlap nowhere in linear addresses. */
function functionsAt({ rip }: PathStep, layers: readonly Layer[]): string[] {
  const holder = layers.find(({ program }) => rip !== undefined && program.isCode(rip));
  if (!holder || rip === undefined) return [];
  const { layer, program } = holder;
  const line = program.lineAt(rip);
  const place = line ? ` (${line.file.split('/').at(-1)}:${line.line})` : '';
  const scopes = program.scopesAt(rip).filter((scope) => scope instanceof InlinedCall || scope instanceof Subprogram);
  const names = scopes.map((scope) => scope.name ?? '').reverse();
  if (names.length === 0) names.push(program.symbolAt(rip)?.name ?? '');
  return names.filter((name) => name !== '').map((name, index) => `${layer}!${name}${index === 0 ? place : ''}`);
}

process.stdout.write(JSON.stringify(runSanitized(JSON.parse(process.argv[2] ?? '') as SanitizedRun)));
