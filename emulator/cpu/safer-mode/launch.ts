import { Activity } from '../../arch/activity';
import { Cr0, Cr4 } from '../../arch/control-registers';
import { LARGEST_MODULE, SaferMode, TxtError } from '../../arch/safer-mode';
import { Vector } from '../../arch/exceptions';
import { hostPhysical } from '../../memory/address';
import { Segment, State } from '../../memory/layout';
import type { Processor } from '../processor';
import type { CpuState } from '../state';
import { authenticatedParts, parseModule, readModule } from './module-header';
import type { SaferModePlatform } from './platform';

const RCX = 1;
const RDX = 2;
const RBX = 3;
const RBP = 5;
const LOW = 0xffffffffn;
const DR7_RESET = 0x400n;
/** 32-bit, flat, accessed, granularity 4 KiB */
const FLAT_CODE = 0xc09b;
const FLAT_DATA = 0xc093;

export const flags = (state: CpuState): number => state.get32(State.SAFER_MODE);
const set = (state: CpuState, bits: number): void => state.set32(State.SAFER_MODE, flags(state) | bits);
const clear = (state: CpuState, bits: number): void => state.set32(State.SAFER_MODE, flags(state) & ~bits);

/**
 * GETSEC[SENTER] from the rendezvous on; the checks that raise #GP have passed. The module's signature is not verified,
 * as there is no key that could be trusted here: any module of the right format is accepted, and what tells it apart is
 * PCR 17. It runs from RAM, not from a private cache.
 */
export function senter(cpu: Processor, platform: SaferModePlatform): void {
  const { state, physical } = cpu;
  const base = Number(state.gpr(RBX) & LOW);
  const size = Number(state.gpr(RCX) & LOW);
  if (base & 0xfff || size & 63 || size === 0 || size > LARGEST_MODULE || base + size > 0xffffffff)
    throw cpu.fault(Vector.GP, 0);
  if (!rendezvous(cpu, platform)) return;
  const module = readModule(physical, base, size);
  const header = module && parseModule(module);
  if (!module || !header) {
    platform.failed(TxtError.INVALID_MODULE, `no authenticated code module at 0x${base.toString(16)}`);
    return;
  }
  const control = new Uint8Array(4);
  new DataView(control.buffer).setUint32(0, Number(state.gpr(RDX) & LOW), true);
  platform.measure([...authenticatedParts(module), control]);
  platform.launched();
  set(state, SaferMode.LAUNCHED | SaferMode.AUTHENTICATED_CODE);
  enter(state, {
    gdtBase: base + header.gdtBase,
    gdtLimit: header.gdtLimit,
    selector: header.selector,
    entry: base + header.entryPoint,
  });
  state.setGpr(RBP, BigInt(base));
  for (const register of [RBX, RCX, RDX]) state.setGpr(register, state.gpr(register) & LOW);
  cpu.nextRip = BigInt(base + header.entryPoint);
  cpu.tlb.flushAll();
  cpu.contextChanged();
}

/** The other processors stop where they are, and sleep until WAKEUP. One in VMX operation makes the launch fail. */
function rendezvous(cpu: Processor, platform: SaferModePlatform): boolean {
  const others = platform.others(cpu.index);
  if (others.some((other) => other.get32(State.VMX_ON) !== 0)) {
    platform.failed(TxtError.ILLEGAL_EVENT, 'another processor is in VMX operation');
    return false;
  }
  for (const other of others) {
    set(other, SaferMode.LAUNCHED | SaferMode.ASLEEP);
    other.set32(State.PENDING_EVENTS, 0);
    other.set32(State.ACTIVITY, Activity.WAIT_FOR_SIPI);
  }
  return true;
}

interface Entry {
  readonly gdtBase: number;
  readonly gdtLimit: number;
  readonly selector: number;
  readonly entry: number;
}

/** Register state after SENTER and WAKEUP: flat 32-bit protected mode (SDM vol. 2D, table 7-5). */
function enter(state: CpuState, { gdtBase, gdtLimit, selector, entry }: Entry): void {
  state.cr0 &= ~(Cr0.PG | Cr0.AM | Cr0.WP);
  state.cr4 = Cr4.SMXE;
  state.efer = 0n;
  state.rflags = 2n;
  state.rip = BigInt(entry);
  state.set64(State.GDTR, BigInt(gdtBase));
  state.set32(State.GDTR + 8, gdtLimit);
  const flat = { limit: 0xffffffff, base: 0n };
  state.setSegment(Segment.CS, { ...flat, selector, access: FLAT_CODE });
  for (const segment of [Segment.DS, Segment.ES, Segment.SS])
    state.setSegment(segment, { ...flat, selector: selector + 8, access: FLAT_DATA });
  state.set64(State.DR + 5 * 8, DR7_RESET);
  state.set64(State.DEBUGCTL, 0n);
  state.set32(State.INTERRUPTIBILITY, 0);
  state.set64(State.PENDING_DEBUG, 0n);
}

/** GETSEC[WAKEUP]: the sleeping processors start as TXT.MLE.JOIN says (MLE guide, 2.2.5.3: the RLP's MLE JOIN structure). */
export function wakeUp(cpu: Processor, platform: SaferModePlatform): void {
  const at = platform.join;
  const word = (offset: bigint): number => cpu.physical.read32(hostPhysical(at + offset));
  const [gdtLimit, gdtBase, selector, entry] = [word(0n), word(4n), word(8n), word(12n)];
  for (const other of platform.others(cpu.index)) {
    if (!(flags(other) & SaferMode.ASLEEP)) continue;
    if (selector < 8 || selector & 7 || selector > gdtLimit - 15) {
      platform.failed(TxtError.INVALID_JOIN, `no valid join structure at TXT.MLE.JOIN, 0x${at.toString(16)}`);
      return;
    }
    clear(other, SaferMode.ASLEEP);
    other.cr0 |= Cr0.PE | Cr0.NE;
    other.cr0 &= ~(Cr0.CD | Cr0.NW);
    enter(other, { gdtBase, gdtLimit, selector, entry });
    other.set32(State.ACTIVITY, Activity.ACTIVE);
  }
}

/** GETSEC[EXITAC]: to the address in EBX, with everything else as the module left it */
export function exitModule(cpu: Processor, platform: SaferModePlatform): void {
  const { state } = cpu;
  const target = cpu.codeSize === 64 ? state.gpr(RBX) : state.gpr(RBX) & LOW;
  if (cpu.codeSize !== 64 && target > BigInt(state.segmentLimit(Segment.CS))) throw cpu.fault(Vector.GP, 0);
  clear(state, SaferMode.AUTHENTICATED_CODE);
  platform.moduleEnded();
  cpu.nextRip = target;
}

export function sexit(cpu: Processor, platform: SaferModePlatform): void {
  clear(cpu.state, SaferMode.LAUNCHED);
  for (const other of platform.others(cpu.index)) clear(other, SaferMode.LAUNCHED | SaferMode.ASLEEP);
  platform.ended();
}
