import assert from 'node:assert/strict';
import type { CpuRunResult } from '../../emulator/cpu/cpu';
import type { InterruptSource } from '../../emulator/cpu/processor';
import { hostPhysical } from '../../emulator/memory/address';
import { RAM_BASE } from '../../emulator/memory/layout';
import { VmxBench } from './bench';

/** Places of a guest that executes code */
export const CODE = 0x2_0000n;
export const STACK = 0x3_0000n;
export const HOST_CODE = 0x4_0000n;
export const GDT = 0x5_0000n;
export const IDT = 0x5_1000n;
/** The handler of vector n is at HANDLERS + 16 * n. */
export const HANDLERS = 0x6_0000n;
const HLT = 0xf4;
const VMCALL = [0x0f, 0x01, 0xc1];
const INTERRUPT_GATE = 0x8e00n;

/** A 64-bit guest with real code, a GDT, and an IDT whose handlers execute VMCALL. The host halts. */
export class GuestBench {
  readonly bench: VmxBench;

  constructor(
    code: readonly number[],
    prepare: (bench: VmxBench) => void = () => undefined,
    interrupts?: InterruptSource,
    strict = false,
  ) {
    this.bench = VmxBench.ready(interrupts, true, strict);
    const { bench } = this;
    this.bytes(CODE, code);
    this.bytes(HOST_CODE, [HLT]);
    [0n, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn].forEach((entry, i) =>
      bench.write64(GDT + BigInt(i) * 8n, entry),
    );
    for (let vector = 0n; vector < 256n; vector++) {
      const handler = HANDLERS + vector * 16n;
      bench.write64(
        IDT + vector * 16n,
        (handler & 0xffffn) | (8n << 16n) | (INTERRUPT_GATE << 32n) | ((handler >> 16n) << 48n),
      );
      bench.write64(IDT + vector * 16n + 8n, 0n);
      this.bytes(handler, VMCALL);
    }
    bench.set('GUEST_RIP', CODE);
    bench.set('GUEST_RSP', STACK);
    bench.set('GUEST_GDTR_BASE', GDT);
    bench.set('GUEST_IDTR_BASE', IDT);
    bench.set('HOST_RIP', HOST_CODE);
    prepare(bench);
  }

  bytes(address: bigint, bytes: readonly number[]): void {
    const { physical, cpu } = this.bench;
    bytes.forEach((byte, i) => physical.write(hostPhysical(address + BigInt(i)), 1, BigInt(byte)));
    // It may have been executed before.
    cpu.engine.codeChanged(RAM_BASE + Number(address), bytes.length);
  }

  /**
   * Enters the guest and runs until the host halts.
   * @param entered what happens between VM entry and the guest's first instruction
   * @returns the basic exit reason
   */
  enter(entered?: (bench: VmxBench) => void, limit = 100_000): number {
    const { bench } = this;
    const outcome = bench.vmcs.launched ? bench.simple('VMRESUME') : bench.launch();
    if (outcome.kind === 'done') {
      assert.ok(bench.vmx.nonRoot, bench.failures.at(-1)?.rule ?? 'the guest did not start');
      bench.cpu.deliverInjected();
      entered?.(bench);
    }
    const { why } = this.run(limit);
    assert.equal(why, 'halted');
    assert.ok(bench.vmx.core.root);
    bench.cpu.wake();
    return Number(bench.get('EXIT_REASON') & 0xffffn);
  }

  run(limit: number): CpuRunResult {
    return this.bench.cpu.run(limit);
  }

  /** The vector whose handler the guest was in at the VM exit, or -1 */
  get handler(): number {
    const offset = this.bench.get('GUEST_RIP') - HANDLERS;
    return offset >= 0n && offset < 4096n ? Number(offset >> 4n) : -1;
  }
}
