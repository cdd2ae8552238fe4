import assert from 'node:assert/strict';
import { VMCS_FIELDS, VMCS_FIELD_SYMBOLS, vmcsWidth, type VmcsFieldSymbol } from '../../emulator/arch/vmcs-fields';
import {
  CONTROL_CHECKS,
  EntryContext,
  firstFailure,
  GUEST_STATE_CHECKS,
  HOST_STATE_CHECKS,
} from '../../emulator/vmx/entry-checks';
import { ExitKind } from '../../emulator/cpu/processor';
import { instruction, VmxBench } from './bench';
import { random } from './random';

/** Mostly a few flipped bits, for these reach far into the checks; sometimes anything. */
function mutate(bench: VmxBench, next: () => number): void {
  const count = 1 + (next() % 4);
  for (let i = 0; i < count; i++) {
    const symbol = VMCS_FIELD_SYMBOLS[next() % VMCS_FIELD_SYMBOLS.length] as VmcsFieldSymbol;
    const old = bench.get(symbol);
    const any = (BigInt(next()) << 32n) | BigInt(next());
    const value = next() % 8 === 0 ? any : old ^ (1n << BigInt(next() % 64));
    const width = vmcsWidth(VMCS_FIELDS[symbol].encoding);
    bench.set(symbol, BigInt.asUintN(width === 'natural' ? 64 : width, value));
  }
}

/** What the rules say about the VMCS as it is. */
function predicted(bench: VmxBench): string {
  const context = new EntryContext(bench.vmx.core);
  if (firstFailure(CONTROL_CHECKS, context)) return 'fail 7';
  if (firstFailure(HOST_STATE_CHECKS, context)) return 'fail 8';
  return firstFailure(GUEST_STATE_CHECKS, context) ? 'exit 33' : 'enters';
}

function outcome(bench: VmxBench): string {
  if (bench.launch().kind === 'exit') return `exit ${bench.get('EXIT_REASON') & 0xffffn}`;
  return bench.vmx.nonRoot ? 'enters' : `fail ${bench.get('VM_INSTRUCTION_ERROR')}`;
}

/** What became of how many entries. */
export type Outcomes = ReadonlyMap<string, number>;

/**
 * Enters with a VMCS in which random fields were changed, `count` times, each time from the same good one. Every outcome
 * must be the one that the rows of the entry checks give when they are evaluated one by one.
 * @throws AssertionError that names seed and entry
 */
export function enterAtRandom(count: number, seed: number): Outcomes {
  const next = random(seed);
  const seen = new Map<string, number>();
  const bench = VmxBench.ready();
  for (let n = 0; n < count; n++) {
    mutate(bench, next);
    const expected = predicted(bench);
    const got = outcome(bench);
    // MSR areas that count lie anywhere: loading them may fail after the checks.
    const allowed = expected === 'enters' ? ['enters', 'exit 34'] : [expected];
    assert.ok(allowed.includes(got), `SEED=${seed}, entry ${n}: ${got} instead of ${expected}`);
    seen.set(got, (seen.get(got) ?? 0) + 1);
    if (bench.vmx.nonRoot)
      assert.equal(bench.vmx.instruction(instruction('CPUID', 'cpuid', {}, 'CPUID')), ExitKind.Taken);
    bench.restart();
  }
  return seen;
}
