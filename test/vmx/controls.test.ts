import assert from 'node:assert/strict';
import {
  allowed0,
  allowed1,
  CONTROL_WORDS,
  Entry,
  Exit,
  Pin,
  Primary,
  Secondary,
  type ControlRow,
  type ControlWordKey,
} from '../../emulator/arch/controls';
import { Cr4 } from '../../emulator/arch/control-registers';
import { exitReasonSymbol } from '../../emulator/arch/exit-reasons';
import type { VmcsFieldSymbol } from '../../emulator/arch/vmcs-fields';
import { noInterrupts, type InterruptSource } from '../../emulator/cpu/processor';
import { State } from '../../emulator/memory/layout';
import { VMCS_REVISION } from '../../emulator/vmx';
import { BITMAP_A, BITMAP_B, enableEpt, EPT_ROOT, OTHER_VMCS, VmxBench, ZF } from './bench';
import { GuestBench } from './guest-code';

/**
 * Every control that the capability MSRs announce has an effect that can be seen: the same guest runs without it and
 * with it. Every other bit is refused.
 */
interface Effect {
  readonly code: readonly number[];
  readonly off: string;
  readonly on: string;
  /** What both runs need */
  readonly prepare?: (bench: VmxBench) => void;
  readonly entered?: (bench: VmxBench) => void;
  readonly interrupts?: () => InterruptSource;
  /** What is looked at afterwards, instead of the exit reason */
  readonly observe?: (bench: VmxBench) => bigint | string;
}

const WORD_FIELDS: Readonly<Record<ControlWordKey, VmcsFieldSymbol>> = {
  pin: 'PIN_BASED_CONTROLS',
  primary: 'PRIMARY_PROCESSOR_CONTROLS',
  secondary: 'SECONDARY_PROCESSOR_CONTROLS',
  exit: 'EXIT_CONTROLS',
  entry: 'ENTRY_CONTROLS',
};

const VMCALL = [0x0f, 0x01, 0xc1];
const RDTSC = [0x0f, 0x31];
const MSR_PAT = [0xb9, 0x77, 0x02, 0, 0];
const MSR_EFER = [0xb9, 0x80, 0, 0, 0xc0];
const RDMSR = [0x0f, 0x32];
/** mov ecx, 5000; loop to itself */
const LONG_LOOP = [0xb9, 0x88, 0x13, 0, 0, 0xe2, 0xfe];
const DATA = 0x8_0000n;
const PML_LOG = 0x8_1000n;
const VE_AREA = 0x8_2000n;
const RAX = 0;
const RDX = 2;

const instruction = (code: readonly number[], on: string, off = 'VMCALL'): Effect => ({ code, off, on });
const pin = (bits: number) => (bench: VmxBench) => bench.or('PIN_BASED_CONTROLS', bits);
const primary = (bits: number) => (bench: VmxBench) => bench.or('PRIMARY_PROCESSOR_CONTROLS', bits);
const secondary = (bits: number) => (bench: VmxBench) => bench.or('SECONDARY_PROCESSOR_CONTROLS', bits);
const all =
  (...steps: ((bench: VmxBench) => void)[]) =>
  (bench: VmxBench) =>
    steps.forEach((step) => step(bench));
const set = (symbol: VmcsFieldSymbol, value: bigint | number) => (bench: VmxBench) => bench.set(symbol, value);
const msrs = all(primary(Primary.USE_MSR_BITMAPS), set('MSR_BITMAPS', BITMAP_B));
const rax = (bench: VmxBench): bigint => bench.state.gpr(RAX) & 0xffff_ffffn;
const field = (symbol: VmcsFieldSymbol) => (bench: VmxBench) => bench.get(symbol);

/** An EPT of 4-KByte pages: 1 MByte, identically mapped. `entry` changes the entries. */
const ept =
  (entry: (page: bigint) => bigint = (page) => (page << 12n) | 0x37n, eptp = 0x1en) =>
  (bench: VmxBench) => {
    enableEpt(bench);
    const [pdpt, directory, table] = [0xa_0000n, 0xa_1000n, 0xa_2000n];
    bench.set('EPT_POINTER', EPT_ROOT | eptp);
    bench.write64(EPT_ROOT, pdpt | 0x407n);
    bench.write64(pdpt, directory | 0x407n);
    bench.write64(directory, table | 0x407n);
    for (let i = 0n; i < 256n; i++) bench.write64(table + i * 8n, entry(i));
  };

/** One interrupt, vector 65 */
function oneInterrupt(): InterruptSource {
  let pending = 65;
  const acknowledge = () => {
    const vector = pending;
    pending = -1;
    return vector;
  };
  return { ...noInterrupts, pendingVector: () => pending, acknowledge };
}

const raiseNmi = (bench: VmxBench): void => bench.cpu.raiseNmi();
const zeroRax = (bench: VmxBench): void => bench.state.setGpr(RAX, 0n);
const blockNmis = set('GUEST_INTERRUPTIBILITY', 8);
const MOV_RAX_DR7 = [0x0f, 0x21, 0xf8];

const EFFECTS: Readonly<Record<string, Effect>> = {
  'pin.EXTERNAL_INTERRUPT_EXITING': {
    ...instruction(VMCALL, 'EXTERNAL_INTERRUPT', 'VMCALL in the handler of 65'),
    interrupts: oneInterrupt,
  },
  'pin.NMI_EXITING': {
    ...instruction(VMCALL, 'EXCEPTION_OR_NMI', 'VMCALL in the handler of 2'),
    entered: raiseNmi,
  },
  'pin.VIRTUAL_NMIS': {
    ...instruction(VMCALL, 'EXCEPTION_OR_NMI'),
    prepare: all(pin(Pin.NMI_EXITING), blockNmis),
    entered: raiseNmi,
  },
  'pin.ACTIVATE_PREEMPTION_TIMER': {
    ...instruction([...LONG_LOOP, ...VMCALL], 'PREEMPTION_TIMER'),
    prepare: set('PREEMPTION_TIMER_VALUE', 3),
  },
  'primary.INTERRUPT_WINDOW_EXITING': instruction(VMCALL, 'INTERRUPT_WINDOW'),
  'primary.USE_TSC_OFFSETTING': {
    code: [...RDTSC, ...VMCALL],
    prepare: set('TSC_OFFSET', 5n << 32n),
    off: '0',
    on: '5',
    observe: (bench) => bench.state.gpr(RDX),
  },
  'primary.HLT_EXITING': {
    ...instruction([0xf4], 'HLT', 'PREEMPTION_TIMER'),
    prepare: all(pin(Pin.ACTIVATE_PREEMPTION_TIMER), set('PREEMPTION_TIMER_VALUE', 100)),
  },
  'primary.INVLPG_EXITING': instruction([0x0f, 0x01, 0x38, ...VMCALL], 'INVLPG'),
  'primary.MWAIT_EXITING': instruction([0x0f, 0x01, 0xc9, ...VMCALL], 'MWAIT'),
  'primary.RDPMC_EXITING': instruction([0x0f, 0x33], 'RDPMC', 'VMCALL in the handler of 13'),
  'primary.RDTSC_EXITING': instruction([...RDTSC, ...VMCALL], 'RDTSC'),
  'primary.CR3_LOAD_EXITING': {
    ...instruction([0x0f, 0x22, 0xd8, ...VMCALL], 'CR_ACCESS'),
    entered: (bench) => bench.state.setGpr(RAX, bench.state.cr3),
  },
  'primary.CR3_STORE_EXITING': instruction([0x0f, 0x20, 0xd8, ...VMCALL], 'CR_ACCESS'),
  'primary.CR8_LOAD_EXITING': { ...instruction([0x44, 0x0f, 0x22, 0xc0, ...VMCALL], 'CR_ACCESS'), entered: zeroRax },
  'primary.CR8_STORE_EXITING': instruction([0x44, 0x0f, 0x20, 0xc0, ...VMCALL], 'CR_ACCESS'),
  'primary.NMI_WINDOW_EXITING': {
    ...instruction(VMCALL, 'NMI_WINDOW'),
    prepare: pin(Pin.NMI_EXITING | Pin.VIRTUAL_NMIS),
  },
  'primary.MOV_DR_EXITING': instruction([...MOV_RAX_DR7, ...VMCALL], 'MOV_DR'),
  'primary.UNCONDITIONAL_IO_EXITING': instruction([0xe4, 0x80, ...VMCALL], 'IO_INSTRUCTION'),
  'primary.USE_IO_BITMAPS': {
    ...instruction([0xe4, 0x80, ...VMCALL], 'IO_INSTRUCTION'),
    prepare: all(set('IO_BITMAP_A', BITMAP_A), set('IO_BITMAP_B', BITMAP_B), (b) => b.write64(BITMAP_A + 16n, 1n)),
  },
  'primary.MONITOR_TRAP_FLAG': instruction([0x90, ...VMCALL], 'MONITOR_TRAP_FLAG'),
  'primary.USE_MSR_BITMAPS': {
    ...instruction([...MSR_PAT, ...RDMSR, ...VMCALL], 'VMCALL', 'RDMSR'),
    prepare: set('MSR_BITMAPS', BITMAP_B),
  },
  'primary.MONITOR_EXITING': instruction([0x0f, 0x01, 0xc8, ...VMCALL], 'MONITOR'),
  'primary.PAUSE_EXITING': instruction([0xf3, 0x90, ...VMCALL], 'PAUSE'),
  'primary.ACTIVATE_SECONDARY_CONTROLS': {
    ...instruction([0x0f, 0x09, ...VMCALL], 'WBINVD'),
    prepare: secondary(Secondary.WBINVD_EXITING),
  },

  'secondary.ENABLE_EPT': {
    ...instruction(VMCALL, 'EPT_VIOLATION'),
    prepare: set('EPT_POINTER', EPT_ROOT | 0x1en),
  },
  'secondary.DESCRIPTOR_TABLE_EXITING': instruction([0x0f, 0x00, 0xc8, ...VMCALL], 'LDTR_TR_ACCESS'),
  'secondary.ENABLE_RDTSCP': instruction([0x0f, 0x01, 0xf9, ...VMCALL], 'VMCALL', 'VMCALL in the handler of 6'),
  'secondary.ENABLE_VPID': {
    code: VMCALL,
    prepare: set('VPID', 5),
    off: '0',
    on: '5',
    entered: (bench) => bench.state.setGpr(RAX, BigInt(bench.state.get32(State.VPID))),
    observe: rax,
  },
  'secondary.WBINVD_EXITING': instruction([0x0f, 0x09, ...VMCALL], 'WBINVD'),
  'secondary.UNRESTRICTED_GUEST': {
    ...instruction(VMCALL, 'VMCALL', 'ENTRY_FAILURE_GUEST_STATE'),
    prepare: all(ept(), (bench) => {
      bench.clear('ENTRY_CONTROLS', Entry.IA32E_MODE_GUEST);
      bench.clear('GUEST_CR0', 1n << 31n);
      bench.set('GUEST_CS_ACCESS_RIGHTS', 0xc09b);
    }),
  },
  'secondary.PAUSE_LOOP_EXITING': {
    // mov ecx, 200; pause; loop
    ...instruction([0xb9, 200, 0, 0, 0, 0xf3, 0x90, 0xe2, 0xfc, ...VMCALL], 'PAUSE'),
    prepare: all(set('PLE_GAP', 10), set('PLE_WINDOW', 100)),
  },
  'secondary.RDRAND_EXITING': instruction([0x0f, 0xc7, 0xf0, ...VMCALL], 'RDRAND'),
  'secondary.ENABLE_VM_FUNCTIONS': {
    ...instruction([0x0f, 0x01, 0xd4], 'VMFUNC', 'VMCALL in the handler of 6'),
    entered: zeroRax,
  },
  'secondary.VMCS_SHADOWING': {
    ...instruction([0x0f, 0x78, 0xc3, ...VMCALL], 'VMCALL', 'VMREAD'),
    prepare: all(set('VMREAD_BITMAP', BITMAP_A), set('VMWRITE_BITMAP', BITMAP_A)),
    entered: zeroRax,
  },
  // invpcid rcx, [DATA]: type 0, address 0
  'secondary.ENABLE_INVPCID': instruction(
    [0x66, 0x0f, 0x38, 0x82, 0x0c, 0x25, 0, 0, 8, 0, ...VMCALL],
    'VMCALL',
    'VMCALL in the handler of 6',
  ),
  // xsaves [DATA], which is #UD without CR4.OSXSAVE
  'secondary.ENABLE_XSAVES_XRSTORS': {
    ...instruction([0x0f, 0xc7, 0x2c, 0x25, 0, 0, 8, 0, ...VMCALL], 'VMCALL', 'VMCALL in the handler of 6'),
    prepare: (bench) => bench.or('GUEST_CR4', Cr4.OSXSAVE),
  },
  'secondary.RDSEED_EXITING': instruction([0x0f, 0xc7, 0xf8, ...VMCALL], 'RDSEED'),
  'secondary.ENABLE_PML': {
    // mov [DATA], eax
    code: [0x89, 0x04, 0x25, 0, 0, 8, 0, ...VMCALL],
    prepare: all(ept(undefined, 0x5en), set('PML_ADDRESS', PML_LOG), set('PML_INDEX', 511)),
    off: 'nothing logged',
    on: '0x80000 logged',
    observe: (bench) => {
      for (let i = bench.get('PML_INDEX') + 1n; i < 512n; i++)
        if (bench.read64(PML_LOG + i * 8n) === DATA) return '0x80000 logged';
      return 'nothing logged';
    },
  },
  'secondary.EPT_VIOLATION_VE': {
    ...instruction([0x89, 0x04, 0x25, 0, 0, 8, 0, ...VMCALL], 'VMCALL in the handler of 20', 'EPT_VIOLATION'),
    prepare: all(
      ept((page) => (page === DATA >> 12n ? 0n : (page << 12n) | 0x37n)),
      set('VIRTUALIZATION_EXCEPTION_ADDRESS', VE_AREA),
    ),
  },
  'secondary.MODE_BASED_EXECUTE_CONTROL': {
    // Execute permission for supervisor-mode addresses only; the guest's page tables make all of them user-mode ones.
    ...instruction(VMCALL, 'EPT_VIOLATION'),
    prepare: ept(),
  },
  'secondary.USE_TSC_SCALING': {
    code: [...RDTSC, ...VMCALL],
    prepare: all(primary(Primary.USE_TSC_OFFSETTING), set('TSC_MULTIPLIER', 2n << 48n), set('TSC_OFFSET', 0)),
    entered: (bench) => bench.state.set64(State.CLOCK_IDLE, (1n << 40n) - bench.state.get64(State.RETIRED)),
    off: '256',
    on: '512',
    observe: (bench) => bench.state.gpr(RDX),
  },

  'exit.SAVE_DEBUG_CONTROLS': {
    // mov eax, 0x401; mov dr7, rax
    code: [0xb8, 1, 4, 0, 0, 0x0f, 0x23, 0xf8, ...VMCALL],
    off: '1024',
    on: '1025',
    observe: field('GUEST_DR7'),
  },
  'exit.HOST_ADDRESS_SPACE_SIZE': instruction(VMCALL, 'VMCALL', 'VMfailValid 8'),
  'exit.ACKNOWLEDGE_INTERRUPT': {
    code: VMCALL,
    prepare: pin(Pin.EXTERNAL_INTERRUPT_EXITING),
    interrupts: oneInterrupt,
    off: '0',
    on: `${0x8000_0041}`,
    observe: field('EXIT_INTERRUPTION_INFORMATION'),
  },
  'exit.SAVE_PAT': {
    // xor edx, edx; mov eax, 6; wrmsr
    code: [...MSR_PAT, 0x31, 0xd2, 0xb8, 6, 0, 0, 0, 0x0f, 0x30, ...VMCALL],
    prepare: msrs,
    off: '0',
    on: '6',
    observe: field('GUEST_IA32_PAT'),
  },
  'exit.LOAD_PAT': {
    code: VMCALL,
    prepare: set('HOST_IA32_PAT', 4),
    off: `${0x0007_0406_0007_0406n}`,
    on: '4',
    observe: (bench) => bench.state.get64(State.PAT),
  },
  'exit.SAVE_EFER': { code: VMCALL, off: '0', on: '1281', observe: field('GUEST_IA32_EFER') },
  'exit.LOAD_EFER': {
    code: VMCALL,
    prepare: set('HOST_IA32_EFER', 0xd00),
    off: '1281',
    on: `${0xd00}`,
    observe: (bench) => bench.state.efer,
  },
  'exit.SAVE_PREEMPTION_TIMER': {
    code: [...LONG_LOOP, ...VMCALL],
    prepare: all(pin(Pin.ACTIVATE_PREEMPTION_TIMER), set('PREEMPTION_TIMER_VALUE', 1000)),
    off: 'as it was',
    on: 'less',
    observe: (bench) => (bench.get('PREEMPTION_TIMER_VALUE') === 1000n ? 'as it was' : 'less'),
  },

  'entry.LOAD_DEBUG_CONTROLS': {
    code: [...MOV_RAX_DR7, ...VMCALL],
    prepare: set('GUEST_DR7', 0x455),
    off: '1024',
    on: `${0x455}`,
    observe: rax,
  },
  'entry.IA32E_MODE_GUEST': instruction(VMCALL, 'VMCALL', 'ENTRY_FAILURE_GUEST_STATE'),
  'entry.LOAD_PAT': {
    code: [...MSR_PAT, ...RDMSR, ...VMCALL],
    prepare: all(msrs, set('GUEST_IA32_PAT', 5)),
    off: `${0x0007_0406}`,
    on: '5',
    observe: rax,
  },
  'entry.LOAD_EFER': {
    code: [...MSR_EFER, ...RDMSR, ...VMCALL],
    prepare: all(msrs, set('GUEST_IA32_EFER', 0xd00)),
    off: '1281',
    on: `${0xd00}`,
    observe: rax,
  },
};

/** Controls of the local APIC's virtualization: their effects are in a file of their own. */
const APIC_VIRTUALIZATION = new Set([
  'pin.PROCESS_POSTED_INTERRUPTS',
  'primary.USE_TPR_SHADOW',
  'secondary.VIRTUALIZE_APIC_ACCESSES',
  'secondary.VIRTUALIZE_X2APIC_MODE',
  'secondary.APIC_REGISTER_VIRTUALIZATION',
  'secondary.VIRTUAL_INTERRUPT_DELIVERY',
]);

const KEYS = Object.keys(CONTROL_WORDS) as ControlWordKey[];
const rowsOf = (key: ControlWordKey): [string, ControlRow][] => Object.entries(CONTROL_WORDS[key].controls);

function run(effect: Effect, change: (bench: VmxBench) => void): string {
  const g = new GuestBench(
    effect.code,
    (bench) => {
      bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.ACTIVATE_SECONDARY_CONTROLS);
      bench.write32(OTHER_VMCS, VMCS_REVISION);
      effect.prepare?.(bench);
      change(bench);
    },
    effect.interrupts?.(),
  );
  const { bench } = g;
  bench.state.setGpr(RAX, DATA);
  for (const register of [1, 3]) bench.state.setGpr(register, 0n);
  if (!canEnter(bench)) return `VMfailValid ${bench.get('VM_INSTRUCTION_ERROR')}`;
  const reason = g.enter(effect.entered);
  if (effect.observe) return effect.observe(bench).toString();
  const where = g.handler < 0 ? '' : ` in the handler of ${g.handler}`;
  return `${exitReasonSymbol(reason) ?? reason}${where}`;
}

/** False: VMLAUNCH fails, and has been executed. */
function canEnter(bench: VmxBench): boolean {
  const probe = bench.get('EXIT_CONTROLS') & BigInt(Exit.HOST_ADDRESS_SPACE_SIZE);
  if (probe !== 0n) return true;
  bench.launch();
  return (bench.state.rflags & ZF) === 0n;
}

describe('VMX controls', () => {
  it('every announced control has an effect here', () => {
    const announced = KEYS.flatMap((key) =>
      rowsOf(key)
        .filter(([, row]) => row.implemented)
        .map(([symbol]) => `${key}.${symbol}`),
    ).filter((path) => !APIC_VIRTUALIZATION.has(path));
    assert.deepEqual(
      announced.filter((path) => !(path in EFFECTS)),
      [],
    );
    assert.deepEqual(
      Object.keys(EFFECTS).filter((path) => !announced.includes(path)),
      [],
    );
  });

  for (const key of KEYS) {
    for (const [symbol, row] of rowsOf(key)) {
      const effect = EFFECTS[`${key}.${symbol}`];
      if (!effect || !row.implemented) continue;
      const mask = 1n << BigInt(row.bit);
      it(`${key}: ${row.name}: ${effect.off} without, ${effect.on} with it`, () => {
        assert.equal(
          run(effect, (bench) => bench.clear(WORD_FIELDS[key], mask)),
          effect.off,
        );
        assert.equal(
          run(effect, (bench) => bench.or(WORD_FIELDS[key], mask)),
          effect.on,
        );
      });
    }

    it(`${CONTROL_WORDS[key].name}: VM entry refuses every other bit, and every fixed bit that is 0`, () => {
      const bench = VmxBench.ready();
      const refused = (change: () => void, bit: number): void => {
        bench.restart();
        bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.ACTIVATE_SECONDARY_CONTROLS);
        change();
        assert.deepEqual(bench.launch(), { kind: 'done' });
        assert.equal(bench.state.rflags & 0x8d5n, ZF, `bit ${bit}`);
        assert.equal(bench.get('VM_INSTRUCTION_ERROR'), 7n, `bit ${bit}`);
      };
      for (let bit = 0; bit < 32; bit++) {
        const mask = 1n << BigInt(bit);
        if (((allowed1(key) >>> bit) & 1) === 0) refused(() => bench.or(WORD_FIELDS[key], mask), bit);
        if (((allowed0(key, true) >>> bit) & 1) === 1) refused(() => bench.clear(WORD_FIELDS[key], mask), bit);
      }
    });
  }
});
