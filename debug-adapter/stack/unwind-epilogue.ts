import { decode } from '../../emulator/isa/decoder';
import { relativeTarget } from '../../emulator/isa/disassemble';
import type { Instruction } from '../../emulator/isa/instruction';
import { registerNumbers } from '../symbols/register-numbers';
import { isReturnAddress } from './return-address';
import { type CallerStep, type UnwindInput, readWord } from './unwind-step';

const MOST_INSTRUCTIONS = 2000;
const LONGEST_INSTRUCTION = 15;
/** ModRM number of the stack pointer and the frame pointer */
const SP = 4;
const FP = 5;
/** DWARF numbers of the machine's general registers in the order of ModRM (psABI, figure 3.36); i386 has them in order */
const DWARF_OF_64 = [0, 2, 1, 3, 7, 6, 4, 5];

/** A point on a way to the function's end. */
interface Point {
  readonly pc: bigint;
  readonly sp: bigint;
  /** Registers that have got another value on the way, by DWARF number; undefined: not known */
  readonly popped: ReadonlyMap<number, bigint | undefined>;
  /** Words that have been pushed on the way, by address */
  readonly pushed: ReadonlyMap<bigint, bigint | undefined>;
}

/**
 * The caller by what the function will still do: its instructions are followed to a RET, on all ways that do not leave
 * the function, counting what they take from the stack. This is how a VM-exit entry or another piece of plain assembly,
 * which has no call frame information and no frame pointer, shows who called it. The word where RET would find its
 * address must be a return address, else there is no answer.
 */
export function callerByEpilogue(input: UnwindInput): CallerStep | undefined {
  const { registers, addressSize: size } = input;
  const sp = registers.get(registerNumbers(size).sp);
  return sp === undefined ? undefined : follow(input, sp);
}

function follow(input: UnwindInput, sp: bigint): CallerStep | undefined {
  const entry = input.set.functionAt(input.lookup)?.entry;
  const seen = new Set<bigint>();
  const ways: Point[] = [{ pc: input.pc, sp, popped: new Map(), pushed: new Map() }];
  for (let point = ways.pop(); point; point = ways.pop()) {
    while (point && !seen.has(point.pc) && seen.size < MOST_INSTRUCTIONS) {
      seen.add(point.pc);
      if (entry !== undefined && input.set.functionAt(point.pc)?.entry !== entry) break;
      const instruction = instructionAt(input, point.pc);
      if (!instruction) break;
      if (instruction.row.mnemonic === 'RET') {
        const caller = returned(input, point, instruction);
        if (caller) return caller;
        break;
      }
      const target = relativeTarget(instruction);
      const isCall = instruction.row.mnemonic === 'CALL';
      if (target !== undefined && !isCall && instruction.row.mnemonic !== 'JMP') ways.push({ ...point, pc: target });
      point = next(input, point, instruction);
    }
  }
  return undefined;
}

function instructionAt(input: UnwindInput, pc: bigint): Instruction | undefined {
  const bytes = input.memory(pc, LONGEST_INSTRUCTION);
  return decode(bytes, 0, bytes.length, pc, input.addressSize === 8 ? 64 : 32);
}

function returned(input: UnwindInput, { sp, popped }: Point, ret: Instruction): CallerStep | undefined {
  const { addressSize: size, registers } = input;
  const numbers = registerNumbers(size);
  const address = readWord(input.memory, sp, size);
  if (address === undefined || !isReturnAddress(input, address)) return undefined;
  const caller = new Map(registers);
  for (const [register, value] of popped) {
    if (value === undefined) caller.delete(register);
    else caller.set(register, value);
  }
  const released = ret.length > 1 && ret.row.operands.length > 0 ? BigInt.asUintN(16, ret.immediate) : 0n;
  const cfa = sp + BigInt(size);
  caller.set(numbers.sp, cfa + released);
  caller.set(numbers.pc, address);
  return { registers: caller, cfa, by: 'epilogue', interrupted: false };
}

/** The point behind an instruction; undefined where the way ends. */
function next(input: UnwindInput, point: Point, instruction: Instruction): Point | undefined {
  const { addressSize: size } = input;
  const word = BigInt(size);
  const behind = { ...point, pc: BigInt.asUintN(size * 8, point.pc + BigInt(instruction.length)) };
  const { row, isMemory } = instruction;
  switch (row.mnemonic) {
    case 'JMP': {
      const target = relativeTarget(instruction);
      return target === undefined ? undefined : { ...point, pc: target };
    }
    case 'PUSH':
    case 'PUSHF/PUSHFD/PUSHFQ': {
      const sp = point.sp - word;
      const source = row.operands[0] === 'Zv' ? valueOf(input, point, dwarfNumber(instruction.rm, size)) : undefined;
      return { ...behind, sp, pushed: new Map(point.pushed).set(sp, source) };
    }
    case 'MOV':
      return isMemory ? behind : moved(input, behind, instruction);
    case 'POPF/POPFD/POPFQ':
      return { ...behind, sp: point.sp + word };
    case 'POP': {
      const register = row.operands.length === 1 && !isMemory ? dwarfNumber(instruction.rm, size) : undefined;
      const popped = new Map(point.popped);
      if (register !== undefined) popped.set(register, wordAt(input, point, point.sp));
      return { ...behind, sp: point.sp + word, popped };
    }
    case 'LEAVE':
      return leave(input, behind);
    case 'ADD':
    case 'SUB':
      return isMemory || instruction.rm !== SP || instruction.immediate === 0n
        ? behind
        : { ...behind, sp: point.sp + (row.mnemonic === 'ADD' ? instruction.immediate : -instruction.immediate) };
    case 'LEA':
      return instruction.reg === SP && instruction.base === SP && instruction.index < 0
        ? { ...behind, sp: point.sp + instruction.displacement }
        : behind;
    case 'UD2':
    case 'HLT':
    case 'RETF':
    case 'IRET/IRETD/IRETQ':
    case 'SYSRET':
    case 'SYSEXIT':
      return undefined;
    default:
      return behind;
  }
}

function leave(input: UnwindInput, behind: Point): Point | undefined {
  const { addressSize: size } = input;
  const fp = dwarfNumber(FP, size);
  const base = valueOf(input, behind, fp);
  if (base === undefined) return undefined;
  const popped = new Map(behind.popped).set(fp, wordAt(input, behind, base));
  return { ...behind, sp: base + BigInt(size), popped };
}

/** MOV between registers: the stack pointer into the frame pointer, and back. */
function moved(input: UnwindInput, behind: Point, { row, reg, rm }: Instruction): Point | undefined {
  const [target] = row.operands;
  if (target !== 'Ev' && target !== 'Gv') return behind;
  const [to, from] = target === 'Ev' ? [rm, reg] : [reg, rm];
  const fp = dwarfNumber(FP, input.addressSize);
  if (to === FP) {
    const value = from === SP ? behind.sp : undefined;
    return { ...behind, popped: new Map(behind.popped).set(fp, value) };
  }
  if (to !== SP) return behind;
  const sp = from === FP ? valueOf(input, behind, fp) : undefined;
  return sp === undefined ? undefined : { ...behind, sp };
}

const valueOf = (input: UnwindInput, { popped }: Point, register: number): bigint | undefined =>
  popped.has(register) ? popped.get(register) : input.registers.get(register);

const wordAt = (input: UnwindInput, { pushed }: Point, address: bigint): bigint | undefined =>
  pushed.has(address) ? pushed.get(address) : readWord(input.memory, address, input.addressSize);

const dwarfNumber = (register: number, size: 4 | 8): number =>
  size === 8 ? (DWARF_OF_64[register] ?? register) : register;
