import { Rflags } from '../../arch/flags';
import { State } from '../../memory/layout';
import { writeRegister } from '../linear-memory';
import type { Helper, HelperTable, Processor } from '../processor';
import { sizeBytes } from './operands';

/**
 * RDRAND and RDSEED (SDM vol. 2). The same machine must run the same way again, so the numbers are those of a generator
 * whose state is part of the processor's: SplitMix64, which the machine's configuration seeds. A number is always
 * available (CF = 1).
 */
const INCREMENT = 0x9e37_79b9_7f4a_7c15n;
const MIX_1 = 0xbf58_476d_1ce4_e5b9n;
const MIX_2 = 0x94d0_49bb_1331_11ebn;
const CLEARED = Rflags.OF | Rflags.SF | Rflags.ZF | Rflags.AF | Rflags.PF;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);

/** The next number of the processor's generator */
export function nextRandom(cpu: Processor): bigint {
  const state = u64(cpu.state.get64(State.RANDOM) + INCREMENT);
  cpu.state.set64(State.RANDOM, state);
  let value = u64((state ^ (state >> 30n)) * MIX_1);
  value = u64((value ^ (value >> 27n)) * MIX_2);
  return value ^ (value >> 31n);
}

const random: Helper = (cpu, insn) => {
  if (cpu.exits(insn)) return;
  const size = sizeBytes(insn);
  writeRegister(cpu, insn.rm, size, BigInt.asUintN(size * 8, nextRandom(cpu)));
  cpu.state.rflags = (cpu.state.rflags & ~CLEARED) | Rflags.CF;
};

export const randomHelpers: HelperTable = { rdrand: random, rdseed: random };
