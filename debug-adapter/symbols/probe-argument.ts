import type { MemoryReader, ProbeArgument } from './api';
import { littleEndian } from './bytes';

/**
 * Arguments of a static probe: "N@OP" separated by spaces. N is the size in bytes, negative for a signed value; OP is an
 * operand of the assembler in AT&T syntax: `%rdi`, `$5`, `-16(%rbp)`, `8(%rax,%rcx,4)`, `%fs:8`, `name(%rip)`, `name+4(%rip)`.
 * Without "N@" the size is that of a word.
 */
type Source =
  | { readonly kind: 'register'; readonly name: string }
  /** `linked`: it contains a link address, to which the load bias is added */
  | { readonly kind: 'constant'; readonly value: bigint; readonly linked: boolean }
  | {
      readonly kind: 'memory';
      readonly displacement: bigint;
      readonly linked: boolean;
      readonly registers: readonly { readonly name: string; readonly scale: bigint }[];
    };

export function parseProbeArguments(text: string, addressOf: (symbol: string) => bigint | undefined): ProbeArgument[] {
  // A memory operand may contain spaces, as in "4@-4(%rbp, %rax)".
  const parts = text.match(/(?:[^\s(]|\([^)]*\))+/g) ?? [];
  return parts.map((part) => parseArgument(part, addressOf));
}

function parseArgument(text: string, addressOf: (symbol: string) => bigint | undefined): ProbeArgument {
  const prefix = /^(-?\d+)f?@/.exec(text);
  const width = prefix ? Number(prefix[1]) : 8;
  const size = Math.abs(width);
  const signed = width < 0;
  const operand = text.slice(prefix?.[0].length ?? 0);
  const source = parseOperand(operand.replace(/\s+/g, ''), addressOf);
  return {
    text,
    size,
    signed,
    evaluate(registers, memory, bias = 0n) {
      const raw = source && read(source, size, registers, memory, bias);
      if (raw === undefined) return undefined;
      return BigInt.asUintN(64, signed ? BigInt.asIntN(size * 8, raw) : BigInt.asUintN(size * 8, raw));
    },
  };
}

const NUMBER = String.raw`[-+]?(?:0x[0-9a-fA-F]+|\d+)`;
const REGISTER = /^%([a-z][a-z0-9]*)$/;
const CONSTANT = new RegExp(`^\\$(${NUMBER})$`);
const SYMBOL_CONSTANT = new RegExp(`^\\$([A-Za-z_.][\\w.$]*)(${NUMBER})?$`);
const MEMORY = new RegExp(
  `^(?:%([c-gs]s):)?([A-Za-z_.][\\w.$]*)?((?:${NUMBER})*)(?:\\((?:%([a-z0-9]+))?(?:,%([a-z0-9]+))?(?:,([1248]))?\\))?$`,
);

function parseOperand(text: string, addressOf: (symbol: string) => bigint | undefined): Source | undefined {
  const register = REGISTER.exec(text);
  if (register) return { kind: 'register', name: register[1]! };
  const constant = CONSTANT.exec(text);
  if (constant) return { kind: 'constant', value: integer(constant[1]!), linked: false };
  const symbolic = SYMBOL_CONSTANT.exec(text);
  if (symbolic) {
    const address = addressOf(symbolic[1]!);
    if (address === undefined) return undefined;
    return { kind: 'constant', value: address + integer(symbolic[2] ?? '0'), linked: true };
  }
  const memory = MEMORY.exec(text);
  if (!memory || text === '') return undefined;
  const [, segment, symbol, displacements, base, index, scale] = memory;
  let displacement = 0n;
  for (const n of displacements?.match(new RegExp(NUMBER, 'g')) ?? []) displacement += integer(n);
  const registers: { name: string; scale: bigint }[] = [];
  if (segment === 'fs' || segment === 'gs') registers.push({ name: `${segment}.base`, scale: 1n });
  if (symbol !== undefined) {
    const place = addressOf(symbol);
    if (place === undefined) return undefined;
    displacement += place;
  }
  // "name(%rip)" means the symbol itself; only a bare displacement is relative to the instruction.
  if (base !== undefined && !(symbol !== undefined && (base === 'rip' || base === 'eip'))) {
    registers.push({ name: base, scale: 1n });
  }
  if (index !== undefined) registers.push({ name: index, scale: BigInt(scale ?? 1) });
  return { kind: 'memory', displacement, linked: symbol !== undefined, registers };
}

/** A decimal or hexadecimal number with an optional sign */
function integer(text: string): bigint {
  const negative = text.startsWith('-');
  const value = BigInt(text.replace(/^[-+]/, ''));
  return negative ? -value : value;
}

function read(
  source: Source,
  size: number,
  registers: (name: string) => bigint | undefined,
  memory: MemoryReader,
  bias: bigint,
): bigint | undefined {
  switch (source.kind) {
    case 'constant':
      return source.linked ? source.value + bias : source.value;
    case 'register':
      return registers(source.name);
    case 'memory': {
      let address = source.linked ? source.displacement + bias : source.displacement;
      for (const { name, scale } of source.registers) {
        const value = registers(name);
        if (value === undefined) return undefined;
        address += value * scale;
      }
      const bytes = memory(BigInt.asUintN(64, address), size);
      return bytes.length < size ? undefined : littleEndian(bytes);
    }
  }
}
