import { CONTROL_WORDS, type ControlWordKey } from '../../arch/controls';
import { EXIT_REASONS, type ExitReasonSymbol } from '../../arch/exit-reasons';
import { VMCS_FIELDS, vmcsFieldType, type VmcsFieldSymbol } from '../../arch/vmcs-fields';
import { AREA_FORMS, parseArea, type Area } from './areas';
import { ISOLATION_RULES, ISOLATION_RULE_IDS, type IsolationRule } from './rules';

/**
 * Who is who, and what is meant to be so: a small JSON file (README, "Isolation"). What it leaves out has the value of
 * `DEFAULT_POLICY`; a hypervisor of another make usually needs `monitor` and `vmm` alone.
 */
export interface IsolationPolicy {
  /** The monitor's memory: image, heap. Empty: who runs in VMX root operation is not protected from its guests. */
  readonly monitor: readonly Area[];
  readonly vmm: VmmRule;
  /** Reachable by several on purpose */
  readonly shared: readonly Area[];
  /** A guest has each page at one guest-physical address only */
  readonly unique: boolean;
  readonly devices: DeviceRule;
  /** By exit reason, in place of the built-in row (effects.ts) */
  readonly effects: Readonly<Partial<Record<ExitReasonSymbol, EffectPolicy>>>;
  /** Controls that every guest's VMCS must have and must not have */
  readonly controls: { readonly set: readonly ControlBit[]; readonly clear: readonly ControlBit[] };
  /** Bits of guest-state fields at the first entry of a guest */
  readonly launch: readonly FieldBits[];
  readonly at: CheckPoints;
  readonly severity: Readonly<Record<IsolationRule, Severity>>;
  /** Follow where secrets go, byte by byte (README, "Isolation"): it costs time */
  readonly secrecy: boolean;
  /** A value that is looked up at an address that depends on a secret is secret; else only what is computed from one */
  readonly addresses: boolean;
  /** Secret beside the private pages of guests: keys of the monitor */
  readonly secrets: readonly Area[];
  /** Functions whose output is no secret, whatever went in */
  readonly encryption: readonly EncryptionRule[];
}

/**
 * Which non-root contexts are the VMM; whatever else is entered is a guest. 'first': the first VMCS that each processor
 * enters, for monitors that demote a running VMM. 'none': root operation is the hypervisor itself. Or by layer.
 */
export type VmmRule = 'first' | 'none' | { readonly layers: readonly string[] };

/** 'remapped': domains are checked while remapping is on. 'required': besides it must be on. 'ignored': not looked at. */
export type DeviceRule = 'remapped' | 'required' | 'ignored';

export type Severity = 'stop' | 'report' | 'off';

/** When tables are walked, besides changes that were found before */
export interface CheckPoints {
  /** At each VM entry */
  readonly entries: boolean;
  /** After INVEPT, INVVPID, and whatever else flushes a TLB: the moment at which tables should be in order again */
  readonly invalidations: boolean;
  /** Each time that so many instructions have retired; 0: never */
  readonly every: number;
  /** When the machine ends */
  readonly end: boolean;
}

/** The legal effect of an exit reason. Registers by their 64-bit names, lower case. */
export interface EffectPolicy {
  /** Registers that the VMM needs to see */
  readonly shows: readonly string[];
  /** Registers that may differ at the next entry */
  readonly takes: readonly string[];
  /** RIP may grow by the instruction's length */
  readonly advances: boolean;
  /** Guest-state fields that may differ at the next entry */
  readonly fields: readonly VmcsFieldSymbol[];
}

/** "secondary.ENABLE_EPT" */
export interface ControlBit {
  readonly word: ControlWordKey;
  readonly symbol: string;
  readonly mask: number;
}

export interface FieldBits {
  readonly field: VmcsFieldSymbol;
  readonly set: bigint;
  readonly clear: bigint;
}

/** What a function leaves at its return in `length` bytes at `output` is declared clean. */
export interface EncryptionRule {
  /** "monitor!aes_cbc_encrypt" */
  readonly layer: string;
  readonly function: string;
  /** The register that points to the output when the function is called: "rdx" */
  readonly output: string;
  /** The register that holds the number of bytes when it is called, or the number */
  readonly length: string | number;
  /** Where `secrets` are declared: only output that depends on one of them. Default true; false for hashes */
  readonly keyed: boolean;
  /** Registers that point to the 16 bytes of the initialization vector and of the key when it is called: no pair comes twice */
  readonly iv: string | undefined;
  readonly key: string | undefined;
}

/** What is wrong with a policy and where in it; the message is for its author. */
export class PolicyError extends Error {
  override name = 'PolicyError';
}

const everyRule = (severity: Severity): Record<IsolationRule, Severity> =>
  Object.fromEntries(ISOLATION_RULE_IDS.map((id) => [id, severity])) as Record<IsolationRule, Severity>;

export const DEFAULT_POLICY: IsolationPolicy = {
  monitor: [],
  vmm: 'first',
  shared: [],
  unique: true,
  devices: 'remapped',
  effects: {},
  controls: { set: [controlBit('secondary.ENABLE_EPT') as ControlBit], clear: [] },
  launch: [],
  at: { entries: true, invalidations: false, every: 0, end: true },
  severity: everyRule('stop'),
  secrecy: false,
  addresses: false,
  secrets: [],
  encryption: [],
};

const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'];
for (let n = 8; n < 16; n++) REGISTERS.push(`r${n}`);
/** The general registers in the order of their numbers */
export const REGISTER_NAMES: readonly string[] = REGISTERS;

/** @throws PolicyError that names the place, and what may stand there */
export function parsePolicy(given: unknown): IsolationPolicy {
  const reader = (value: unknown, at: string): Reader => new Reader(value, at);
  const policy = reader(given, 'isolation').object(Object.keys(DEFAULT_POLICY));
  const part = <T>(name: keyof IsolationPolicy, read: (from: Reader) => T, otherwise: T): T => {
    const from = policy.get(name);
    return from ? read(from) : otherwise;
  };
  const areas = (from: Reader) => from.listOrOne().map((item) => item.area());
  return {
    monitor: part('monitor', areas, DEFAULT_POLICY.monitor),
    vmm: part('vmm', vmmRule, DEFAULT_POLICY.vmm),
    shared: part('shared', areas, DEFAULT_POLICY.shared),
    unique: part('unique', (from) => from.flag(), DEFAULT_POLICY.unique),
    devices: part('devices', (from) => from.oneOf('remapped', 'required', 'ignored'), DEFAULT_POLICY.devices),
    effects: part('effects', effects, DEFAULT_POLICY.effects),
    controls: part('controls', controls, DEFAULT_POLICY.controls),
    launch: part('launch', launch, DEFAULT_POLICY.launch),
    at: part('at', checkPoints, DEFAULT_POLICY.at),
    severity: part('severity', severity, DEFAULT_POLICY.severity),
    secrecy: part('secrecy', (from) => from.flag(), DEFAULT_POLICY.secrecy),
    addresses: part('addresses', (from) => from.flag(), DEFAULT_POLICY.addresses),
    secrets: part('secrets', areas, DEFAULT_POLICY.secrets),
    encryption: part('encryption', (from) => from.listOrOne().map(encryption), DEFAULT_POLICY.encryption),
  };
}

function vmmRule(from: Reader): VmmRule {
  if (from.value === 'first' || from.value === 'none') return from.value;
  const given = from.object(['layers'], '"first", "none" or { "layers": [...] }').get('layers');
  if (!given) throw from.error('needs "layers"');
  return { layers: given.listOrOne().map((item) => item.text()) };
}

function effects(from: Reader): IsolationPolicy['effects'] {
  const rows: Partial<Record<ExitReasonSymbol, EffectPolicy>> = {};
  for (const [symbol, row] of from.object(Object.keys(EXIT_REASONS), 'exit reasons by their symbols')) {
    const parts = row.object(['shows', 'takes', 'advances', 'fields']);
    const registers = (name: string) =>
      parts
        .get(name)
        ?.list()
        .map((item) => item.register()) ?? [];
    rows[symbol as ExitReasonSymbol] = {
      shows: registers('shows'),
      takes: registers('takes'),
      advances: parts.get('advances')?.flag() ?? false,
      fields:
        parts
          .get('fields')
          ?.list()
          .map((item) => item.guestField()) ?? [],
    };
  }
  return rows;
}

function controls(from: Reader): IsolationPolicy['controls'] {
  const parts = from.object(['set', 'clear']);
  const bits = (name: string) =>
    parts
      .get(name)
      ?.list()
      .map((item) => item.control()) ?? [];
  return { set: bits('set'), clear: bits('clear') };
}

function launch(from: Reader): IsolationPolicy['launch'] {
  return [...from.object(undefined)].map(([name, bits]) => {
    const parts = bits.object(['set', 'clear']);
    const value = (which: string) => parts.get(which)?.number() ?? 0n;
    return { field: new Reader(name, from.at).guestField(), set: value('set'), clear: value('clear') };
  });
}

function checkPoints(from: Reader): CheckPoints {
  const parts = from.object(Object.keys(DEFAULT_POLICY.at));
  const { at } = DEFAULT_POLICY;
  return {
    entries: parts.get('entries')?.flag() ?? at.entries,
    invalidations: parts.get('invalidations')?.flag() ?? at.invalidations,
    every: parts.get('every')?.count() ?? at.every,
    end: parts.get('end')?.flag() ?? at.end,
  };
}

function severity(from: Reader): IsolationPolicy['severity'] {
  const chosen = { ...DEFAULT_POLICY.severity };
  if (typeof from.value === 'string') return everyRule(from.oneOf('stop', 'report', 'off'));
  for (const [rule, value] of from.object(Object.keys(ISOLATION_RULES), 'rules'))
    chosen[rule as IsolationRule] = value.oneOf('stop', 'report', 'off');
  return chosen;
}

function encryption(from: Reader): EncryptionRule {
  const parts = from.object(['function', 'output', 'length', 'keyed', 'iv', 'key']);
  const name = parts.get('function');
  const output = parts.get('output');
  const length = parts.get('length');
  if (!name || !output || !length) throw from.error('needs "function", "output" and "length"');
  const [, layer, symbol] = /^([^!]+)!([^!]+)$/.exec(name.text()) ?? [];
  if (layer === undefined || symbol === undefined) throw name.error('must be "layer!function"');
  return {
    layer,
    function: symbol,
    output: output.register(),
    length: typeof length.value === 'number' ? length.count() : length.register(),
    keyed: parts.get('keyed')?.flag() ?? true,
    iv: parts.get('iv')?.register(),
    key: parts.get('key')?.register(),
  };
}

function controlBit(path: string): ControlBit | undefined {
  const [word = '', symbol = ''] = path.split('.');
  if (!Object.hasOwn(CONTROL_WORDS, word)) return undefined;
  const rows: Readonly<Record<string, { readonly bit: number }>> = CONTROL_WORDS[word as ControlWordKey].controls;
  const row = Object.hasOwn(rows, symbol) ? rows[symbol] : undefined;
  return row && { word: word as ControlWordKey, symbol, mask: (1 << row.bit) >>> 0 };
}

/** One value of the file with its place in it, for messages. */
class Reader {
  constructor(
    readonly value: unknown,
    readonly at: string,
  ) {}

  error(problem: string): PolicyError {
    return new PolicyError(`${this.at} ${problem}`);
  }

  object(names: readonly string[] | undefined, what = `any of ${names?.join(', ') ?? ''}`): Map<string, Reader> {
    const { value } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.error(`must be ${names && what.startsWith('"') ? what : `an object with ${what}`}`);
    const members = new Map<string, Reader>();
    for (const [name, item] of Object.entries(value)) {
      if (name === '$schema') continue;
      if (names && !names.includes(name)) throw this.error(`has no "${name}". Valid: ${names.join(', ')}`);
      members.set(name, new Reader(item, `${this.at}.${name}`));
    }
    return members;
  }

  list(): Reader[] {
    if (!Array.isArray(this.value)) throw this.error('must be a list');
    return this.value.map((item: unknown, index) => new Reader(item, `${this.at}[${index}]`));
  }

  listOrOne(): Reader[] {
    return Array.isArray(this.value) ? this.list() : [this];
  }

  text(): string {
    if (typeof this.value !== 'string' || this.value === '') throw this.error('must be a non-empty string');
    return this.value;
  }

  flag(): boolean {
    if (typeof this.value !== 'boolean') throw this.error('must be true or false');
    return this.value;
  }

  count(): number {
    const { value } = this;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
      throw this.error('must be a whole number from 0');
    return value;
  }

  number(): bigint {
    const { value } = this;
    if (typeof value === 'string' && /^0x[0-9a-f]{1,16}$/i.test(value)) return BigInt(value);
    throw this.error('must be a string like "0x80000001"');
  }

  oneOf<T extends string>(...words: readonly T[]): T {
    const found = words.find((word) => word === this.value);
    if (found === undefined) throw this.error(`must be one of ${words.map((word) => `"${word}"`).join(', ')}`);
    return found;
  }

  area(): Area {
    const area = typeof this.value === 'string' ? parseArea(this.value) : undefined;
    if (!area) throw this.error(`must be ${AREA_FORMS}; the end of a range lies behind its start`);
    return area;
  }

  register(): string {
    const name = typeof this.value === 'string' ? this.value.toLowerCase() : '';
    if (!REGISTERS.includes(name)) throw this.error(`must be one of ${REGISTERS.join(', ')}`);
    return name;
  }

  guestField(): VmcsFieldSymbol {
    const name = this.value as VmcsFieldSymbol;
    if (typeof name === 'string' && Object.hasOwn(VMCS_FIELDS, name)) {
      if (vmcsFieldType(VMCS_FIELDS[name].encoding) === 'guest state') return name;
      throw this.error(`: ${name} is no field of the guest-state area`);
    }
    throw this.error(`: there is no VMCS field "${String(this.value)}". They are called as GUEST_CR0`);
  }

  control(): ControlBit {
    const bit = typeof this.value === 'string' ? controlBit(this.value) : undefined;
    if (!bit) throw this.error('must be a control such as "secondary.ENABLE_EPT"');
    return bit;
  }
}
