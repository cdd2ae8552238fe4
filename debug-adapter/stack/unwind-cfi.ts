import type { CallFrameRow, RegisterRule } from '../symbols/call-frame-program';
import { type ExpressionContext, evaluateNumber } from '../symbols/dwarf-expression';
import { registerNumbers } from '../symbols/register-numbers';
import { type CallerStep, type UnwindInput, readWord } from './unwind-step';

/** The caller by call frame information (DWARF 5, 6.4); undefined when the image has none for this place. */
export function callerByCallFrames(input: UnwindInput): CallerStep | undefined {
  const { image, registers, memory, addressSize } = input;
  if (!image) return undefined;
  const { program } = image;
  // 32-bit code in a 64-bit image (a boot stub): the registers are numbered otherwise than in the image's information.
  if (program.addressSize !== addressSize) return undefined;
  const row = program.guard(() => program.callFrames().rowAt(image.toLink(input.lookup)), undefined);
  if (!row) return undefined;
  const context: ExpressionContext = {
    addressSize,
    bias: image.bias,
    register: (number) => registers.get(number),
    memory,
  };
  return program.guard(() => apply(row, row.common, input, context), { stop: 'the call frame information is damaged' });
}

function apply(
  row: CallFrameRow,
  common: { returnAddress: number; signal: boolean },
  input: UnwindInput,
  context: ExpressionContext,
): CallerStep {
  const { registers, addressSize } = input;
  const numbers = registerNumbers(addressSize);
  const wrap = (value: bigint) => BigInt.asUintN(addressSize * 8, value);
  const { cfa: rule } = row;
  let base: bigint | undefined;
  if (rule?.kind === 'register') {
    const value = registers.get(rule.register);
    base = value === undefined ? undefined : wrap(value + rule.offset);
  } else if (rule) {
    base = evaluateNumber(rule.bytes, context);
  }
  if (base === undefined) return { stop: 'the canonical frame address is not known' };
  const cfa = base;
  if (row.rules.get(common.returnAddress)?.kind === 'undefined') return { stop: 'this is the outermost function', cfa };

  const valueOf = (register: number, r: RegisterRule): bigint | undefined => {
    switch (r.kind) {
      case 'undefined':
        return undefined;
      case 'same':
        return registers.get(register);
      case 'offset':
        return readWord(input.memory, cfa + r.offset, addressSize);
      case 'valueOffset':
        return wrap(cfa + r.offset);
      case 'register':
        return registers.get(r.register);
      case 'expression': {
        const address = evaluateNumber(r.bytes, context, [cfa]);
        return address === undefined ? undefined : readWord(input.memory, address, addressSize);
      }
      case 'valueExpression':
        return evaluateNumber(r.bytes, context, [cfa]);
    }
  };
  // The stack pointer of the caller is the CFA unless a rule says otherwise; other registers keep their values.
  const caller = new Map(registers);
  caller.set(numbers.sp, cfa);
  for (const [register, r] of row.rules) {
    const value = valueOf(register, r);
    if (value === undefined) caller.delete(register);
    else caller.set(register, value);
  }
  const returnAddress = row.rules.has(common.returnAddress) ? caller.get(common.returnAddress) : undefined;
  if (returnAddress === undefined) return { stop: 'the return address cannot be read', cfa };
  caller.set(numbers.pc, returnAddress);
  return { registers: caller, cfa, by: 'cfi', interrupted: common.signal };
}
