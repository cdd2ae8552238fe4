import type { Width } from '../../isa/context';
import { I32, I64, Op, type ValueType } from '../../wasm/opcodes';

/** The load that zero-extends `width` bits into the type that holds them. */
export function loadOpcode(width: Width): { opcode: number; type: ValueType } {
  switch (width) {
    case 8:
      return { opcode: Op.i32Load8U, type: I32 };
    case 16:
      return { opcode: Op.i32Load16U, type: I32 };
    case 32:
      return { opcode: Op.i32Load, type: I32 };
    default:
      return { opcode: Op.i64Load, type: I64 };
  }
}

export function storeOpcode(width: Width): number {
  switch (width) {
    case 8:
      return Op.i32Store8;
    case 16:
      return Op.i32Store16;
    case 32:
      return Op.i32Store;
    default:
      return Op.i64Store;
  }
}
