import assert from 'node:assert/strict';
import { VMCS_FIELDS, VMCS_FIELD_SYMBOLS, vmcsWidth, type VmcsFieldSymbol } from '../../emulator/arch/vmcs-fields';
import { ExitKind } from '../../emulator/cpu/processor';
import { ACCEPTED_FIELDS, ACCEPTED_FIELDS_SIZE, RAM_BASE, STATE_SIZE, State } from '../../emulator/memory/layout';
import { EntryContext } from '../../emulator/vmx/entry-checks';
import { COMMON_FIELDS } from '../../emulator/vmx/entry-checks/group';
import { CHECK_GROUPS } from '../../emulator/vmx/entry-checks/groups';
import { BITS_READ } from '../../emulator/vmx/entry-checks/remembered';
import { Slot } from '../../emulator/vmx/vmcs';
import { instruction, OTHER_VMCS, VMCS_REGION, VmxBench, writeValidVmcs } from './bench';
import { random } from './random';

const ENTRIES = 3000;
const READINGS = 40;
const seed = Number(process.env.SEED ?? Date.now() & 0x7fff_ffff);
const CPUID = instruction('CPUID', 'cpuid', {}, 'CPUID');
const LAUNCHED = 8;

function mutate(bench: VmxBench, next: () => number, symbol: VmcsFieldSymbol): void {
  const width = vmcsWidth(VMCS_FIELDS[symbol].encoding);
  const any = (BigInt(next()) << 32n) | BigInt(next());
  const value = next() % 8 === 0 ? any : bench.get(symbol) ^ (1n << BigInt(next() % 64));
  bench.set(symbol, BigInt.asUintN(width === 'natural' ? 64 : width, value));
}

const anyField = (next: () => number): VmcsFieldSymbol =>
  VMCS_FIELD_SYMBOLS[next() % VMCS_FIELD_SYMBOLS.length] as VmcsFieldSymbol;
/** What a guest changes by running, and a hypervisor between two entries */
const USUAL = ['GUEST_RIP', 'GUEST_RSP', 'GUEST_RFLAGS', 'GUEST_CR3', 'ENTRY_INTERRUPTION_INFORMATION'] as const;

function enter(bench: VmxBench): unknown {
  for (const list of [bench.failures, bench.entries, bench.exits]) list.length = 0;
  const launched = bench.vmcs.launched;
  const end = bench.simple(launched ? 'VMRESUME' : 'VMLAUNCH');
  const nonRoot = bench.vmx.nonRoot;
  const running = nonRoot ? bench.physical.memory.u8.slice(0, STATE_SIZE) : undefined;
  if (nonRoot) assert.equal(bench.vmx.instruction(CPUID), ExitKind.Taken);
  return { end, nonRoot, running, failures: [...bench.failures], entries: [...bench.entries], exits: [...bench.exits] };
}

describe('remembered entry checks', function () {
  this.timeout(120_000);

  it(`a rule reads no field but those of its group (SEED=${seed})`, () => {
    const next = random(seed);
    const bench = VmxBench.ready();
    const context = new EntryContext(bench.vmx.core);
    const { vmcs } = bench;
    let read = new Set<number>();
    for (const name of ['get32', 'get64', 'high32'] as const) {
      const original = vmcs[name].bind(vmcs) as (slot: number) => never;
      Object.defineProperty(vmcs, name, { value: (slot: number) => (read.add(slot), original(slot)) });
    }
    for (let reading = 0; reading < READINGS; reading++) {
      if (reading % 10 === 0) writeValidVmcs(vmcs);
      for (let i = 0; i < 3; i++) mutate(bench, next, anyField(next));
      for (const group of CHECK_GROUPS) {
        const known = new Set([...group.fields, ...COMMON_FIELDS].map((field) => Slot[field]));
        for (const rule of group.rules) {
          read = new Set();
          rule.holds(context);
          rule.everyEntry?.(context);
          const unknown = VMCS_FIELD_SYMBOLS.filter((field) => read.has(Slot[field]) && !known.has(Slot[field]));
          assert.deepEqual(unknown, [], `${rule.id} reads fields that its group does not name`);
        }
      }
    }
  });

  it(`no rule depends on a bit that is not compared (SEED=${seed})`, () => {
    const next = random(seed ^ 0xb17);
    const bench = VmxBench.ready();
    const context = new EntryContext(bench.vmx.core);
    const rules = CHECK_GROUPS.flatMap((group) => group.rules);
    const held = (): string => rules.map((rule) => (rule.holds(context) ? '1' : '0')).join('');
    for (let reading = 0; reading < READINGS; reading++) {
      writeValidVmcs(bench.vmcs);
      for (let i = 0; i < 3; i++) mutate(bench, next, anyField(next));
      // States in which rules look at flags
      bench.set('GUEST_INTERRUPTIBILITY', next() % 4);
      bench.set('GUEST_ACTIVITY_STATE', next() % 4);
      for (const [field, bits] of Object.entries(BITS_READ) as [VmcsFieldSymbol, bigint][]) {
        const [value, before] = [bench.get(field), held()];
        for (let bit = 0n; bit < 64n; bit++) {
          if ((bits >> bit) & 1n) continue;
          bench.set(field, value ^ (1n << bit));
          assert.equal(held(), before, `bit ${bit} of ${field} decides about a rule`);
        }
        bench.set(field, value);
      }
    }
  });

  it(`${ENTRIES} entries over two VMCSs end as without memory of earlier ones (SEED=${seed})`, () => {
    const next = random(seed ^ 0x5a5a);
    const bench = VmxBench.ready();
    const fresh = VmxBench.ready();
    const regions = [VMCS_REGION, OTHER_VMCS];
    const prepare = (): void => {
      for (const region of regions) {
        bench.pointer('VMCLEAR', region);
        bench.pointer('VMPTRLD', region);
        writeValidVmcs(bench.vmcs);
      }
    };
    prepare();
    const { u8 } = bench.physical.memory;
    const other = fresh.physical.memory.u8;
    let entered = 0;
    let refused = 0;
    for (let n = 0; n < ENTRIES; n++) {
      if (next() % 3 !== 0) bench.pointer('VMPTRLD', regions[next() % 2]!);
      const at = RAM_BASE + Number(bench.vmx.core.currentVmcs);
      const before = u8.slice(at, at + 4096);
      for (let changes = next() % 3; changes > 0; changes--) {
        const symbol = next() % 2 === 0 ? USUAL[next() % USUAL.length]! : anyField(next);
        // A failing MSR area of the exit ends in a VMX abort, which nothing comes after.
        if (!symbol.startsWith('EXIT_MSR')) mutate(bench, next, symbol);
      }
      if (next() % 50 === 0) bench.state.efer ^= 0x400n;
      other.set(u8.subarray(0, STATE_SIZE));
      other.set(u8.subarray(RAM_BASE), RAM_BASE);
      other.fill(0xa5, ACCEPTED_FIELDS, ACCEPTED_FIELDS + ACCEPTED_FIELDS_SIZE);
      fresh.cpu.contextChanged();
      const expected = enter(fresh) as { nonRoot: boolean };
      const got = enter(bench);
      const where = `SEED=${seed}, entry ${n}`;
      assert.deepEqual(got, expected, where);
      const differing = u8.subarray(0, STATE_SIZE).findIndex((byte, i) => byte !== other[i] && !isBank(i));
      assert.equal(differing, -1, `${where}: the state block differs at 0x${differing.toString(16)}`);
      assert.ok(Buffer.from(u8.subarray(at, at + 4096)).equals(other.subarray(at, at + 4096)), `${where}: the VMCS`);
      if (expected.nonRoot) entered++;
      else refused++;
      if (!bench.vmx.core.on || !bench.vmx.core.root) {
        bench.restart();
        prepare();
      } else if (!expected.nonRoot) {
        const launched = u8[at + LAUNCHED]!;
        u8.set(before, at);
        u8[at + LAUNCHED] = launched;
        bench.state.efer |= 0x400n;
      }
    }
    assert.ok(entered > ENTRIES / 10 && refused > ENTRIES / 10, `${entered} entered, ${refused} refused`);
  });
});

const isBank = (offset: number): boolean => offset >= State.TLB_BANK && offset < State.TLB_BANK + 4;
