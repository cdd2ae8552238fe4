import type { Width } from './context';

/**
 * Operand codes are those of the manual's opcode map (SDM vol. 2, appendix A.2): an addressing method and an operand
 * type, "Ev", "Gb", "Iz". Added here: "Z" for a register in the opcode's low three bits, "sIb" for a byte immediate
 * that is sign-extended, and fixed registers by name: AL, AX, rAX (operand size), CL, DX, "1".
 */
export type OperandKind =
  /** ModRM.rm: register or memory */
  | 'E'
  /** ModRM.reg: general register */
  | 'G'
  /** ModRM.rm, memory only */
  | 'M'
  /** ModRM.rm, register only */
  | 'R'
  /** register in the opcode */
  | 'Z'
  | 'I'
  /** sign-extended byte immediate */
  | 'sI'
  /** relative branch target */
  | 'J'
  /** offset without ModRM */
  | 'O'
  /** far pointer in the instruction */
  | 'A'
  /** ModRM.reg: segment, control, debug register */
  | 'S'
  | 'C'
  | 'D'
  /** DS:rSI and ES:rDI of string instructions */
  | 'X'
  | 'Y'
  | 'fixed';

export interface OperandCode {
  readonly kind: OperandKind;
  /** Operand type letter: b, w, d, q, v, z, y, p; for a fixed register its name */
  readonly type: string;
}

const FIXED = /^(AL|AH|AX|eAX|rAX|CL|DX|1|ES|CS|SS|DS|FS|GS)$/;
const cache = new Map<string, OperandCode>();

export function parseOperandCode(code: string): OperandCode {
  let parsed = cache.get(code);
  if (parsed === undefined) {
    if (FIXED.test(code)) parsed = { kind: 'fixed', type: code };
    else {
      const match = /^(sI|[EGMRZIJOASCDXY])(.*)$/.exec(code);
      if (!match) throw new Error(`unknown operand code ${code}`);
      parsed = { kind: match[1] as OperandKind, type: match[2] ?? '' };
    }
    cache.set(code, parsed);
  }
  return parsed;
}

export const operandKind = (code: string): OperandKind => parseOperandCode(code).kind;

const FIXED_WIDTH: Record<string, Width> = { AL: 8, AH: 8, CL: 8, '1': 8, AX: 16, DX: 16 };

/** Width in bits of an operand of that code under an operand-size attribute. */
export function operandWidth(code: string, operandSize: 16 | 32 | 64): Width {
  const { kind, type } = parseOperandCode(code);
  if (kind === 'fixed') return FIXED_WIDTH[type] ?? (type === 'rAX' || type === 'eAX' ? operandSize : 16);
  if (kind === 'sI') return operandSize;
  switch (type) {
    case 'b':
      return 8;
    case 'w':
      return 16;
    case 'd':
      return 32;
    case 'q':
      return 64;
    case 'y':
      return operandSize === 64 ? 64 : 32;
    case '':
    case 'v':
    case 'z':
    case 'p':
      return operandSize;
    default:
      throw new Error(`operand code ${code} has no width`);
  }
}
