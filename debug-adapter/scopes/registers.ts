import { CR0_BITS, CR4_BITS, EFER_BITS, namesOfBits, type RegisterBit } from '../../emulator/arch/control-registers';
import { describeRflags } from '../../emulator/arch/flags';
import { GPR_NAMES, SEGMENT_NAMES } from '../../emulator/arch/registers';
import type { Context } from '../../emulator/machine/api';
import { formatReference, hex } from '../memory/reference';
import { addressSizeOf } from '../stack/call-stack';
import type { RegisterValues } from '../symbols/api';
import { registerNumbers } from '../symbols/register-numbers';
import { userError } from '../session/errors';
import { named, type Container, type Variable } from './container';

const GENERAL: ReadonlySet<string> = new Set([...GPR_NAMES.map((name) => name.toLowerCase()), 'rip', 'rflags']);
const SEGMENTS: ReadonlySet<string> = new Set(SEGMENT_NAMES.map((name) => name.toLowerCase()));

const BITS: Readonly<Record<string, readonly RegisterBit[]>> = { cr0: CR0_BITS, cr4: CR4_BITS, efer: EFER_BITS };

/** General registers of a context: rax to r15, rip, rflags. */
export const generalRegisters = (context: Context): Container => registers(context, (name) => GENERAL.has(name));

/** The same as a caller had them: those that the unwinder found where the callees saved them. */
export function callerRegisters(context: Context, values: RegisterValues): Container {
  const { names, pc } = registerNumbers(addressSizeOf(context));
  const numbers = new Map([['rip', pc]]);
  names.forEach((name, number) => name !== undefined && numbers.set(name, number));
  const shown = context.registers.names().filter((name) => GENERAL.has(name));
  return named(() =>
    shown.map((name) => {
      const number = numbers.get(name);
      const value = number === undefined ? undefined : values.get(number);
      return value === undefined ? { name, value: 'not saved' } : describe(context, name, value);
    }),
  );
}

/** Everything else: segments with their hidden parts, tables, control and debug registers, MSRs. */
export const systemRegisters = (context: Context): Container => registers(context, (name) => !GENERAL.has(name));

function registers(context: Context, belongs: (name: string) => boolean): Container {
  const names = context.registers.names().filter((name) => belongs(name) && !isPartOfSegment(name));
  return named(
    () => names.map((name) => describe(context, name)),
    (name, text) => setRegister(context, name, text),
  );
}

/** Assigns a register of the context; throws RequestError. */
export function setRegister(context: Context, name: string, text: string): Variable {
  const value = parseValue(text);
  if (!context.registers.write(name, value)) {
    const known = context.registers.read(name) !== undefined;
    throw userError(
      known ? `${name} cannot be written: its context does not run, or it is only shown` : `no register "${name}"`,
    );
  }
  return describe(context, name);
}

function describe(context: Context, name: string, value = context.registers.read(name) ?? 0n): Variable {
  const meaning = words(name, value);
  const hidden = SEGMENTS.has(name) || name.endsWith('.selector') ? hiddenPart(context, name) : undefined;
  return {
    name,
    value: meaning === '' ? hex(value) : `${hex(value)} (${meaning})`,
    evaluateName: `$${name}`,
    place: { kind: 'register', name, context: context.id },
    ...(POINTERS.test(name) ? { memoryReference: formatReference('linear', context.id, value) } : {}),
    ...(hidden ? { container: hidden } : {}),
  };
}

const POINTERS = /^(r[a-z0-9]+|.*\.base|.*stack.*|lstar|cstar|sysenter_e[is]p)$/;

function words(name: string, value: bigint): string {
  if (name === 'rflags') return describeRflags(value);
  const bits = BITS[name];
  return bits ? namesOfBits(value, bits).join(' ') : '';
}

const isPartOfSegment = (name: string): boolean => SEGMENTS.has(name.split('.')[0] ?? '') && name.includes('.');

/** Base, limit and access rights below a segment register. */
function hiddenPart(context: Context, name: string): Container {
  const parts = context.registers.names().filter((part) => part.startsWith(`${name}.`));
  return named(
    () => parts.map((part) => describe(context, part)),
    (part, text) => setRegister(context, part, text),
  );
}

/** A number in C's notations, negative ones too; throws RequestError. */
export function parseValue(text: string): bigint {
  const match = /^\s*(-)?\s*(0x[0-9a-f]+|0b[01]+|\d+)\s*(?:\(.*\))?\s*$/i.exec(text);
  if (!match?.[2]) throw userError(`"${text}" is no number: write 0x10, 16 or 0b10000`);
  const magnitude = BigInt(match[2]);
  if (magnitude >= 1n << 64n) throw userError(`"${text}" has more than 64 bits`);
  return BigInt.asUintN(64, match[1] ? -magnitude : magnitude);
}
