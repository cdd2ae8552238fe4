import { distance } from '../explain/distance';
import { MAXIMUM_PROCESSORS, MAXIMUM_QUANTUM } from '../../emulator/machine/api';
import { userError } from '../session/errors';

/**
 * The attributes of a launch and of an undervisor.json: one row each. Whatever has no row is refused by name, because
 * a misspelt attribute that is silently ignored is a wrong run.
 */
export interface Attribute {
  readonly name: string;
  readonly check: (value: unknown) => string | undefined;
  /** False: only in a launch configuration, not in undervisor.json */
  readonly described: boolean;
}

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? undefined : 'must be a non-empty string');
const flag = (value: unknown) => (typeof value === 'boolean' ? undefined : 'must be true or false');
const optionalText = (value: unknown) => (typeof value === 'string' ? undefined : 'must be a string');
const mebibytes = (value: unknown) =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 3072
    ? undefined
    : 'must be a whole number of MiB from 1 to 3072';
const count = (most: number) => (value: unknown) =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most
    ? undefined
    : `must be a whole number from 1 to ${most}`;
const seed = (value: unknown) =>
  Number.isSafeInteger(value) && (value as number) >= 0
    ? undefined
    : `must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`;
const recordTo = (value: unknown) =>
  typeof value === 'boolean' || (typeof value === 'string' && value !== '')
    ? undefined
    : 'must be true, false, or the path of the file to write';
const PROTOCOLS = ['auto', 'pvh', 'multiboot', 'multiboot2', 'elf', 'raw'];
const protocol = (value: unknown) =>
  PROTOCOLS.includes(value as string) ? undefined : `must be one of ${PROTOCOLS.map((name) => `"${name}"`).join(', ')}`;
const oneOf =
  (...words: string[]) =>
  (value: unknown) =>
    words.includes(value as string) ? undefined : `must be one of ${words.map((word) => `"${word}"`).join(', ')}`;
const entryStop = (value: unknown) =>
  typeof value === 'boolean' || (typeof value === 'string' && value !== '')
    ? undefined
    : 'must be true, false, the name of a function, or a VM exit such as "exit:any" or "exit:EPT_VIOLATION"';

/** The attributes of an object: rows again. `true` marks the required ones. */
type Members = Record<string, { check: (value: unknown) => string | undefined; required: boolean }>;

function checkMembers(members: Members, item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return ' must be an object';
  for (const [key, inner] of Object.entries(item)) {
    const member = Object.hasOwn(members, key) ? members[key] : undefined;
    if (!member) return `: ${unknownAttribute(key, Object.keys(members))}`;
    const problem = member.check(inner);
    if (problem) return `.${key} ${problem}`;
  }
  for (const [key, member] of Object.entries(members)) {
    if (member.required && !Object.hasOwn(item, key)) return ` needs "${key}"`;
  }
  return undefined;
}

function listOf(members: Members) {
  return (value: unknown): string | undefined => {
    if (!Array.isArray(value)) return 'must be a list';
    for (const [index, item] of (value as unknown[]).entries()) {
      const problem = checkMembers(members, item);
      if (problem) return `[${index}]${problem}`;
    }
    return undefined;
  };
}

const objectOf =
  (members: Members) =>
  (value: unknown): string | undefined =>
    checkMembers(members, value);

const required = { check: text, required: true };
const optional = { check: optionalText, required: false };
const address = (value: unknown) =>
  typeof value === 'string' && /^-?0x[0-9a-f]{1,16}$/i.test(value) ? undefined : 'must be a string like "0x200000"';

const physical = (value: unknown) =>
  typeof value === 'string' && /^0x[0-9a-f]{1,8}$/i.test(value) ? undefined : 'must be a string like "0x7c00"';
const tpm = (value: unknown) =>
  typeof value === 'boolean' || value === 'tis' || value === 'crb' ? undefined : 'must be true, false, "tis" or "crb"';
const moment = (value: unknown) =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value) && !Number.isNaN(Date.parse(value))
    ? undefined
    : 'must be a time such as "2026-01-01T00:00:00Z"';
const HISTORY_MOST = 65_536;
const history = (value: unknown): string | undefined => {
  if (typeof value === 'boolean') return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return 'must be true, false, or { "memory": MiB }';
  return checkMembers({ memory: { check: historyMemory, required: false } }, value);
};
const historyMemory = (value: unknown) =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= HISTORY_MOST
    ? undefined
    : `must be a whole number of MiB from 1 to ${HISTORY_MOST}`;
const policy = (value: unknown) =>
  (typeof value === 'string' && value !== '') || (typeof value === 'object' && value !== null && !Array.isArray(value))
    ? undefined
    : 'must be the path of a policy file, or the policy itself as an object';
const rawBits = (value: unknown) => (value === 16 || value === 32 ? undefined : 'must be 16 (real mode) or 32');

export const attributes: readonly Attribute[] = [
  { name: 'program', check: text, described: true },
  { name: 'layer', check: text, described: true },
  {
    name: 'modules',
    check: listOf({ file: required, layer: optional, commandLine: optional }),
    described: true,
  },
  {
    name: 'symbols',
    check: listOf({ file: required, layer: required, bias: { check: address, required: false } }),
    described: true,
  },
  { name: 'commandLine', check: optionalText, described: true },
  { name: 'memory', check: mebibytes, described: true },
  { name: 'processors', check: count(MAXIMUM_PROCESSORS), described: true },
  { name: 'quantum', check: count(MAXIMUM_QUANTUM), described: true },
  { name: 'tpm', check: tpm, described: true },
  { name: 'boot', check: protocol, described: true },
  {
    name: 'raw',
    check: objectOf({
      address: { check: physical, required: false },
      entry: { check: physical, required: false },
      bits: { check: rawBits, required: false },
    }),
    described: true,
  },
  {
    name: 'disks',
    check: listOf({
      file: required,
      interface: { check: oneOf('ide', 'virtio'), required: false },
      readOnly: { check: flag, required: false },
      write: { check: oneOf('copy-on-write', 'through'), required: false },
    }),
    described: true,
  },
  { name: 'startTime', check: moment, described: true },
  { name: 'randomSeed', check: seed, described: true },
  { name: 'iommu', check: flag, described: true },
  { name: 'strictTranslation', check: flag, described: true },
  { name: 'isolation', check: policy, described: true },
  { name: 'stopOnEntry', check: entryStop, described: false },
  { name: 'translator', check: flag, described: true },
  { name: 'build', check: text, described: true },
  { name: 'record', check: recordTo, described: false },
  { name: 'recording', check: text, described: false },
  { name: 'noDebug', check: flag, described: false },
  { name: 'history', check: history, described: true },
  { name: 'stopAtEnd', check: flag, described: false },
];

/** What VS Code and other clients put into every configuration for themselves; "__" marks their private ones. */
const CLIENT_ATTRIBUTES = new Set([
  'name', 'type', 'request', 'presentation', 'preLaunchTask', 'postDebugTask', 'internalConsoleOptions', 'debugServer',
  'serverReadyAction', 'suppressMultipleSessionView', 'linux', 'osx', 'windows',
]); // prettier-ignore

/** Checks names and values. `where`: 'launch', or the path of a description. Throws a RequestError that names the attribute and, for an unknown one, the nearest. */
export function checkAttributes(given: unknown, where: string): Record<string, unknown> {
  const described = where !== 'launch';
  const place = described ? `${where}: ` : 'launch: ';
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw userError(`${place}must be an object of attributes`);
  }
  const rows = attributes.filter((row) => row.described || !described);
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    if ((!described && (CLIENT_ATTRIBUTES.has(name) || name.startsWith('__'))) || name === '$schema') continue;
    const row = rows.find((candidate) => candidate.name === name);
    if (!row)
      throw userError(
        place +
          unknownAttribute(
            name,
            rows.map((candidate) => candidate.name),
          ),
      );
    if (value === undefined) continue;
    const problem = row.check(value);
    if (problem) throw userError(`${place}${name}${/^[[.: ]/.test(problem) ? '' : ' '}${problem}`);
    checked[name] = value;
  }
  return checked;
}

function unknownAttribute(name: string, known: readonly string[]): string {
  const nearest = [...known].sort((a, b) => distance(name, a) - distance(name, b))[0] ?? '';
  const close = distance(name, nearest) <= Math.max(2, Math.floor(nearest.length / 2));
  const advice = close ? `Did you mean "${nearest}"?` : `Nearest: "${nearest}".`;
  return `unknown attribute "${name}". ${advice} Valid: ${known.join(', ')}`;
}
