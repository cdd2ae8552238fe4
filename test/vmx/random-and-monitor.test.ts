import assert from 'node:assert/strict';
import { Primary, Secondary } from '../../emulator/arch/controls';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { Vector } from '../../emulator/arch/exceptions';
import { MiscEnable } from '../../emulator/arch/msrs';
import { State } from '../../emulator/memory/layout';
import type { VmxBench } from './bench';
import { CODE, GuestBench } from './guest-code';

const VMCALL = [0x0f, 0x01, 0xc1];
const RDRAND_RBX = [0x48, 0x0f, 0xc7, 0xf3];
const RDSEED_R9D = [0x41, 0x0f, 0xc7, 0xf9];
const RDRAND_CX = [0x66, 0x0f, 0xc7, 0xf1];
const MONITOR = [0x0f, 0x01, 0xc8];
const MWAIT = [0x0f, 0x01, 0xc9];
const RAX = 0;
const RCX = 1;
const RBX = 3;
const R9 = 9;

const none = (): void => undefined;
const secondary = (bits: number) => (bench: VmxBench) => {
  bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.ACTIVATE_SECONDARY_CONTROLS);
  bench.or('SECONDARY_PROCESSOR_CONTROLS', bits);
};
const primary = (bits: number) => (bench: VmxBench) => bench.or('PRIMARY_PROCESSOR_CONTROLS', bits);
const user = (bench: VmxBench) => {
  bench.set('GUEST_CS_SELECTOR', 11);
  bench.set('GUEST_CS_ACCESS_RIGHTS', 0xa0fb);
  bench.set('GUEST_SS_SELECTOR', 19);
  bench.set('GUEST_SS_ACCESS_RIGHTS', 0xc0f3);
};

function run(code: readonly number[], prepare: (bench: VmxBench) => void, seed = 0n): GuestBench {
  const g = new GuestBench([...code, ...VMCALL], prepare);
  g.bench.state.set64(State.RANDOM, seed);
  for (let register = 0; register < 16; register++)
    if (register !== 4) g.bench.state.setGpr(register, 0xaaaa_aaaa_aaaa_aaaan);
  return g;
}

describe('RDRAND and RDSEED', () => {
  it('write operands of 16, 32 and 64 bits, set CF and clear the other flags', () => {
    const g = run([...RDRAND_RBX, ...RDSEED_R9D, ...RDRAND_CX], (bench) => bench.or('GUEST_RFLAGS', 0x8d4));
    assert.equal(g.enter(), ExitReason.VMCALL);
    const { state } = g.bench;
    // SplitMix64 from 0: the sequence that its author publishes
    assert.equal(state.gpr(RBX), 0xe220_a839_7b1d_cdafn);
    assert.equal(state.gpr(R9), 0xa1b9_65f4n);
    assert.equal(state.gpr(RCX), 0xaaaa_aaaa_aaaa_0000n | (0x8009_454fn & 0xffffn));
    assert.equal(g.bench.get('GUEST_RFLAGS') & 0x8d5n, 1n);
  });

  it('give the same numbers to the same seed, others to another', () => {
    const first = (seed: bigint): bigint => {
      const g = run(RDRAND_RBX, none, seed);
      g.enter();
      return g.bench.state.gpr(RBX);
    };
    assert.equal(first(7n), first(7n));
    assert.notEqual(first(7n), first(8n));
  });

  for (const [name, code, control, reason, information] of [
    ['RDRAND', RDRAND_RBX, Secondary.RDRAND_EXITING, ExitReason.RDRAND, (3 << 3) | (2 << 11)],
    ['RDSEED', RDSEED_R9D, Secondary.RDSEED_EXITING, ExitReason.RDSEED, (9 << 3) | (1 << 11)],
    ['RDRAND of 16 bits', RDRAND_CX, Secondary.RDRAND_EXITING, ExitReason.RDRAND, 1 << 3],
  ] as const)
    it(`${name} exits by its control, with destination and size, and changes nothing`, () => {
      const g = run(code, secondary(control));
      assert.equal(g.enter(), reason);
      assert.equal(g.bench.get('EXIT_INSTRUCTION_INFORMATION'), BigInt(information));
      assert.equal(g.bench.get('EXIT_QUALIFICATION'), 0n);
      assert.equal(g.bench.get('EXIT_INSTRUCTION_LENGTH'), BigInt(code.length));
      assert.equal(g.bench.get('GUEST_RIP'), CODE);
      assert.equal(g.bench.state.get64(State.RANDOM), 0n);
      const other = control === Secondary.RDRAND_EXITING ? Secondary.RDSEED_EXITING : Secondary.RDRAND_EXITING;
      assert.equal(run(code, secondary(other)).enter(), ExitReason.VMCALL);
    });
});

describe('MONITOR and MWAIT', () => {
  const both = (rcx: bigint, prepare: (bench: VmxBench) => void = none): GuestBench => {
    const g = run([...MONITOR, 0xb9, Number(rcx), 0, 0, 0, ...MWAIT], prepare);
    g.bench.state.setGpr(RAX, 0x8_0000n);
    g.bench.state.setGpr(RCX, 0n);
    return g;
  };

  it('MWAIT waits a while, and returns to the next instruction', () => {
    const g = both(1n);
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(g.handler, -1);
    assert.equal(g.bench.state.get64(State.CLOCK_IDLE), 4096n);
    assert.equal(g.bench.get('GUEST_ACTIVITY_STATE'), 0n);
  });

  it('MWAIT without a monitored range does not wait; VM entry ends the monitoring', () => {
    const g = run(MWAIT, none);
    g.bench.state.setGpr(RCX, 0n);
    g.bench.state.set32(State.MONITOR_ARMED, 1);
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(g.bench.state.get64(State.CLOCK_IDLE), 0n);
  });

  it('exit by their controls; the qualification of MWAIT tells whether a range was armed', () => {
    assert.equal(both(0n, primary(Primary.MONITOR_EXITING)).enter(), ExitReason.MONITOR);
    const armed = both(0n, primary(Primary.MWAIT_EXITING));
    assert.equal(armed.enter(), ExitReason.MWAIT);
    assert.equal(armed.bench.get('EXIT_QUALIFICATION'), 1n);
    assert.equal(armed.bench.state.get32(State.MONITOR_ARMED), 0);
    const unarmed = run(MWAIT, primary(Primary.MWAIT_EXITING));
    assert.equal(unarmed.enter(), ExitReason.MWAIT);
    assert.equal(unarmed.bench.get('EXIT_QUALIFICATION'), 0n);
  });

  it('raise #GP(0) for extensions that do not exist, after a VM exit', () => {
    const monitor = run(MONITOR, none);
    monitor.bench.state.setGpr(RCX, 1n << 32n);
    assert.equal(monitor.enter(), ExitReason.VMCALL);
    assert.equal(monitor.handler, Vector.GP);
    const mwait = both(2n);
    assert.equal(mwait.enter(), ExitReason.VMCALL);
    assert.equal(mwait.handler, Vector.GP);
    const exits = run(MONITOR, primary(Primary.MONITOR_EXITING));
    assert.equal(exits.enter(), ExitReason.MONITOR);
  });

  it('MONITOR reads its operand: a page that is not there faults, an address that is not canonical too', () => {
    for (const [address, vector] of [
      [0x4000_0000n, Vector.PF],
      [0x8000_0000_0000n, Vector.GP],
    ] as const) {
      const g = both(0n);
      g.bench.state.setGpr(RAX, address);
      assert.equal(g.enter(), ExitReason.VMCALL);
      assert.equal(g.handler, vector);
    }
  });

  it('are undefined above CPL 0 and when IA32_MISC_ENABLE says so, before a VM exit', () => {
    for (const code of [MONITOR, MWAIT]) {
      const intercepted = primary(Primary.MONITOR_EXITING | Primary.MWAIT_EXITING);
      const outer = run(code, (bench) => {
        user(bench);
        intercepted(bench);
        bench.set('EXCEPTION_BITMAP', 1 << Vector.UD);
      });
      assert.equal(outer.enter(), ExitReason.EXCEPTION_OR_NMI);
      const off = run(code, intercepted);
      off.bench.state.set64(State.MISC_ENABLE, MiscEnable.FAST_STRINGS);
      assert.equal(off.enter(), ExitReason.VMCALL);
      assert.equal(off.handler, Vector.UD);
    }
  });
});
