import { parseOperandCode } from './operand';
import type { InstructionRow } from './row';

export type MandatoryPrefix = 'any' | 'none' | 'none or 66' | '66' | 'F2' | 'F3';

/** A row's notation, taken apart (SDM vol. 2, 3.1.1.1). */
export interface Encoding {
  readonly map: OpcodeMap;
  readonly opcode: number;
  /** "+r": eight opcodes, the register in the low three bits */
  readonly registerInOpcode: boolean;
  readonly prefix: MandatoryPrefix;
  /** REX.W or REX.B required to be this */
  readonly rexW: boolean | undefined;
  readonly rexB: boolean | undefined;
  readonly hasModRm: boolean;
  /** "/digit" */
  readonly digit: number | undefined;
  /** A ModRM byte that is part of the opcode */
  readonly modRm: number | undefined;
  /** What ModRM.mod must select; undefined when both are fine or mod is ignored */
  readonly form: 'register' | 'memory' | undefined;
  /** MOV to and from control and debug registers take ModRM.mod as 11 (SDM vol. 2, MOV) */
  readonly ignoresMod: boolean;
}

export const enum OpcodeMap {
  OneByte,
  TwoByte,
  /** 0F 38 */
  ThreeByte38,
  /** 0F 3A */
  ThreeByte3A,
}

const PREFIX: Record<string, MandatoryPrefix> = { NP: 'none', 'NP/66': 'none or 66', '66': '66', F2: 'F2', F3: 'F3' };
const HEX_BYTE = /^[0-9A-Fa-f]{2}(\+r)?$/;
/** "cb", "cd": a branch offset, lower-case in the manual */
const CODE_OFFSET = /^c[bd]$/;

export function parseEncoding(row: InstructionRow): Encoding {
  const tokens = row.notation.split(/[ ]+/).filter((token) => token !== '+');
  let prefix: MandatoryPrefix = 'any';
  let rexW: boolean | undefined;
  let rexB: boolean | undefined;
  for (;;) {
    const [token = '', following = ''] = tokens;
    if (token === 'REX.W') rexW = true;
    else if (token === 'REX.B=0') rexB = false;
    else if (token in PREFIX && (!HEX_BYTE.test(token) || HEX_BYTE.test(following))) prefix = PREFIX[token] ?? 'any';
    else break;
    tokens.shift();
  }
  const bytes: string[] = [];
  while (tokens[0] !== undefined && HEX_BYTE.test(tokens[0]) && !CODE_OFFSET.test(tokens[0]))
    bytes.push(tokens.shift() ?? '');
  const { map, opcode, rest } = splitOpcode(bytes);
  const registerInOpcode = opcode.endsWith('+r');
  const digitToken = tokens.find((token) => /^\/[0-7]$/.test(token));
  const modRm = rest[0] === undefined ? undefined : parseInt(rest[0], 16);
  const kinds = row.operands.map((code) => parseOperandCode(code).kind);
  const ignoresMod = kinds.includes('C') || kinds.includes('D');
  const register = tokens.includes('mod=11') || kinds.includes('R');
  return {
    map,
    opcode: parseInt(opcode, 16),
    registerInOpcode,
    prefix,
    rexW,
    rexB,
    hasModRm: modRm !== undefined || digitToken !== undefined || tokens.includes('/r'),
    digit: digitToken === undefined ? undefined : Number(digitToken.slice(1)),
    modRm,
    form: ignoresMod ? undefined : register ? 'register' : kinds.includes('M') ? 'memory' : undefined,
    ignoresMod,
  };
}

function splitOpcode(bytes: readonly string[]): { map: OpcodeMap; opcode: string; rest: readonly string[] } {
  const [first = '', second = '', third = ''] = bytes;
  if (first.toUpperCase() !== '0F') return { map: OpcodeMap.OneByte, opcode: first, rest: bytes.slice(1) };
  if (second === '38') return { map: OpcodeMap.ThreeByte38, opcode: third, rest: bytes.slice(3) };
  if (second === '3A') return { map: OpcodeMap.ThreeByte3A, opcode: third, rest: bytes.slice(3) };
  return { map: OpcodeMap.TwoByte, opcode: second, rest: bytes.slice(2) };
}

/** How many conditions an encoding sets: the more specific of two that match is meant. */
export const specificity = (encoding: Encoding): number =>
  (encoding.modRm === undefined ? 0 : 16) +
  (encoding.prefix === 'any' ? 0 : 8) +
  (encoding.digit === undefined ? 0 : 4) +
  (encoding.rexW === undefined && encoding.rexB === undefined ? 0 : 2) +
  (encoding.form === undefined ? 0 : 1);
