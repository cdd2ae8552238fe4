import { State } from '../memory/layout';
import type { CpuState } from './state';

const DR7 = State.DR + 40;
const COUNT = 4;
/** L0, G0 to L3, G3 */
const ENABLES = 0xff;

/**
 * Breakpoints on instruction execution in DR0 to DR3 (SDM vol. 3, 17.2.4): R/W field 0 and the local or global enable
 * bit. They are the program's own, apart from the debugger's.
 */
export class InstructionBreakpoints {
  /** At least one is enabled: the processor compares before every instruction. */
  armed = false;

  constructor(private readonly state: CpuState) {}

  /** To be called after DR0 to DR3 or DR7 changed. */
  update(): void {
    const control = this.state.get32(DR7);
    this.armed = false;
    if ((control & ENABLES) === 0) return;
    for (let i = 0; i < COUNT; i++) if (enabled(control, i)) this.armed = true;
  }

  /** DR6 bits B0 to B3 of the breakpoints at this linear address */
  at(linear: bigint): bigint {
    const control = this.state.get32(DR7);
    let bits = 0n;
    for (let i = 0; i < COUNT; i++) {
      if (enabled(control, i) && this.state.get64(State.DR + i * 8) === linear) bits |= 1n << BigInt(i);
    }
    return bits;
  }
}

const enabled = (control: number, i: number): boolean =>
  ((control >>> (i * 2)) & 3) !== 0 && ((control >>> (16 + i * 4)) & 3) === 0;
