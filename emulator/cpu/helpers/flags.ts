import { Vector } from '../../arch/exceptions';
import { Rflags } from '../../arch/flags';
import type { Helper, HelperTable, Processor } from '../processor';
import { StackPointer } from '../stack-pointer';
import { sizeBytes } from './operands';

const IOPL_SHIFT = 12n;

/** In virtual-8086 mode PUSHF and POPF need IOPL 3. */
function checkVirtual8086(cpu: Processor): void {
  if (cpu.virtual8086 && (cpu.state.rflags & Rflags.IOPL) !== Rflags.IOPL) throw cpu.fault(Vector.GP, 0);
}

/** VM and RF are pushed as 0 (SDM vol. 2, PUSHF). */
const pushf: Helper = (cpu, insn) => {
  checkVirtual8086(cpu);
  const stack = StackPointer.current(cpu);
  stack.push(cpu.state.rflags & ~(Rflags.VM | Rflags.RF), sizeBytes(insn));
  stack.commit();
};

/** IOPL changes at CPL 0 only, IF when CPL <= IOPL; VM, VIF and VIP never; RF becomes 0 (SDM vol. 2, POPF). */
const popf: Helper = (cpu, insn) => {
  checkVirtual8086(cpu);
  const { state } = cpu;
  const size = sizeBytes(insn);
  const stack = StackPointer.current(cpu);
  const image = stack.pop(size);
  const old = state.rflags;
  const level = cpu.virtual8086 ? 3 : cpu.cpl;
  let mask = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.TF | Rflags.DF | Rflags.OF | Rflags.NT;
  if (size > 2) mask |= Rflags.AC | Rflags.ID;
  if (level === 0) mask |= Rflags.IOPL;
  if (BigInt(level) <= (old & Rflags.IOPL) >> IOPL_SHIFT) mask |= Rflags.IF;
  state.rflags = ((old & ~mask) | (image & mask)) & ~Rflags.RF;
  stack.commit();
  if ((old ^ state.rflags) & Rflags.AC) cpu.contextChanged();
};

/** CLAC and STAC: only at CPL 0 (SDM vol. 2), else #UD. */
const setAlignmentCheck =
  (value: bigint): Helper =>
  (cpu) => {
    if (cpu.cpl !== 0 || cpu.virtual8086) throw cpu.fault(Vector.UD);
    const { state } = cpu;
    state.rflags = (state.rflags & ~Rflags.AC) | value;
    cpu.contextChanged();
  };

export const flagHelpers: HelperTable = {
  pushf,
  popf,
  clac: setAlignmentCheck(0n),
  stac: setAlignmentCheck(Rflags.AC),
};
