import { registerNumbers } from '../symbols/register-numbers';
import { isReturnAddress } from './return-address';
import { callerByEpilogue } from './unwind-epilogue';
import { type CallerStep, type UnwindInput, readWord } from './unwind-step';

/**
 * The caller without call frame information, as in plain assembly. In this order:
 * - the function sets up no frame pointer, or is not known, and its instructions lead to a RET (unwind-epilogue.ts);
 * - the function has not set up a frame pointer (it stands at its entry, or it never does) or is about to return, and the
 *   word at the stack pointer is a return address: behind a CALL, in a known image;
 * - the frame pointer leads to a saved one, with the return address above it.
 * A guess that leads to no known code ends the walk.
 */
export function callerByFramePointer(input: UnwindInput): CallerStep {
  const { registers, addressSize: size } = input;
  const numbers = registerNumbers(size);
  const sp = registers.get(numbers.sp);
  const fp = registers.get(numbers.fp);
  if (sp === undefined) return { stop: 'the stack pointer is not known' };
  const word = BigInt(size);
  const setup = frameSetup(input);
  if (setup === 'none' || input.set.functionAt(input.lookup) === undefined) {
    const caller = callerByEpilogue(input);
    if (caller) return caller;
  }
  if (setup !== 'done') {
    // Behind PUSH rBP the return address lies one word higher.
    const at = setup === 'pushed' ? sp + word : sp;
    const returnAddress = readWord(input.memory, at, size);
    if (returnAddress !== undefined && isReturnAddress(input, returnAddress)) {
      const caller = new Map(registers);
      const saved = setup === 'pushed' ? readWord(input.memory, sp, size) : fp;
      if (saved !== undefined) caller.set(numbers.fp, saved);
      caller.set(numbers.pc, returnAddress);
      caller.set(numbers.sp, at + word);
      return { registers: caller, cfa: at + word, by: 'frame pointer', interrupted: false };
    }
  }
  if (fp === undefined || fp < sp || fp % word !== 0n) return { stop: 'there is no frame pointer' };
  const saved = readWord(input.memory, fp, size);
  const returnAddress = readWord(input.memory, fp + word, size);
  if (saved === undefined || returnAddress === undefined) return { stop: 'the frame pointer leads to no memory' };
  const cfa = fp + 2n * word;
  if (returnAddress === 0n) return { stop: 'the return address is 0', cfa };
  if (!input.set.imageAt(returnAddress - 1n)) {
    return { stop: `the return address 0x${returnAddress.toString(16)} is in no known image`, cfa };
  }
  const caller = new Map(registers);
  caller.set(numbers.fp, saved);
  caller.set(numbers.pc, returnAddress);
  caller.set(numbers.sp, cfa);
  return { registers: caller, cfa, by: 'frame pointer', interrupted: false };
}

/** How far the function has come with PUSH rBP; MOV rBP, rSP at this pc. 'none': it does not begin with these. */
function frameSetup(input: UnwindInput): 'none' | 'pushed' | 'done' {
  const entry = input.set.functionAt(input.lookup)?.entry;
  if (entry === undefined) return 'done';
  if (input.lookup === input.pc && isReturn(input.memory(input.pc, 2))) return 'none';
  const code = input.memory(entry, 12);
  let at = code[0] === 0xf3 && code[1] === 0x0f && code[2] === 0x1e ? 4 : 0;
  if (code[at] !== 0x55) return 'none';
  const distance = input.pc - entry;
  if (distance <= BigInt(at)) return 'none';
  at += 1;
  const wide = input.addressSize === 8 && code[at] === 0x48;
  const move = wide ? at + 1 : at;
  const isMove = (code[move] === 0x89 && code[move + 1] === 0xe5) || (code[move] === 0x8b && code[move + 1] === 0xec);
  if (!isMove) return 'none';
  return distance <= BigInt(at) ? 'pushed' : 'done';
}

/** RET, RET imm16, and RET behind a REP prefix, as some compilers pad it */
function isReturn(code: Uint8Array): boolean {
  const opcode = code[0] === 0xf3 ? code[1] : code[0];
  return opcode === 0xc3 || opcode === 0xc2;
}
