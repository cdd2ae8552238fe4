import type { Context } from '../../emulator/machine/api';
import type { Finding, Party, PathStep } from '../../emulator/watch/isolation/finding';
import type { Debuggee } from '../launch/debuggee';
import { hex } from '../memory/reference';
import { formatSymbol } from '../stack/layers';
import type { Explanation } from './explain';

export const ISOLATION = 'isolation';

/** A step of a finding with what the adapter knows besides: whose instruction it was, by name. Addresses as strings. */
export interface FindingStep {
  readonly what: string;
  readonly address?: string;
  readonly value?: string;
  readonly moment?: number;
  readonly vcpu?: number;
  readonly rip?: string;
  /** "monitor!eptx_set+0x12" */
  readonly symbol?: string;
  readonly file?: string;
  readonly line?: number;
}

/** The context that ran by a VMCS, or in root operation, on a processor */
function contextOf(debuggee: Debuggee, by: Party, vcpu: number): Context | undefined {
  const contexts = debuggee.machine.contexts.filter((context) => context.vcpu === vcpu);
  if (by.kind === 'device') return undefined;
  return contexts.find((context) => (by.kind === 'root' ? context.root : context.vmcs === by.vmcs));
}

export function findingStep(step: PathStep, debuggee: Debuggee): FindingStep {
  const { what, address, value, moment, vcpu, rip, by } = step;
  const context = by && vcpu !== undefined ? contextOf(debuggee, by, vcpu) : undefined;
  return {
    what,
    ...(address === undefined ? {} : { address: hex(address) }),
    ...(value === undefined ? {} : { value: hex(value) }),
    ...(moment === undefined ? {} : { moment }),
    ...(vcpu === undefined ? {} : { vcpu }),
    ...(rip === undefined ? {} : { rip: hex(rip) }),
    ...(rip === undefined || !context ? {} : placeIn(debuggee, context, rip)),
  };
}

function placeIn(debuggee: Debuggee, context: Context, rip: bigint): Pick<FindingStep, 'symbol' | 'file' | 'line'> {
  const { layers } = debuggee;
  const image = layers.imageAt(context, rip);
  const line = image?.loaded.lineAt(rip);
  const symbol = `${image?.layer ?? layers.nameOf(context)}!${formatSymbol(layers.symbolAt(context, rip), rip)}`;
  return { symbol, ...(line ? { file: line.file, line: line.line } : {}) };
}

/** "PTE of guest 1: leads to the page, at 0x5000 = 0x6007; written by monitor!give (lifecycle.c:81) at moment 12" */
export function stepText(step: FindingStep): string {
  const { what, address, value, moment, symbol, rip, file, line } = step;
  const at = address === undefined ? '' : ` [${address}${value === undefined ? '' : ` = ${value}`}]`;
  if (moment === undefined) return `${what}${at}`;
  const place = file === undefined ? '' : ` (${file.split('/').at(-1)}:${line})`;
  const who = symbol ?? rip;
  return `${what}${at}, ${who === undefined ? '' : `by ${who}${place} `}at moment ${moment}`;
}

/** A finding for the stopped event and exceptionInfo. */
export function explainFinding(finding: Finding, debuggee: Debuggee): Explanation {
  const steps = finding.path.map((step, index) => `${index + 1}. ${stepText(findingStep(step, debuggee))}`);
  return {
    id: ISOLATION,
    title: `Isolation: ${finding.title}`,
    text: [`${finding.title}.`, finding.text, ...(steps.length > 0 ? ['How it came to this:', ...steps] : [])].join(
      '\n',
    ),
  };
}
