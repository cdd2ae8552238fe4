import type { Context } from '../isa/context';
import { Segment, State, VMCS_FIELD_ENCODINGS, VMCS_FIELD_TABLE, VmcsAccess } from '../memory/layout';
import { i32, i64, type Value } from '../wasm/expression';
import { I32, Op } from '../wasm/opcodes';

/** VMREAD and VMWRITE of a field that exists, in VMX root operation at CPL 0: what both contexts emit. */

const SS_DPL = 3 << 5;

/** Leaves to the helper unless the access is a plain one. */
function fieldOf(x: Context, encoding: Value): { access: Value; address: Value } {
  const { f } = x;
  const number = f.let(encoding);
  const vmcs = f.let(f.load32(i32(State.DIRECT_VMCS)));
  x.helperIf(f.isZero(vmcs));
  x.helperIf(f.and(f.load32(i32(State.SEGMENTS + Segment.SS * 32 + 4)), i32(SS_DPL)));
  x.helperIf(f.geU(number, i64(VMCS_FIELD_ENCODINGS)));
  const access = f.let(f.load(Op.i32Load16U, I32, f.shl(f.wrap(number), i32(1)), VMCS_FIELD_TABLE));
  x.helperIf(f.isZero(access));
  return { access, address: f.let(f.add(vmcs, f.and(access, i32(VmcsAccess.OFFSET)))) };
}

export function readVmcsField(x: Context, encoding: Value): Value {
  const { f } = x;
  const { access, address } = fieldOf(x, encoding);
  const wide = f.and(access, i32(VmcsAccess.WIDE));
  return f.let(f.select(wide, f.load64(address), f.zeroExtend(f.load32(address))));
}

/** Bits beyond the field's width are ignored. */
export function writeVmcsField(x: Context, encoding: Value, value: Value): void {
  const { f } = x;
  const { access, address } = fieldOf(x, encoding);
  const bound = f.let(value);
  f.if(f.and(access, i32(VmcsAccess.WIDE)));
  f.store64(address, bound);
  f.else();
  const low = f.wrap(bound);
  const narrow = f.and(access, i32(VmcsAccess.NARROW));
  f.store32(address, f.select(narrow, f.and(low, i32(0xffff)), low));
  f.end();
}
