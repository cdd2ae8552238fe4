import { Cr4 } from '../arch/control-registers';
import { State } from '../memory/layout';
import { PagingContext } from '../memory/paging-context';
import { TagMode } from '../memory/tlb';
import type { CpuState } from './state';

/** Bits of CR3 with CR4.PCIDE */
const PCID = 0xfffn;
/** Root and non-root operation, each with two address spaces */
const KEPT = 4;
const NONE = -1;

/** A paging context, and what the TLB's tag needs of it. */
export class DigestedContext {
  readonly paging = new PagingContext();
  /** What it was made from, besides the PDPTEs: words of the state block */
  private cr0 = NONE;
  private cr3 = NONE;
  private cr3High = NONE;
  private cr4 = NONE;
  private efer = NONE;
  private eptp = NONE;
  private eptpHigh = NONE;
  private eptControls = NONE;
  pcid = 0;
  /** TagMode bits, but for those of the privilege level */
  mode = 0;

  /** What differs oftenest is compared first: this is asked at every VM exit and entry. */
  matches(state: CpuState): boolean {
    return (
      this.eptp === state.get32(State.EPTP) &&
      this.cr3 === state.get32(State.CR3) &&
      this.cr4 === state.get32(State.CR4) &&
      this.cr0 === state.get32(State.CR0) &&
      this.efer === state.get32(State.EFER) &&
      this.eptControls === state.get32(State.EPT_CONTROLS) &&
      this.eptpHigh === state.get32(State.EPTP + 4) &&
      this.cr3High === state.get32(State.CR3 + 4)
    );
  }

  digest(state: CpuState): void {
    const { paging } = this;
    this.cr0 = state.get32(State.CR0);
    this.cr3 = state.get32(State.CR3);
    this.cr3High = state.get32(State.CR3 + 4);
    this.cr4 = state.get32(State.CR4);
    this.efer = state.get32(State.EFER);
    this.eptp = state.get32(State.EPTP);
    this.eptpHigh = state.get32(State.EPTP + 4);
    this.eptControls = state.get32(State.EPT_CONTROLS);
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
