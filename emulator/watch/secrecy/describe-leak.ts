import { exitReasonName } from '../../arch/exit-reasons';
import { gprName } from '../../arch/registers';
import { OWN_SECRETS, type Runner, type SecretLeak, type SecretStep } from '../../machine/secrecy/api';
import { FlowKind } from '../../machine/secrecy/flows';
import type { Party, PathStep } from '../isolation/finding';
import { ISOLATION_RULES, type IsolationRule } from '../isolation/rules';

/** Steps that a path shows at its beginning and at its end; those between are counted. */
const FIRST_STEPS = 4;
const LAST_STEPS = 12;
const PAGE = 4096;
const ROOT: Party = { kind: 'root' };

export interface DescribedLeak {
  readonly rule: IsolationRule;
  readonly key: string;
  readonly title: string;
  readonly text: string;
  readonly path: readonly PathStep[];
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const runnerName = (runner: Runner): string =>
  runner === 'root' ? 'the monitor' : runner === 'vmm' ? 'the VMM' : `guest ${runner}`;

/** "the monitor's own secrets", "guest 1", "guests 1 and 2" */
function whose(labels: number): string {
  const guests: string[] = [];
  for (let guest = 1; guest <= 7; guest++) if (labels & (1 << guest)) guests.push(`guest ${guest}`);
  if (labels & OWN_SECRETS) guests.unshift('the monitor');
  return guests.join(' and ') || 'somebody';
}

const RULES: Readonly<Record<SecretLeak['leak']['by'], IsolationRule>> = {
  register: 'secret-register',
  'extended-registers': 'secret-register',
  field: 'secret-register',
  memory: 'secret-memory',
  read: 'secret-memory',
  shared: 'secret-memory',
  device: 'secret-device',
  port: 'secret-output',
  'device-register': 'secret-output',
  'iv-reused': 'iv-reused',
};

/** What a leak is as a finding: rule, words, and the path of the bytes. */
export function describeLeak(
  leak: SecretLeak,
  waysTo?: (runner: Runner, page: number) => readonly PathStep[],
): DescribedLeak {
  const rule = RULES[leak.leak.by];
  const { name, rule: text, danger } = ISOLATION_RULES[rule];
  const ways =
    leak.leak.by === 'memory' && leak.address !== undefined
      ? (waysTo?.(leak.to, Math.floor(leak.address / PAGE)) ?? [])
      : [];
  return {
    rule,
    key: keyOf(leak, rule),
    title: titleOf(leak),
    text: `${name}. Rule "${rule}": ${text} ${danger}`,
    path: [...wayOf(leak), ...ways, endOf(leak)],
  };
}

/** The same secret by the same way: where it was stored last, and to whom it goes; whole pages each by itself. */
function keyOf({ leak, to, labels, steps, address }: SecretLeak, rule: IsolationRule): string {
  const last = steps.at(-1);
  const code = last?.kind === FlowKind.Page ? hex(Math.floor((address ?? 0) / PAGE)) : `${last?.rip ?? 0n}`;
  const first = steps[0];
  const reason = first?.kind === FlowKind.Exit ? first.at : '';
  const how =
    leak.by === 'register'
      ? leak.registers.join()
      : leak.by === 'iv-reused'
        ? leak.moment
        : leak.by === 'field'
          ? leak.field
          : '';
  return `${rule} ${leak.by} ${how} ${to} ${labels} ${code} ${reason}`;
}

function titleOf({ leak, to, labels, address, length }: SecretLeak): string {
  const him = capital(runnerName(to));
  const depends = length === 1 ? 'depends' : 'depend';
  const of = `that ${depends} on secrets of ${whose(labels)}`;
  const data = `data that depend on secrets of ${whose(labels)}`;
  const bytes = `${length} byte${length === 1 ? '' : 's'}`;
  const there = address === undefined ? '' : ` at ${hex(address)}`;
  switch (leak.by) {
    case 'register':
      return `${him} is entered with ${leak.registers.map((number) => gprName(number).toUpperCase()).join(', ')} holding what depends on secrets of ${whose(labels)}`;
    case 'extended-registers':
      return `${him} is entered with x87 and SSE registers of ${whose(labels)}`;
    case 'field':
      return `${him} is entered with ${leak.field} holding what depends on secrets of ${whose(labels)}`;
    case 'memory':
      return `${him} can read ${bytes}${there} ${of}`;
    case 'read':
      return `${him} reads ${bytes}${there} ${of}`;
    case 'shared':
      return `Shared memory gets ${bytes}${there} ${of}`;
    case 'device':
      return `Device ${deviceText(leak.requester)} reads ${bytes}${there} ${of}`;
    case 'port':
      return `Port ${hex(leak.port)} gets ${data}`;
    case 'device-register':
      return `The device register at ${hex(leak.address)} gets ${data}`;
    case 'iv-reused':
      return `${leak.function} is called with a key and an initialization vector that it had before`;
  }
}

const deviceText = (requester: number): string =>
  `${(requester >> 8).toString(16).padStart(2, '0')}:${((requester >> 3) & 31).toString(16).padStart(2, '0')}.${requester & 7}`;

/** Where the bytes came from, step by step */
function wayOf({ steps, incomplete, labels }: SecretLeak): PathStep[] {
  const words = steps.map((step) => stepOf(step, labels));
  const way =
    words.length <= FIRST_STEPS + LAST_STEPS
      ? words
      : [
          ...words.slice(0, FIRST_STEPS),
          { what: `${words.length - FIRST_STEPS - LAST_STEPS} more steps` },
          ...words.slice(-LAST_STEPS),
        ];
  return incomplete ? [{ what: 'what was before is too long ago to be known' }, ...way] : way;
}

function stepOf({ kind, at, length, moment, vcpu, rip }: SecretStep, labels: number): PathStep {
  const when = { moment, vcpu, rip };
  const bytes = { address: BigInt(at), length };
  switch (kind) {
    case FlowKind.Exit:
      return {
        ...when,
        what: `${whose(labels)} left by a VM exit (${exitReasonName(at)}), with secrets in its registers`,
      };
    case FlowKind.Page:
      return { ...when, ...bytes, what: 'the page was used by the guest: all of it is its own' };
    case FlowKind.Declared:
      return { ...when, ...bytes, by: ROOT, what: 'was written where the policy says that secrets lie' };
    case FlowKind.Store:
      return { ...when, ...bytes, by: ROOT, what: 'was stored, or what was computed from it' };
    case FlowKind.Processor:
      return { ...when, ...bytes, by: ROOT, what: 'was stored by the processor' };
    case FlowKind.DeviceRead:
      return { ...when, ...bytes, what: 'was read by a device' };
    case FlowKind.DeviceWrite:
      return { ...when, ...bytes, what: 'was written by a device' };
    case FlowKind.Disk:
      return { ...when, what: `lies on a disk, in sector ${at}` };
  }
}

function endOf(leak: SecretLeak): PathStep {
  const { moment, vcpu, rip, address, length } = leak;
  const place = address === undefined ? {} : { address: BigInt(address), length };
  return { what: titleOf(leak), moment, vcpu, rip, ...place };
}
