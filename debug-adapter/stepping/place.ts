import type { Instruction } from '../../emulator/isa/instruction';
import type { Context } from '../../emulator/machine/api';
import type { Debuggee } from '../launch/debuggee';
import type { Image } from '../stack/image';
import { linearRip, linearRsp } from '../stack/layers';
import type { FunctionSymbol, LineRow } from '../symbols/api';

/** Where a vCPU stands, as a verb needs to know it; read at once, so that it can be compared with a later one. */
export interface Place {
  readonly context: Context;
  readonly pc: bigint;
  readonly sp: bigint;
  readonly image: Image | undefined;
  readonly line: LineRow | undefined;
  readonly function: FunctionSymbol | undefined;
  readonly instruction: Instruction | undefined;
}

export function placeOf(debuggee: Debuggee, vcpu: number): Place {
  const context = debuggee.running(vcpu);
  const pc = linearRip(context);
  const image = debuggee.layers.imageAt(context, pc);
  return {
    context,
    pc,
    sp: linearRsp(context),
    image,
    line: image?.loaded.lineAt(pc),
    function: image?.loaded.functionAt(pc),
    instruction: debuggee.machine.decode(context.space, pc),
  };
}

/**
 * The place where the context of `before` stands, when that is in the same row of the line table; else undefined. Far
 * cheaper than placeOf, for lines that loop.
 */
export function stillInLine(debuggee: Debuggee, before: Place): Place | undefined {
  const context = debuggee.running(before.context.vcpu);
  if (context.id !== before.context.id || !before.line) return undefined;
  const pc = linearRip(context);
  if (pc < before.line.address || pc >= before.line.end) return undefined;
  return { ...before, pc, sp: linearRsp(context), instruction: debuggee.machine.decode(context.space, pc) };
}

/** What debug information says of a place */
export type Lined = Pick<Place, 'image' | 'line' | 'function'>;

/** Same line of the same file, in the same function: recursion is told apart by the stack, not here. */
export const sameLine = (a: Lined, b: Lined): boolean =>
  a.line !== undefined &&
  b.line !== undefined &&
  a.image === b.image &&
  a.line.file === b.line.file &&
  a.line.line === b.line.line &&
  a.function?.entry === b.function?.entry;

/** A place where a line begins: execution that gets here is about to do what the line says. */
export const atStatement = (place: Pick<Place, 'line' | 'pc'>): boolean =>
  place.line !== undefined && place.line.isStatement && place.line.address === place.pc;

/** Whether an instruction is a near or far call (SDM vol. 1, 6.4), by its row. */
export const isCall = (instruction: Instruction | undefined): boolean =>
  instruction !== undefined && /^CALL\b/i.test(instruction.row.mnemonic);
