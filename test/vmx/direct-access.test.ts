import assert from 'node:assert/strict';
import { Field, VMCS_FIELD_SYMBOLS } from '../../emulator/arch/vmcs-fields';
import { noInterrupts } from '../../emulator/cpu/processor';
import { RAM_BASE, Segment, State } from '../../emulator/memory/layout';
import { instruction, OPERAND, VMCS_REGION, VmxBench } from './bench';
import { random } from './random';

const CASES = 1500;
const CODE = 0x4_0000n;
const seed = Number(process.env.SEED ?? Date.now() & 0x7fff_ffff);
const RAX = 0;
const RCX = 1;
const RSI = 6;
/** The operand is RAX or at RSI; RCX holds the encoding. */
const CODES = {
  vmread: { register: [0x0f, 0x78, 0xc8], memory: [0x0f, 0x78, 0x0e] },
  vmwrite: { register: [0x0f, 0x79, 0xc8], memory: [0x0f, 0x79, 0x0e] },
} as const;

/** Mostly a field's encoding or its high half, else any number. */
function encoding(next: () => number): bigint {
  const symbol = VMCS_FIELD_SYMBOLS[next() % VMCS_FIELD_SYMBOLS.length]!;
  switch (next() % 8) {
    case 0:
      return BigInt(next() % 0x8000);
    case 1:
      return (BigInt(next()) << 32n) | BigInt(Field[symbol]);
    case 2:
      return BigInt(Field[symbol] | 1);
    default:
      return BigInt(Field[symbol]);
  }
}

describe('VMREAD and VMWRITE in generated code', function () {
  this.timeout(60_000);
  it(`do what their helpers do (SEED=${seed})`, () => {
    const next = random(seed);
    const own = VmxBench.ready(noInterrupts, true);
    const helped = VmxBench.ready(noInterrupts, true);
    const benches = [own, helped];
    const ends = new Map<string, number>();
    let direct = 0;
    for (let n = 0; n < CASES; n++) {
      const name = next() % 2 === 0 ? 'vmread' : 'vmwrite';
      const form = next() % 2 === 0 ? 'register' : 'memory';
      const [field, value, other] = [encoding(next), (BigInt(next()) << 32n) | BigInt(next()), BigInt(next())];
      const flags = BigInt((next() & 0x8d5) | 2);
      const dpl = next() % 16 === 0 ? 3 : 0;
      const current = next() % 16 !== 0;
      for (const bench of benches) {
        bench.restart();
        if (!current) bench.pointer('VMCLEAR', VMCS_REGION);
        bench.state.setGpr(RAX, value);
        bench.state.setGpr(RCX, field);
        bench.state.setGpr(RSI, OPERAND);
        bench.write64(OPERAND, value ^ other);
        bench.state.rflags = flags;
        bench.state.rip = CODE;
        const access = bench.state.segmentAccess(Segment.SS) & ~0x60;
        bench.state.set32(State.SEGMENTS + Segment.SS * 32 + 4, access | (dpl << 5));
        CODES[name][form].forEach((byte, i) => (bench.physical.memory.u8[RAM_BASE + Number(CODE) + i] = byte));
        bench.cpu.engine.codeChanged(RAM_BASE + Number(CODE), 3);
        if (dpl === 3) makeUserPages(bench);
        bench.cpu.contextChanged();
      }
      const interpreted = own.cpu.engine.statistics.interpreted;
      own.cpu.run(1);
      const more = form === 'memory' ? { mod: 0, isMemory: true, base: RSI, reg: RCX } : { reg: RCX, rm: RAX };
      const end = helped.run(instruction(name.toUpperCase(), name, { rip: CODE, ...more }, 'VMX'));
      const where = `SEED=${seed}, case ${n}: ${name} ${form} of 0x${field.toString(16)}`;
      if (end.kind === 'fault') {
        // Delivered through an IDT that is not there: both end in shutdown, here or in the run loop.
        assert.equal(own.cpu.run(1).why, 'shutdown', where);
      } else {
        if (own.cpu.engine.statistics.interpreted > interpreted) direct++;
        assert.deepEqual(registersOf(own), registersOf(helped), where);
        const [a, b] = benches.map((bench) => bench.physical.memory.u8.subarray(RAM_BASE, RAM_BASE + 0x1_0000));
        assert.equal(
          a!.findIndex((byte, i) => byte !== b![i]),
          -1,
          `${where}: RAM`,
        );
      }
      ends.set(end.kind, (ends.get(end.kind) ?? 0) + 1);
    }
    assert.ok(direct > CASES / 4, `${direct} without a helper`);
    assert.ok((ends.get('fault') ?? 0) > 0);
  });
});

const registersOf = ({ state }: VmxBench): unknown => ({
  gpr: Array.from({ length: 16 }, (_, i) => state.gpr(i)),
  rip: state.rip,
  rflags: state.rflags,
});

/** CPL 3 must reach its code: every level of the identity map allows it. */
function makeUserPages(bench: VmxBench): void {
  const root = bench.state.cr3;
  const next = bench.read64(root) & ~0xfffn;
  bench.write64(root, bench.read64(root) | 7n);
  bench.write64(next, bench.read64(next) | 7n);
}
