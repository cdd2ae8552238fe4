import assert from 'node:assert/strict';
import { Pin, Primary, Secondary } from '../../emulator/arch/controls';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { Vector } from '../../emulator/arch/exceptions';
import { State } from '../../emulator/memory/layout';
import type { VmxBench } from './bench';
import { GuestBench } from './guest-code';

const RDTSC = [0x0f, 0x31];
const RDTSCP = [0x0f, 0x01, 0xf9];
const RDMSR_TSC = [0xb9, 0x10, 0, 0, 0, 0x0f, 0x32];
const VMCALL = [0x0f, 0x01, 0xc1];
const ONE = 1n << 48n;

const secondary = (bench: VmxBench, bits: number) => {
  bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.ACTIVATE_SECONDARY_CONTROLS);
  bench.or('SECONDARY_PROCESSOR_CONTROLS', bits);
};

/** EDX:EAX of the guest, and what the clock was when it read the counter */
function read(code: readonly number[], prepare: (bench: VmxBench) => void): { value: bigint; clock: bigint } {
  const g = new GuestBench([...code, ...VMCALL], (bench) => {
    bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.USE_MSR_BITMAPS);
    bench.set('MSR_BITMAPS', 0x6000);
    secondary(bench, Secondary.ENABLE_RDTSCP);
    prepare(bench);
  });
  g.bench.state.set64(State.CLOCK_IDLE, 1_000_000_000n);
  assert.equal(g.enter(), ExitReason.VMCALL);
  const { state } = g.bench;
  // The instructions that ran: those of the guest but VMCALL, then HLT. RDTSC reads before it retires.
  const before = code === RDMSR_TSC ? 1n : 0n;
  return { value: (state.gpr(2) << 32n) | (state.gpr(0) & 0xffff_ffffn), clock: 1_000_000_000n + before };
}

describe('the time-stamp counter of a guest (SDM vol. 3, 25.6.5 and 26.3)', () => {
  for (const [name, code] of Object.entries({ RDTSC, RDTSCP, 'RDMSR of IA32_TIME_STAMP_COUNTER': RDMSR_TSC })) {
    const scaled = (multiplier: bigint, offset: bigint, controls: number = Primary.USE_TSC_OFFSETTING) =>
      read(code, (bench) => {
        bench.or('PRIMARY_PROCESSOR_CONTROLS', controls);
        secondary(bench, Secondary.USE_TSC_SCALING);
        bench.set('TSC_MULTIPLIER', multiplier);
        bench.set('TSC_OFFSET', offset);
      });

    it(`${name}: is multiplied, then the offset is added`, () => {
      const { value, clock } = scaled(ONE * 3n + ONE / 2n, 5n);
      assert.equal(value, (clock * 7n) / 2n + 5n);
      assert.equal(scaled(ONE, 0n).value, clock);
      assert.equal(scaled(1n, 0n).value, 0n);
    });

    it(`${name}: a product beyond 64 bits loses its upper bits, the offset may be negative`, () => {
      const { value, clock } = scaled((1n << 64n) - 1n, -1n);
      assert.equal(value, BigInt.asUintN(64, ((clock * ((1n << 64n) - 1n)) >> 48n) - 1n));
    });

    it(`${name}: without "use TSC offsetting" neither counts`, () => {
      const { value, clock } = scaled(ONE * 3n, 5n, 0);
      assert.equal(value, clock);
    });

    it(`${name}: without "use TSC scaling" the multiplier does not count`, () => {
      const { value, clock } = read(code, (bench) => {
        bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.USE_TSC_OFFSETTING);
        bench.set('TSC_MULTIPLIER', ONE * 9n);
        bench.set('TSC_OFFSET', 7);
      });
      assert.equal(value, clock + 7n);
    });
  }

  it('the VMX-preemption timer counts the real counter', () => {
    const clockAtExit = (multiplier: bigint): bigint => {
      const g = new GuestBench([0xeb, 0xfe], (bench) => {
        bench.or('PIN_BASED_CONTROLS', Pin.ACTIVATE_PREEMPTION_TIMER);
        bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.USE_TSC_OFFSETTING);
        secondary(bench, Secondary.USE_TSC_SCALING);
        bench.set('TSC_MULTIPLIER', multiplier);
        bench.set('PREEMPTION_TIMER_VALUE', 10);
      });
      assert.equal(g.enter(), ExitReason.PREEMPTION_TIMER);
      return g.bench.cpu.now;
    };
    assert.equal(clockAtExit(ONE * 100n), clockAtExit(ONE));
  });

  it('root operation reads the counter as it is', () => {
    const g = new GuestBench(VMCALL, (bench) => {
      bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.USE_TSC_OFFSETTING);
      secondary(bench, Secondary.USE_TSC_SCALING);
      bench.set('TSC_MULTIPLIER', ONE * 2n);
      bench.set('TSC_OFFSET', 1n << 40n);
    });
    g.enter();
    assert.equal(g.bench.cpu.tsc, g.bench.cpu.now);
  });

  it('RDTSCP without "enable RDTSCP" is #UD before CR4.TSD, and before RDTSC exiting', () => {
    const g = new GuestBench(RDTSCP, (bench) => {
      bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.RDTSC_EXITING);
      bench.or('GUEST_CR4', 4);
      bench.set('GUEST_CS_SELECTOR', 11);
      bench.set('GUEST_CS_ACCESS_RIGHTS', 0xa0fb);
      bench.set('GUEST_SS_SELECTOR', 19);
      bench.set('GUEST_SS_ACCESS_RIGHTS', 0xc0f3);
      bench.set('EXCEPTION_BITMAP', 0xffff_ffff);
    });
    assert.equal(g.enter(), ExitReason.EXCEPTION_OR_NMI);
    assert.equal(Number(g.bench.get('EXIT_INTERRUPTION_INFORMATION')) & 0xff, Vector.UD);
    const tsd = new GuestBench(RDTSCP, (bench) => {
      secondary(bench, Secondary.ENABLE_RDTSCP);
      bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.RDTSC_EXITING);
      bench.or('GUEST_CR4', 4);
      bench.set('GUEST_CS_SELECTOR', 11);
      bench.set('GUEST_CS_ACCESS_RIGHTS', 0xa0fb);
      bench.set('GUEST_SS_SELECTOR', 19);
      bench.set('GUEST_SS_ACCESS_RIGHTS', 0xc0f3);
      bench.set('EXCEPTION_BITMAP', 0xffff_ffff);
    });
    assert.equal(tsd.enter(), ExitReason.EXCEPTION_OR_NMI);
    assert.equal(Number(tsd.bench.get('EXIT_INTERRUPTION_INFORMATION')) & 0xff, Vector.GP);
  });
});
