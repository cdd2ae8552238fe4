import { strict as assert } from 'node:assert';
import { processorHelpers } from '../../emulator/cpu/helpers/table';
import { RAM_BASE, State } from '../../emulator/memory/layout';
import { createVmx, vmxHelpers } from '../../emulator/vmx';
import { Bench } from './harness';

/** xorshift32: a seed, and the whole run follows */
class Random {
  constructor(private state: number) {}

  next(limit: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % limit;
  }

  bytes(count: number): number[] {
    return Array.from({ length: count }, () => this.next(256));
  }

  pick<T>(list: readonly T[]): T {
    return list[this.next(list.length)] as T;
  }
}

/** Openings of system instructions, so that random bytes meet the helpers often. */
const SYSTEM = [
  '0f00', '0f01', '0f02', '0f03', '0f05', '0f06', '0f07', '0f08', '0f09', '0f20', '0f21', '0f22', '0f23', '0f30', '0f31',
  '0f32', '0f34', '0f35', '0fa2', '0fa0', '0fa1', '0fb2', '0fb4', '0fc7', '660fc7', 'f30fc7', '0f78', '0f79', '660f3880',
  '660f3881', '0f01c1', '0f01c4', '6c', '6d', '6e', '6f', 'f36c', 'f36e', '8c', '8e', '9a', '9c', '9d', 'c4', 'c5', 'ca',
  'cb', 'cc', 'cd', 'ce', 'cf', '48cf', 'e4', 'e6', 'ea', 'ec', 'ee', 'f1', 'f4', 'fa', 'fb', 'ff', '48ff', '06', '07',
] as const; // prettier-ignore

function program(random: Random, length: number): number[] {
  const bytes: number[] = [];
  while (bytes.length < length) {
    if (random.next(3) === 0) bytes.push(...Buffer.from(random.pick(SYSTEM), 'hex'));
    bytes.push(...random.bytes(1 + random.next(6)));
  }
  return bytes;
}

const MODES: Record<string, (bench: Bench) => unknown> = {
  'real mode': () => undefined,
  'protected mode': (bench) => bench.protectedMode(),
  'protected mode, user': (bench) => bench.protectedMode().userMode(),
  '64-bit mode': (bench) => bench.longMode(),
  '64-bit mode, user': (bench) => bench.longMode().userMode(),
};

const ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 10);

/** Registers, and the place in the program, at random: so that no loop of faults keeps the rest from being reached */
function scramble({ cpu }: Bench, random: Random): void {
  const { state } = cpu;
  for (let i = 0; i < 16; i++)
    if (random.next(2)) state.setGpr(i, BigInt(random.next(0x12000)) << (random.next(8) ? 0n : 32n));
  if (random.next(2)) state.setGpr(4, 0x9000n);
  state.rip = 0x7000n + BigInt(random.next(0x1000));
  if (random.next(8) === 0) state.rflags = BigInt(random.next(1 << 22));
  state.set32(State.ACTIVITY, 0);
  cpu.contextChanged();
}

describe('random programs', function () {
  this.timeout(0);

  for (const [name, enter] of Object.entries(MODES)) {
    it(`end or go on, but never throw, in ${name}`, () => {
      const base = Number(process.env['FUZZ_SEED'] ?? 0x5eed);
      for (let round = 0; round < ROUNDS; round++) {
        const seed = base + round * 7919;
        const random = new Random(seed);
        const helpers = { ...processorHelpers, ...vmxHelpers };
        const bench = new Bench({ helpers, virtualization: createVmx }, true);
        enter(bench);
        const { state } = bench.cpu;
        bench.memory.u8.set(program(random, 0x2000), RAM_BASE + 0x7000);
        bench.memory.u8.set(program(random, 0x1000), RAM_BASE + 0x100000);
        try {
          for (let i = 0; i < 60; i++) {
            scramble(bench, random);
            const { why } = bench.cpu.run(20);
            if (why !== 'budget' && why !== 'halted') bench.cpu.reset();
            if (why !== 'budget' || random.next(4) === 0) enter(bench);
          }
        } catch (error) {
          const rip = state.rip.toString(16);
          assert.fail(`seed ${seed} (FUZZ_SEED=${seed}), RIP 0x${rip}: ${String((error as Error).stack)}`);
        }
        assert.equal(state.get32(State.FAULT), 0, `seed ${seed}`);
      }
    });
  }
});
