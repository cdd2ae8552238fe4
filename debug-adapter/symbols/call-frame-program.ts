import type { FrameDescription } from './call-frames';
import { Cursor } from './cursor';

/** Where the caller's value of a register is (DWARF 5, 6.4.1). A register without a rule keeps its value. */
export type RegisterRule =
  | { readonly kind: 'undefined' }
  | { readonly kind: 'same' }
  /** In memory at CFA + offset */
  | { readonly kind: 'offset'; readonly offset: bigint }
  /** The value CFA + offset itself */
  | { readonly kind: 'valueOffset'; readonly offset: bigint }
  | { readonly kind: 'register'; readonly register: number }
  /** In memory at the address that the expression gives; it starts with the CFA on its stack */
  | { readonly kind: 'expression'; readonly bytes: Uint8Array }
  | { readonly kind: 'valueExpression'; readonly bytes: Uint8Array };

/** How the canonical frame address is found */
export type CfaRule =
  | { readonly kind: 'register'; readonly register: number; readonly offset: bigint }
  | { readonly kind: 'expression'; readonly bytes: Uint8Array };

/** One row of the table: valid from `address` up to the next row. */
export interface CallFrameRow {
  readonly address: bigint;
  readonly cfa: CfaRule | undefined;
  readonly rules: ReadonlyMap<number, RegisterRule>;
}

interface State {
  cfa: CfaRule | undefined;
  rules: Map<number, RegisterRule>;
}

/** Rows of one function, in order of addresses (DWARF 5, 6.4.2 and 6.4.3) */
export function runCallFrameProgram(description: FrameDescription): CallFrameRow[] {
  const { common } = description;
  const state: State = { cfa: undefined, rules: new Map() };
  const rows: CallFrameRow[] = [];
  let address = description.low;
  const stack: State[] = [];
  let initial: ReadonlyMap<number, RegisterRule> = new Map();

  const moveTo = (next: bigint) => {
    rows.push({ address, cfa: state.cfa, rules: new Map(state.rules) });
    address = next;
  };
  const advance = (cursor: Cursor, delta: number) => {
    if (!(delta >= 0)) throw cursor.error('frame location goes backwards');
    moveTo(address + BigInt(delta * common.codeAlignment));
  };
  const factored = (value: number) => BigInt(value) * BigInt(common.dataAlignment);
  const offset = (register: number, value: bigint) => state.rules.set(register, { kind: 'offset', offset: value });
  const restore = (register: number) => {
    const rule = initial.get(register);
    if (rule) state.rules.set(register, rule);
    else state.rules.delete(register);
  };
  const cfaRegister = (cursor: Cursor) => {
    if (state.cfa?.kind !== 'register') throw cursor.error('frame program changes a CFA register that is not set');
    return state.cfa;
  };

  const step = (c: Cursor) => {
    const opcode = c.u8();
    const low = opcode & 0x3f;
    switch (opcode >> 6) {
      case 1: // DW_CFA_advance_loc
        return advance(c, low);
      case 2: // DW_CFA_offset
        offset(low, factored(c.uleb()));
        return;
      case 3: // DW_CFA_restore
        return restore(low);
    }
    switch (low) {
      case 0x00: // nop
        return;
      case 0x01: // set_loc
        return moveTo(c.unsigned(common.addressSize));
      case 0x02: // advance_loc1
        return advance(c, c.u8());
      case 0x03: // advance_loc2
        return advance(c, c.u16());
      case 0x04: // advance_loc4
        return advance(c, c.u32());
      case 0x05: // offset_extended
        offset(c.uleb(), factored(c.uleb()));
        return;
      case 0x06: // restore_extended
        return restore(c.uleb());
      case 0x07: // undefined
        state.rules.set(c.uleb(), { kind: 'undefined' });
        return;
      case 0x08: // same_value
        state.rules.set(c.uleb(), { kind: 'same' });
        return;
      case 0x09: // register
        state.rules.set(c.uleb(), { kind: 'register', register: c.uleb() });
        return;
      case 0x0a: // remember_state
        stack.push({ cfa: state.cfa, rules: new Map(state.rules) });
        return;
      case 0x0b: {
        // restore_state; compilers mean the CFA to be restored too
        const saved = stack.pop();
        if (!saved) throw c.error('frame program restores a state that it did not save');
        state.cfa = saved.cfa;
        state.rules = saved.rules;
        return;
      }
      case 0x0c: // def_cfa
        state.cfa = { kind: 'register', register: c.uleb(), offset: BigInt(c.uleb()) };
        return;
      case 0x0d: // def_cfa_register
        state.cfa = { ...cfaRegister(c), register: c.uleb() };
        return;
      case 0x0e: // def_cfa_offset
        state.cfa = { ...cfaRegister(c), offset: BigInt(c.uleb()) };
        return;
      case 0x0f: // def_cfa_expression
        state.cfa = { kind: 'expression', bytes: c.bytesOf(c.uleb()) };
        return;
      case 0x10: // expression
        state.rules.set(c.uleb(), { kind: 'expression', bytes: c.bytesOf(c.uleb()) });
        return;
      case 0x11: // offset_extended_sf
        offset(c.uleb(), factored(c.sleb()));
        return;
      case 0x12: // def_cfa_sf
        state.cfa = { kind: 'register', register: c.uleb(), offset: factored(c.sleb()) };
        return;
      case 0x13: // def_cfa_offset_sf
        state.cfa = { ...cfaRegister(c), offset: factored(c.sleb()) };
        return;
      case 0x14: // val_offset
        state.rules.set(c.uleb(), { kind: 'valueOffset', offset: factored(c.uleb()) });
        return;
      case 0x15: // val_offset_sf
        state.rules.set(c.uleb(), { kind: 'valueOffset', offset: factored(c.sleb()) });
        return;
      case 0x16: // val_expression
        state.rules.set(c.uleb(), { kind: 'valueExpression', bytes: c.bytesOf(c.uleb()) });
        return;
      case 0x2e: // GNU_args_size
        c.uleb();
        return;
      case 0x2f: // GNU_negative_offset_extended
        offset(c.uleb(), -factored(c.uleb()));
        return;
      default:
        throw c.error(`frame instruction 0x${opcode.toString(16)} is not known`, c.at - 1);
    }
  };

  const run = (program: Cursor) => {
    const cursor = new Cursor(program.bytes, program.section, program.at, program.end);
    while (!cursor.done) step(cursor);
  };
  run(common.program);
  initial = new Map(state.rules);
  rows.length = 0;
  address = description.low;
  run(description.program);
  rows.push({ address, cfa: state.cfa, rules: new Map(state.rules) });
  return rows;
}
