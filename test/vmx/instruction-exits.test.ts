import assert from 'node:assert/strict';
import { Primary, Secondary } from '../../emulator/arch/controls';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { Vector } from '../../emulator/arch/exceptions';
import { ExitKind } from '../../emulator/cpu/processor';
import type { Instruction } from '../../emulator/isa/instruction';
import { Segment } from '../../emulator/memory/layout';
import type { ExitRule } from '../../emulator/isa/row';
import { INSTRUCTION_EXITS } from '../../emulator/vmx';
import { BITMAP_A, BITMAP_B, enableEpt, HOST_RIP, instruction, OPERAND, VmxBench } from './bench';

/** A guest that runs, after `prepare` changed its VMCS. */
function guest(prepare: (bench: VmxBench) => void = () => undefined): VmxBench {
  const bench = VmxBench.ready();
  prepare(bench);
  bench.launch();
  assert.ok(bench.vmx.nonRoot, bench.failures[0]?.rule ?? 'the guest did not start');
  return bench;
}

const primary = (bits: number) => (bench: VmxBench) => bench.or('PRIMARY_PROCESSOR_CONTROLS', bits);
const secondary = (bits: number) => (bench: VmxBench) => {
  bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.ACTIVATE_SECONDARY_CONTROLS);
  bench.or('SECONDARY_PROCESSOR_CONTROLS', bits);
};
const insn = (
  rule: ExitRule,
  mnemonic: string,
  more: Partial<Instruction> = {},
  operands: string[] = [],
  helper = mnemonic.toLowerCase(),
) => instruction(mnemonic, helper, more, rule, operands);

interface Expected {
  readonly reason: number;
  readonly qualification?: bigint;
  readonly information?: number;
}

function exits(bench: VmxBench, executed: Instruction, expected: Expected): void {
  assert.equal(bench.vmx.instruction(executed), ExitKind.Taken);
  assert.equal(bench.get('EXIT_REASON'), BigInt(expected.reason));
  assert.equal(bench.get('EXIT_QUALIFICATION'), expected.qualification ?? 0n);
  assert.equal(bench.get('EXIT_INSTRUCTION_LENGTH'), BigInt(executed.length));
  assert.equal(bench.get('EXIT_INSTRUCTION_INFORMATION'), BigInt(expected.information ?? 0));
  assert.equal(bench.state.rip, HOST_RIP);
  assert.ok(bench.vmx.core.root);
}

const stays = (bench: VmxBench, executed: Instruction): void => {
  assert.equal(bench.vmx.instruction(executed), ExitKind.None);
  assert.ok(bench.vmx.nonRoot);
};

describe('instructions that exit unconditionally (SDM vol. 3, 26.1.2)', () => {
  for (const [mnemonic, reason] of [
    ['CPUID', ExitReason.CPUID],
    ['INVD', ExitReason.INVD],
    ['XSETBV', ExitReason.XSETBV],
    ['VMCALL', ExitReason.VMCALL],
  ] as const)
    it(mnemonic, () => exits(guest(), insn(mnemonic, mnemonic), { reason }));

  for (const mnemonic of ['VMLAUNCH', 'VMRESUME', 'VMXOFF'] as const)
    it(mnemonic, () => exits(guest(), insn('VMX', mnemonic), { reason: ExitReason[mnemonic] }));

  for (const mnemonic of ['VMCLEAR', 'VMPTRLD', 'VMPTRST', 'VMXON'] as const)
    it(`${mnemonic}: displacement and memory operand`, () => {
      const operand = { isMemory: true, base: 3, index: 6, scale: 2, displacement: -8n, segment: Segment.SS };
      const information = 2 | (2 << 7) | (2 << 15) | (6 << 18) | (3 << 23);
      const qualification = BigInt.asUintN(64, -8n);
      exits(guest(), insn('VMX', mnemonic, operand), { reason: ExitReason[mnemonic], qualification, information });
    });

  it('VMREAD to a register: both registers', () => {
    const information = ((1 << 10) | (5 << 3) | (9 << 28)) >>> 0;
    exits(guest(), insn('VMX', 'VMREAD', { reg: 9, rm: 5 }), { reason: ExitReason.VMREAD, information });
  });

  it('VMWRITE from memory without base and index, RIP-relative', () => {
    const operand = { isMemory: true, ripRelative: true, displacement: 0x100n, reg: 1, length: 7 };
    const information = ((2 << 7) | (3 << 15) | (1 << 22) | (1 << 27) | (1 << 28)) >>> 0;
    exits(guest(), insn('VMX', 'VMWRITE', operand), {
      reason: ExitReason.VMWRITE,
      qualification: 0x1234n + 7n + 0x100n,
      information,
    });
  });

  it('INVEPT and INVVPID: the register operand too', () => {
    const operand = { isMemory: true, base: 0, displacement: 0n, reg: 11 };
    const information = ((2 << 7) | (3 << 15) | (1 << 22) | (11 << 28)) >>> 0;
    exits(guest(), insn('VMX', 'INVEPT', operand), { reason: ExitReason.INVEPT, information });
    exits(guest(), insn('VMX', 'INVVPID', operand), { reason: ExitReason.INVVPID, information });
  });

  it('VMX instructions exit at CPL 3 too, but not in compatibility mode, where they are undefined', () => {
    const user = guest();
    user.state.setSegment(Segment.SS, { selector: 19, access: 0xc0f3, limit: 0xffffffff, base: 0n });
    assert.deepEqual(user.simple('VMRESUME'), { kind: 'exit' });
    const compatibility = guest();
    compatibility.state.setSegment(Segment.CS, { selector: 8, access: 0xc09b, limit: 0xffffffff, base: 0n });
    assert.deepEqual(compatibility.simple('VMRESUME'), { kind: 'fault', vector: Vector.UD, errorCode: undefined });
  });
});

describe('instructions that exit by a control (SDM vol. 3, 26.1.3)', () => {
  for (const [rule, control, reason] of [
    ['HLT', Primary.HLT_EXITING, ExitReason.HLT],
    ['MWAIT', Primary.MWAIT_EXITING, ExitReason.MWAIT],
    ['MONITOR', Primary.MONITOR_EXITING, ExitReason.MONITOR],
    ['RDPMC', Primary.RDPMC_EXITING, ExitReason.RDPMC],
    ['RDTSC', Primary.RDTSC_EXITING, ExitReason.RDTSC],
    ['PAUSE', Primary.PAUSE_EXITING, ExitReason.PAUSE],
  ] as const)
    it(rule, () => {
      stays(guest(), insn(rule, rule));
      exits(guest(primary(control)), insn(rule, rule), { reason });
    });

  it('WBINVD', () => {
    stays(guest(), insn('WBINVD', 'WBINVD'));
    exits(guest(secondary(Secondary.WBINVD_EXITING)), insn('WBINVD', 'WBINVD'), { reason: ExitReason.WBINVD });
  });

  it('secondary controls count as 0 when they are not activated', () => {
    const bench = guest((b) => b.or('SECONDARY_PROCESSOR_CONTROLS', Secondary.WBINVD_EXITING));
    stays(bench, insn('WBINVD', 'WBINVD'));
  });

  it('RDTSCP is undefined without "enable RDTSCP", and exits by RDTSC exiting', () => {
    assert.ok(guest().vmx.undefines(insn('RDTSCP', 'RDTSCP')));
    assert.ok(!guest(secondary(Secondary.ENABLE_RDTSCP)).vmx.undefines(insn('RDTSCP', 'RDTSCP')));
    stays(guest(secondary(Secondary.ENABLE_RDTSCP)), insn('RDTSCP', 'RDTSCP'));
    const both = guest((b) => {
      secondary(Secondary.ENABLE_RDTSCP)(b);
      primary(Primary.RDTSC_EXITING)(b);
    });
    exits(both, insn('RDTSCP', 'RDTSCP'), { reason: ExitReason.RDTSCP });
  });

  it('INVLPG: the linear address, with the base of FS only', () => {
    const operand = { isMemory: true, base: 0, displacement: 0x10n };
    stays(guest(), insn('INVLPG', 'INVLPG', operand));
    const bench = guest(primary(Primary.INVLPG_EXITING));
    bench.state.setGpr(0, 0x7000n);
    exits(bench, insn('INVLPG', 'INVLPG', operand), { reason: ExitReason.INVLPG, qualification: 0x7010n });
    const fs = guest((b) => {
      primary(Primary.INVLPG_EXITING)(b);
      b.set('GUEST_FS_BASE', 0x10_0000);
      b.set('GUEST_DS_BASE', 0x20_0000);
    });
    fs.state.setGpr(0, 0x7000n);
    exits(fs, insn('INVLPG', 'INVLPG', { ...operand, segment: Segment.FS }), {
      reason: ExitReason.INVLPG,
      qualification: 0x10_7010n,
    });
  });

  it('descriptor-table exiting: LGDT and the like, LLDT and the like', () => {
    const lidt = insn('GDTR_IDTR', 'LIDT', { isMemory: true, base: 4, displacement: 8n, segment: Segment.SS });
    stays(guest(), lidt);
    const bench = guest(secondary(Secondary.DESCRIPTOR_TABLE_EXITING));
    const information = ((2 << 7) | (1 << 11) | (2 << 15) | (1 << 22) | (4 << 23) | (3 << 28)) >>> 0;
    exits(bench, lidt, { reason: ExitReason.GDTR_IDTR_ACCESS, qualification: 8n, information });
    const str = insn('LDTR_TR', 'STR', { rm: 6 });
    exits(guest(secondary(Secondary.DESCRIPTOR_TABLE_EXITING)), str, {
      reason: ExitReason.LDTR_TR_ACCESS,
      information: (1 << 10) | (6 << 3) | (1 << 28),
    });
  });

  it('MOV DR: register, direction, general register', () => {
    const read = insn('MOV_DR', 'MOV', { reg: 7, rm: 10 }, [], 'mov_from_dr');
    stays(guest(), read);
    exits(guest(primary(Primary.MOV_DR_EXITING)), read, { reason: ExitReason.MOV_DR, qualification: 0xa17n });
    const write = insn('MOV_DR', 'MOV', { reg: 0, rm: 2 }, [], 'mov_to_dr');
    exits(guest(primary(Primary.MOV_DR_EXITING)), write, { reason: ExitReason.MOV_DR, qualification: 0x200n });
  });

  it('PAUSE-loop exiting: only at CPL 0, only after PLE_Window, and a gap begins a new loop', () => {
    const bench = guest((b) => {
      secondary(Secondary.PAUSE_LOOP_EXITING)(b);
      b.set('PLE_GAP', 10);
      b.set('PLE_WINDOW', 25);
    });
    const pause = insn('PAUSE', 'PAUSE');
    const at = (time: bigint) => bench.state.set64(0x138, time);
    for (const time of [100n, 110n, 120n, 125n]) {
      at(time);
      stays(bench, pause);
    }
    at(140n);
    stays(bench, pause);
    for (const time of [150n, 160n]) {
      at(time);
      stays(bench, pause);
    }
    at(166n);
    exits(bench, pause, { reason: ExitReason.PAUSE });
  });
});

describe('MSR bitmaps (SDM vol. 3, 25.6.9)', () => {
  const rdmsr = insn('RDMSR', 'RDMSR');
  const wrmsr = insn('WRMSR', 'WRMSR');
  const withBitmaps = (bench: VmxBench) => {
    primary(Primary.USE_MSR_BITMAPS)(bench);
    bench.set('MSR_BITMAPS', BITMAP_A);
  };

  it('without them every RDMSR and WRMSR exits', () => {
    exits(guest(), rdmsr, { reason: ExitReason.RDMSR });
    exits(guest(), wrmsr, { reason: ExitReason.WRMSR });
  });

  for (const [what, index, byte, bit, write] of [
    ['low, read', 0x1fff, 0x3ff, 7, false],
    ['high, read', 0xc000_0080, 0x400 + 0x10, 0, false],
    ['low, write', 0x10, 0x800 + 2, 0, true],
    ['high, write', 0xc000_0102, 0xc00 + 0x20, 2, true],
  ] as const)
    it(`${what}: MSR 0x${index.toString(16)}`, () => {
      const executed = write ? wrmsr : rdmsr;
      const other = write ? rdmsr : wrmsr;
      const bench = guest(withBitmaps);
      bench.state.setGpr(1, 0xffff_ffff_0000_0000n | BigInt(index));
      stays(bench, executed);
      bench.physical.write((BITMAP_A + BigInt(byte)) as never, 1, 1n << BigInt(bit));
      stays(bench, other);
      exits(bench, executed, { reason: write ? ExitReason.WRMSR : ExitReason.RDMSR });
    });

  it('do not cover other MSRs: they exit', () => {
    for (const index of [0x2000n, 0x8000_0000n, 0xc000_2000n]) {
      const bench = guest(withBitmaps);
      bench.state.setGpr(1, index);
      exits(bench, rdmsr, { reason: ExitReason.RDMSR });
    }
  });
});

describe('I/O bitmaps (SDM vol. 3, 25.6.4)', () => {
  const outImmediate = insn('IO', 'OUT', { immediate: 0x80n, operandSize: 32 }, ['Ib', 'AL'], 'out');
  const inDx = insn('IO', 'IN', { operandSize: 32 }, ['eAX', 'DX'], 'in');
  const withBitmaps = (bench: VmxBench) => {
    primary(Primary.USE_IO_BITMAPS | Primary.UNCONDITIONAL_IO_EXITING)(bench);
    bench.set('IO_BITMAP_A', BITMAP_A);
    bench.set('IO_BITMAP_B', BITMAP_B);
  };

  it('without them unconditional I/O exiting decides', () => {
    stays(guest(), outImmediate);
    exits(guest(primary(Primary.UNCONDITIONAL_IO_EXITING)), outImmediate, {
      reason: ExitReason.IO_INSTRUCTION,
      qualification: 0x80_0040n,
    });
  });

  it('override unconditional I/O exiting, and count every port of an access', () => {
    const bench = guest(withBitmaps);
    bench.state.setGpr(2, 0x7ffdn);
    stays(bench, inDx);
    bench.physical.write((BITMAP_B + 0n) as never, 1, 1n);
    exits(bench, inDx, { reason: ExitReason.IO_INSTRUCTION, qualification: 0x7ffd_000bn });
  });

  it('an access that wraps around the port space exits', () => {
    const bench = guest(withBitmaps);
    bench.state.setGpr(2, 0xfffen);
    exits(bench, inDx, { reason: ExitReason.IO_INSTRUCTION, qualification: 0xfffe_000bn });
  });

  it('string I/O: REP, linear address, address size and segment', () => {
    const bench = guest(primary(Primary.UNCONDITIONAL_IO_EXITING));
    bench.state.setGpr(2, 0x1f0n);
    bench.state.setGpr(6, 0x1_2345_6789n);
    const outs = insn('IO', 'OUTSD', { operandSize: 32, addressSize: 32, rep: true }, ['DX', 'Xv'], 'outs');
    exits(bench, outs, {
      reason: ExitReason.IO_INSTRUCTION,
      qualification: 0x1f0_0033n,
      information: (1 << 7) | (3 << 15),
    });
    assert.equal(bench.get('GUEST_LINEAR_ADDRESS'), 0x2345_6789n);
  });
});

describe('control registers (SDM vol. 3, 26.1.3 and 25.6.6)', () => {
  const toCr = (register: number, rm = 0) => insn('MOV_TO_CR', 'MOV', { reg: register, rm }, [], 'mov_to_cr');
  const fromCr = (register: number) => insn('MOV_FROM_CR', 'MOV', { reg: register, rm: 3 }, [], 'mov_from_cr');
  const masked = (bench: VmxBench) => {
    bench.set('CR0_GUEST_HOST_MASK', 0x8000_0008);
    bench.set('CR0_READ_SHADOW', 0x8000_0000);
    bench.set('CR4_GUEST_HOST_MASK', 0x2000);
    bench.set('CR4_READ_SHADOW', 0);
  };

  it('MOV to CR0 and CR4 exit when an owned bit differs from the read shadow', () => {
    const bench = guest(masked);
    bench.state.setGpr(0, 0x8000_0033n);
    stays(bench, toCr(0));
    bench.state.setGpr(0, 0x8000_003bn);
    exits(bench, toCr(0), { reason: ExitReason.CR_ACCESS, qualification: 0n });
    const cr4 = guest(masked);
    cr4.state.setGpr(9, 0x20n);
    stays(cr4, toCr(4, 9));
    cr4.state.setGpr(9, 0x2020n);
    exits(cr4, toCr(4, 9), { reason: ExitReason.CR_ACCESS, qualification: 0x904n });
  });

  it('owned bits read from the shadow and keep their value when written', () => {
    const bench = guest(masked);
    assert.equal(bench.vmx.readCr0(), bench.state.cr0 & ~8n);
    assert.equal(bench.vmx.readCr4(), bench.state.cr4 & ~0x2000n);
    assert.equal(bench.vmx.ownedCr4(0n), 0x2000n);
    assert.equal(bench.vmx.ownedCr0(0x3bn), 0x8000_0033n);
  });

  it('MOV to CR3 exits unless the value is one of the counted targets', () => {
    stays(guest(), toCr(3));
    const bench = guest((b) => {
      primary(Primary.CR3_LOAD_EXITING)(b);
      b.set('CR3_TARGET_COUNT', 1);
      b.set('CR3_TARGET_VALUE_0', 0x5000);
      b.set('CR3_TARGET_VALUE_1', 0x6000);
    });
    bench.state.setGpr(0, 0x5000n);
    stays(bench, toCr(3));
    bench.state.setGpr(0, 0x6000n);
    exits(bench, toCr(3), { reason: ExitReason.CR_ACCESS, qualification: 3n });
  });

  it('MOV from CR3, MOV to and from CR8 exit by their controls; MOV from CR0 never does', () => {
    for (const [control, executed, qualification] of [
      [Primary.CR3_STORE_EXITING, fromCr(3), 0x313n],
      [Primary.CR8_STORE_EXITING, fromCr(8), 0x318n],
      [Primary.CR8_LOAD_EXITING, toCr(8, 5), 0x508n],
    ] as const) {
      stays(guest(), executed);
      exits(guest(primary(control)), executed, { reason: ExitReason.CR_ACCESS, qualification });
    }
    stays(guest(primary(Primary.CR3_STORE_EXITING | Primary.CR8_STORE_EXITING)), fromCr(0));
  });

  it('CLTS exits when mask and shadow both have TS', () => {
    const clts = insn('CLTS', 'CLTS');
    stays(guest(masked), clts);
    const bench = guest((b) => {
      masked(b);
      b.or('CR0_READ_SHADOW', 8);
    });
    exits(bench, clts, { reason: ExitReason.CR_ACCESS, qualification: 0x20n });
  });

  it('LMSW exits for owned bits that differ, for PE only when it is set', () => {
    const lmsw = insn('LMSW', 'LMSW', { rm: 0 });
    const bench = guest(masked);
    bench.state.setGpr(0, 0x7n);
    stays(bench, lmsw);
    bench.state.setGpr(0, 0x9n);
    exits(bench, lmsw, { reason: ExitReason.CR_ACCESS, qualification: 0x0009_0030n });
    const pe = guest((b) => {
      b.set('CR0_GUEST_HOST_MASK', 1);
      b.set('CR0_READ_SHADOW', 0);
    });
    pe.state.setGpr(0, 0n);
    stays(pe, lmsw);
    pe.state.setGpr(0, 1n);
    exits(pe, lmsw, { reason: ExitReason.CR_ACCESS, qualification: 0x0001_0030n });
  });

  it('LMSW from memory tells the linear address', () => {
    const bench = guest(masked);
    bench.write64(OPERAND, 8n);
    exits(bench, insn('LMSW', 'LMSW', { isMemory: true, displacement: OPERAND }), {
      reason: ExitReason.CR_ACCESS,
      qualification: 0x0008_0070n,
    });
    assert.equal(bench.get('GUEST_LINEAR_ADDRESS'), OPERAND);
  });

  it('fixed bits hold in VMX operation, PE and PG are free with "unrestricted guest"', () => {
    const bench = guest();
    assert.ok(!bench.vmx.fixedCr0(0x20n));
    assert.ok(!bench.vmx.fixedCr4(0x20n));
    const unrestricted = guest((b) => enableEpt(b, Secondary.UNRESTRICTED_GUEST));
    assert.ok(unrestricted.vmx.fixedCr0(0x20n));
    assert.ok(!unrestricted.vmx.fixedCr0(0n));
    assert.ok(new VmxBench().vmx.fixedCr0(0n));
  });
});

describe('the table of instruction exits', () => {
  it('exits for GETSEC when CR4.SMXE is 1, and leaves #UD to the instruction otherwise', () => {
    const { core } = guest().vmx;
    const { state } = core.cpu;
    assert.equal(INSTRUCTION_EXITS.GETSEC.exits(core, insn('GETSEC', 'GETSEC')), false);
    state.cr4 |= 0x4000n;
    assert.equal(INSTRUCTION_EXITS.GETSEC.exits(core, insn('GETSEC', 'GETSEC')), true);
    assert.equal(core.exit.reason, 11);
  });

  it('never exits outside what a control or the manual decides', () => {
    for (const rule of ['SMSW', 'XSAVES', 'TASK_SWITCH', 'RSM'] as const) {
      assert.equal(INSTRUCTION_EXITS[rule].exits(guest().vmx.core, insn(rule, rule)), false);
    }
  });
});
