import { exitReasonName } from '../../emulator/arch/exit-reasons';
import { describeQualification } from '../../emulator/arch/exit-qualification';
import type { Context } from '../../emulator/machine/api';
import { exitInWords } from '../watch/explain';
import type { Debuggee } from '../launch/debuggee';
import { hex } from '../memory/reference';
import type { Frame, MemoryReader } from '../symbols/api';
import { ProgramSet } from '../symbols/program-set';
import { registerNumbers, registersByNumber } from '../symbols/register-numbers';
import { formatSymbol, linearRip } from './layers';
import { unwind } from './unwind';

/** One line of the call stack: a function of a layer, or what happened between two layers. */
export type StackEntry =
  /** `caller`: its registers are not those of the context, but what callees saved */
  | { readonly kind: 'frame'; readonly context: Context; readonly frame: Frame; readonly caller: boolean }
  | { readonly kind: 'label'; readonly context: Context; readonly text: string };

/**
 * The stack of a vCPU across its layers: the frames of the running context, then for each context that it interrupted,
 * most recent first, how that was left and its frames, with its own registers and address space.
 */
export function callStack(debuggee: Debuggee, vcpu: number): StackEntry[] {
  const running = debuggee.running(vcpu);
  const interrupted = debuggee.machine.interrupted(vcpu);
  return [
    ...framesOf(debuggee, running),
    ...interrupted.flatMap((context): StackEntry[] => [
      { kind: 'label', context, text: describeLeft(debuggee, context) },
      ...framesOf(debuggee, context),
    ]),
  ];
}

function framesOf(debuggee: Debuggee, context: Context): StackEntry[] {
  const frames = unwindContext(debuggee, context);
  // Calls that were inlined share the registers of the innermost physical frame.
  const own = frames[0]?.registers;
  return frames.map((frame) => ({ kind: 'frame', context, frame, caller: frame.registers !== own }));
}

const NOTHING = new ProgramSet();

export const memoryOf = (debuggee: Debuggee, context: Context): MemoryReader => {
  const { space } = context;
  return (address, length) => debuggee.machine.readMemory(space, address, length);
};

export const addressSizeOf = (context: Context): 4 | 8 => (context.space.codeSize === 64 ? 8 : 4);

/** The frames of one context; at least one, if only an address. */
export function unwindContext(debuggee: Debuggee, context: Context): Frame[] {
  const addressSize = addressSizeOf(context);
  const registers = registersByNumber((name) => context.registers.read(name), addressSize);
  const image = debuggee.layers.imageAt(context, linearRip(context));
  // Where no image is known, the innermost frame has no symbols, but its callers may be in the layer's image.
  const set = image?.set ?? debuggee.layers.imageOf(context)?.set ?? NOTHING;
  registers.set(registerNumbers(addressSize).pc, linearRip(context));
  return unwind(set, registers, memoryOf(debuggee, context), { addressSize });
}

/** The caller of a context's innermost function: where it returns to, and the stack pointer after the return. */
export function callerOf(debuggee: Debuggee, context: Context): { pc: bigint; sp: bigint } | undefined {
  const frames = unwindContext(debuggee, context);
  const physical = frames.find((frame) => !frame.inlined);
  const caller = physical?.caller();
  if (!caller || physical?.cfa === undefined) return undefined;
  return { pc: caller.pc, sp: physical.cfa };
}

/** "VM exit: EPT violation (48) at guest 0x401000: write of 0x5000: not present", "VM entry to guest". */
export function describeLeft(debuggee: Debuggee, context: Context): string {
  const left = context.lastLeft;
  const pc = linearRip(context);
  const where = `${debuggee.layers.nameOf(context)} ${formatSymbol(debuggee.layers.symbolAt(context, pc), pc)}`;
  if (!left) return `not yet run: ${where}`;
  if (left.kind === 'entry') return `VM entry from ${where}`;
  const reason = left.reason & 0xffff;
  const logged = debuggee.lastExitOf(context);
  const said =
    logged?.instruction === left.instruction
      ? exitInWords(logged, logged.operand)
      : describeQualification(left.reason, left.qualification, {
          guestPhysical: left.guestPhysical,
          guestLinear: left.guestLinear,
        });
  return `VM exit: ${exitReasonName(left.reason)} (${reason}) at ${where}${said === '' ? '' : `: ${said}`}`;
}

/** What a frame is called: "monitor!handle_exit", or "guest!0x401000" where no symbol is known. */
export const frameName = (debuggee: Debuggee, context: Context, frame: Frame): string =>
  `${debuggee.layers.nameOf(context)}!${frame.name ?? hex(frame.pc)}`;
