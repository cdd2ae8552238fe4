import assert from 'node:assert/strict';
import { allowed1, type ControlWordKey } from '../../emulator/arch/controls';
import { VMCS_FIELD_SYMBOLS, VMCS_FIELDS, vmcsWidth, type VmcsFieldSymbol } from '../../emulator/arch/vmcs-fields';
import { EPT_ROOT, type VmxBench } from './bench';
import { CODE, GDT, GuestBench, HOST_CODE, IDT, STACK } from './guest-code';
import { random } from './random';

const PROGRAMS = 1000;
const INSTRUCTIONS = 12;
const BUDGET = 300;
const TSS = 0x0000_8908_8000_0067n;
const seed = Number(process.env.SEED ?? Date.now() & 0x7fff_ffff);

const WORDS: Readonly<Record<ControlWordKey, VmcsFieldSymbol>> = {
  pin: 'PIN_BASED_CONTROLS',
  primary: 'PRIMARY_PROCESSOR_CONTROLS',
  secondary: 'SECONDARY_PROCESSOR_CONTROLS',
  exit: 'EXIT_CONTROLS',
  entry: 'ENTRY_CONTROLS',
};

/** Addresses of structures that may lie anywhere in RAM */
const ADDRESSES: readonly VmcsFieldSymbol[] = [
  'EPTP_LIST_ADDRESS',
  'VMREAD_BITMAP',
  'VMWRITE_BITMAP',
  'MSR_BITMAPS',
  'IO_BITMAP_A',
  'IO_BITMAP_B',
  'VIRTUAL_APIC_ADDRESS',
  'APIC_ACCESS_ADDRESS',
  'PML_ADDRESS',
  'VIRTUALIZATION_EXCEPTION_ADDRESS',
];

/** Instructions that VT-x has a say in */
const CODES: readonly (readonly number[])[] = [
  [0x0f, 0x01, 0xc1], // VMCALL
  [0x0f, 0x01, 0xd4], // VMFUNC
  [0x0f, 0x78, 0xc3], // VMREAD
  [0x0f, 0x79, 0xd8], // VMWRITE
  [0x0f, 0xc7, 0xf0], // RDRAND
  [0x0f, 0x01, 0xc8], // MONITOR
  [0x0f, 0x01, 0xc9], // MWAIT
  [0x0f, 0x31], // RDTSC
  [0x0f, 0x01, 0xf9], // RDTSCP
  [0xcd, 0x30], // INT
  [0xcc], // INT3
  [0xf1], // INT1
  [0xcf], // IRET
  [0x48, 0xcf],
  [0xfb], // STI
  [0x8e, 0xd0], // MOV SS
  [0x0f, 0x32], // RDMSR
  [0x0f, 0x30], // WRMSR
  [0x0f, 0x22, 0xc0], // MOV to CR0, CR3, CR4
  [0x0f, 0x22, 0xd8],
  [0x0f, 0x22, 0xe0],
  [0x9c], // PUSHF, POPF
  [0x9d],
  [0x89, 0x04, 0x25, 0x00, 0x00, 0x08, 0x00], // a store and a load
  [0x8b, 0x04, 0x25, 0x00, 0x10, 0x08, 0x00],
  [0x0f, 0x00, 0xd8], // LTR
  [0xea, 0x00, 0x00, 0x00, 0x00, 0x28, 0x00], // JMP to a TSS
  [0x0f, 0x0b], // UD2
  [0xf3, 0x90], // PAUSE
  [0xe4, 0x80], // IN
  [0x6c], // INS
  [0x0f, 0x23, 0xf8], // MOV to DR7
  [0x0f, 0x01, 0x38], // INVLPG
];

/** Controls, fields, registers and a program by chance, near enough to what can be entered that much of it is */
function prepare(g: GuestBench, next: () => number): void {
  const { bench } = g;
  bench.restart();
  const code = Array.from({ length: INSTRUCTIONS }, () => CODES[next() % CODES.length] ?? []).flat();
  g.bytes(CODE, [...code, 0x0f, 0x01, 0xc1]);
  bench.write64(GDT + 8n, 0x00af_9b00_0000_ffffn);
  bench.write64(GDT + 16n, 0x00cf_9300_0000_ffffn);
  bench.write64(GDT + 40n, TSS);
  bench.write64(EPT_ROOT, 0xa_0007n);
  bench.write64(0xa_0000n, 0xb7n);
  const fixed: readonly (readonly [VmcsFieldSymbol, bigint | number])[] = [
    ['GUEST_RIP', CODE],
    ['GUEST_RSP', STACK],
    ['GUEST_GDTR_BASE', GDT],
    ['GUEST_IDTR_BASE', IDT],
    ['HOST_RIP', HOST_CODE],
    ['EPT_POINTER', EPT_ROOT | 0x1en],
    ['VPID', 5],
    ['TSC_MULTIPLIER', next()],
    ['VM_FUNCTION_CONTROLS', next() & 1],
    ['PREEMPTION_TIMER_VALUE', next() % 100],
    ['PML_INDEX', next() % 520],
    ['EXCEPTION_BITMAP', next() & next()],
  ];
  for (const [symbol, value] of fixed) bench.set(symbol, value);
  for (const symbol of ADDRESSES) if (next() & 1) bench.set(symbol, BigInt(next() % 0x300) << 12n);
  for (const [key, symbol] of Object.entries(WORDS) as [ControlWordKey, VmcsFieldSymbol][])
    if (next() % 3 === 0) bench.or(symbol, (next() & next() & allowed1(key)) >>> 0);
  if (next() & 1) bench.or('PRIMARY_PROCESSOR_CONTROLS', 0x8000_0000);
  if (next() % 3 === 0) bench.set('ENTRY_INTERRUPTION_INFORMATION', (0x8000_0000 | (next() & 0xf3f)) >>> 0);
  for (let n = next() % 4; n > 0; n--) flip(bench, next);
  for (const register of [0, 1, 2, 3, 5, 6, 7])
    bench.state.setGpr(register, next() % 3 ? BigInt(next() % 16) : (BigInt(next()) << 32n) | BigInt(next()));
}

function flip(bench: VmxBench, next: () => number): void {
  const symbol = VMCS_FIELD_SYMBOLS[next() % VMCS_FIELD_SYMBOLS.length] as VmcsFieldSymbol;
  const width = vmcsWidth(VMCS_FIELDS[symbol].encoding);
  const value = bench.get(symbol) ^ (1n << BigInt(next() % 64));
  bench.set(symbol, BigInt.asUintN(width === 'natural' ? 64 : width, value));
}

describe('guests with random controls and programs', function () {
  this.timeout(120_000);

  it(`${PROGRAMS} programs never make the processor throw, and end in a known way (SEED=${seed})`, () => {
    const next = random(seed);
    const g = new GuestBench([0xf4]);
    const { bench } = g;
    let entered = 0;
    for (let n = 0; n < PROGRAMS; n++) {
      prepare(g, next);
      try {
        const outcome = bench.launch();
        if (outcome.kind === 'done' && bench.vmx.nonRoot) {
          entered++;
          bench.cpu.deliverInjected();
          if (next() % 4 === 0) bench.cpu.raiseNmi();
        }
        const { why } = bench.cpu.run(BUDGET);
        assert.ok(['halted', 'budget', 'shutdown', 'vmx-abort', 'unsupported'].includes(why), why);
      } catch (error) {
        throw new Error(`SEED=${seed}, program ${n}`, { cause: error });
      }
    }
    assert.ok(entered > PROGRAMS / 10, `only ${entered} were entered`);
  });
});
