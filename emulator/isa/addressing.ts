import type { ByteCursor } from './byte-cursor';
import type { Encoding } from './encoding';
import type { AddressSize, CodeSize } from './instruction';

/** ModRM, SIB and displacement (SDM vol. 2, 2.1.3 to 2.1.5 and 2.2.1). */

const SP = 4;
const BP = 5;
/** Base and index of 16-bit addressing by ModRM.rm (SDM vol. 2, table 2-1). */
const ADDRESS_16: readonly (readonly [number, number])[] = [
  [3, 6],
  [3, 7],
  [5, 6],
  [5, 7],
  [6, -1],
  [7, -1],
  [5, -1],
  [3, -1],
];

/** ModRM and what it selects. */
export interface Operand {
  mod: number;
  reg: number;
  rm: number;
  isMemory: boolean;
  base: number;
  index: number;
  scale: number;
  displacement: bigint;
  ripRelative: boolean;
}

/** Registers only. */
export const registers = (reg: number, rm: number): Operand => ({
  mod: 3,
  reg,
  rm,
  isMemory: false,
  base: -1,
  index: -1,
  scale: 0,
  displacement: 0n,
  ripRelative: false,
});

/** The operands of an instruction without ModRM: perhaps a register in the opcode. */
export function withoutModRm(encoding: Encoding, opcode: number, rex: number): Operand {
  const rm = encoding.registerInOpcode ? (opcode & 7) | ((rex & 1) << 3) : 0;
  return registers(0, rm);
}

export function readModRm(
  cursor: ByteCursor,
  encoding: Encoding,
  modRm: number,
  rex: number,
  addressSize: AddressSize,
  codeSize: CodeSize,
): Operand {
  const mod = modRm >> 6;
  const reg = ((modRm >> 3) & 7) | ((rex & 4) << 1);
  const low = modRm & 7;
  if (mod === 3 || encoding.ignoresMod) return registers(reg, low | ((rex & 1) << 3));
  if (addressSize === 16) return readAddress16(cursor, mod, reg, low);

  let base = low | ((rex & 1) << 3);
  let index = -1;
  let scale = 0;
  let displacementWidth = mod === 1 ? 8 : mod === 2 ? 32 : 0;
  let ripRelative = false;
  if (low === SP) {
    const sib = cursor.u8();
    index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    scale = sib >> 6;
    if (index === SP) {
      index = -1;
      scale = 0;
    }
    base = (sib & 7) | ((rex & 1) << 3);
  }
  if ((low === SP ? base & 7 : low) === BP && mod === 0) {
    base = -1;
    displacementWidth = 32;
    ripRelative = codeSize === 64 && low === BP;
  }
  const displacement = displacementWidth ? cursor.signed(displacementWidth) : 0n;
  return { mod, reg, rm: low, isMemory: true, base, index, scale, displacement, ripRelative };
}

function readAddress16(cursor: ByteCursor, mod: number, reg: number, low: number): Operand {
  const absolute = mod === 0 && low === 6;
  const [base, index] = absolute ? [-1, -1] : (ADDRESS_16[low] ?? [-1, -1]);
  let displacement = 0n;
  if (absolute) displacement = BigInt(cursor.u16());
  else if (mod !== 0) displacement = cursor.signed(mod === 1 ? 8 : 16);
  return { mod, reg, rm: low, isMemory: true, base, index, scale: 0, displacement, ripRelative: false };
}
