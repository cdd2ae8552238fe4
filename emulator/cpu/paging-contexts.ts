import { Cr4 } from '../arch/control-registers';
import { State } from '../memory/layout';
import { PagingContext } from '../memory/paging-context';
import { TagMode } from '../memory/tlb';
import type { CpuState } from './state';

/** Words of the state block that a paging context is made from, besides the PDPTEs; what differs oftenest comes first */
const INPUTS = [
  State.EPTP,
  State.CR3,
  State.CR4,
  State.CR0,
  State.EFER,
  State.EPT_CONTROLS,
  State.EPTP + 4,
  State.CR3 + 4,
] as const;
/** Bits of CR3 with CR4.PCIDE */
const PCID = 0xfffn;
/** Root and non-root operation, each with two address spaces */
const KEPT = 4;

/** A paging context, and what the TLB's tag needs of it. */
export class DigestedContext {
  readonly paging = new PagingContext();
  private readonly inputs = new Uint32Array(INPUTS.length);
  pcid = 0;
  /** TagMode bits, but for those of the privilege level */
  mode = 0;

  matches(state: CpuState): boolean {
    const { inputs } = this;
    for (let i = 0; i < INPUTS.length; i++) if (inputs[i] !== state.get32(INPUTS[i] ?? 0)) return false;
    return true;
  }

  digest(state: CpuState): void {
    const { paging } = this;
    INPUTS.forEach((offset, i) => (this.inputs[i] = state.get32(offset)));
    const eptp = state.get64(State.EPTP);
    const { cr0, cr3, cr4, efer } = state;
    paging.set({ cr0, cr3, cr4, efer, eptp, eptControls: state.get32(State.EPT_CONTROLS) });
    this.pcid = cr4 & Cr4.PCIDE ? Number(cr3 & PCID) : 0;
    this.mode =
      (paging.format ? TagMode.PAGING : 0) |
      (paging.writeProtect ? TagMode.WRITE_PROTECT : 0) |
      (paging.noExecute ? TagMode.NO_EXECUTE : 0) |
      (paging.smep ? TagMode.SMEP : 0) |
      (paging.smap ? TagMode.SMAP : 0) |
      (paging.modeBasedExecute ? TagMode.MODE_BASED_EXECUTE : 0);
  }
}

/** The contexts used last: going back and forth between a guest and its hypervisor digests nothing again. */
export class PagingContexts {
  private readonly kept = Array.from({ length: KEPT }, () => new DigestedContext());
  private next = 0;

  /** That of the state block now. */
  of(state: CpuState): DigestedContext {
    const { kept } = this;
    for (let i = 0; i < KEPT; i++) {
      const context = kept[i];
      if (context?.matches(state)) return context;
    }
    const context = kept[this.next] ?? new DigestedContext();
    this.next = (this.next + 1) % KEPT;
    context.digest(state);
    return context;
  }
}
