import { strict as assert } from 'node:assert';
import { Rflags } from '../../emulator/arch/flags';
import { RAM_BASE, Segment, State } from '../../emulator/memory/layout';
import type { Instruction } from '../../emulator/isa/instruction';
import { Bench, GDT, HANDLER, instruction, KERNEL_CODE, KERNEL_DATA, STACK, USER_CODE, USER_DATA } from './harness';

const [RAX, RCX, RDX, RSP, R11] = [0, 1, 2, 4, 11];
const UD = HANDLER + 6n * 16n;

/** Runs one instruction; the vector and error code that it raised, or undefined. */
function raised(b: Bench, insn: Instruction): { vector: number; error: bigint } | undefined {
  const before = b.cpu.state.get64(State.RETIRED);
  b.run(insn);
  if (b.cpu.state.get64(State.RETIRED) !== before) return undefined;
  return { vector: Number(b.cpu.state.rip - HANDLER) / 16, error: b.read64(b.cpu.state.gpr(RSP)) };
}

describe('privileged instructions', () => {
  const privileged = [
    'hlt', 'clts', 'rdmsr', 'wrmsr', 'invd', 'wbinvd', 'lgdt', 'lidt', 'lldt', 'ltr', 'lmsw',
    'mov_to_cr', 'mov_from_cr', 'mov_to_dr', 'mov_from_dr', 'swapgs', 'sysret',
  ]; // prettier-ignore
  for (const name of privileged) {
    it(`${name} raises #GP(0) at CPL 3 and changes nothing`, () => {
      const b = new Bench().longMode().userMode();
      const cr0 = b.cpu.state.cr0;
      assert.deepEqual(raised(b, instruction(name)), { vector: 13, error: 0n });
      assert.equal(b.cpu.state.cr0, cr0);
    });
  }

  it('invlpg raises #UD for a register and #GP(0) at CPL 3', () => {
    assert.equal(raised(new Bench().longMode(), instruction('invlpg'))?.vector, 6);
    assert.equal(raised(new Bench().longMode().userMode(), instruction('invlpg', { isMemory: true }))?.vector, 13);
  });

  it('CLI and STI obey IOPL', () => {
    const b = new Bench().longMode().userMode();
    assert.equal(raised(b, instruction('cli'))?.vector, 13);
    const c = new Bench().longMode().userMode();
    c.cpu.state.rflags = 0x3202n;
    assert.equal(raised(c, instruction('cli')), undefined);
    assert.equal(c.cpu.state.rflags & Rflags.IF, 0n);
  });
});

describe('control registers', () => {
  const write = (b: Bench, number: number, value: bigint): number | undefined => {
    b.cpu.state.setGpr(RAX, value);
    return raised(b, instruction('mov_to_cr', { reg: number, rm: RAX, operandSize: 64 }))?.vector;
  };
  const long = (): Bench => new Bench().longMode();

  it('refuses illegal CR0 values', () => {
    assert.equal(write(long(), 0, 0x1_80000031n), 13, 'bits 63:32');
    assert.equal(write(long(), 0, 0x80000030n), 13, 'PG without PE');
    assert.equal(write(long(), 0, 0xa0000031n), 13, 'NW without CD');
    assert.equal(write(long(), 0, 0x31n), 13, 'leaving paging in 64-bit mode');
    const b = long();
    assert.equal(write(b, 0, 0x80010021n), undefined);
    assert.equal(b.cpu.state.cr0, 0x80010031n, 'ET is fixed');
  });

  it('refuses illegal CR4 and CR3 values', () => {
    assert.equal(write(long(), 4, 0n), 13, 'PAE in IA-32e mode');
    assert.equal(write(long(), 4, 0x20n | (1n << 12n)), 13, 'LA57 is not announced');
    assert.equal(write(long(), 4, 0x2020n), 13, 'VMXE without VT-x');
    assert.equal(write(long(), 4, 0x300030n), undefined);
    assert.equal(write(long(), 3, 1n << 39n), 13);
  });

  it('knows CR0, CR2, CR3, CR4 and CR8 only', () => {
    for (const number of [1, 5, 7, 9, 15]) assert.equal(write(long(), number, 0n), 6, `CR${number}`);
    assert.equal(write(long(), 8, 0x10n), 13);
    const b = long();
    assert.equal(write(b, 8, 7n), undefined);
  });

  it('enters IA-32e mode only with PAE, and compatibility mode first', () => {
    const b = new Bench().longMode();
    b.cpu.state.cr0 = 0x31n;
    b.cpu.state.efer = 0x100n;
    b.cpu.state.cr4 = 0n;
    b.cpu.state.setSegment(Segment.CS, { selector: 8, access: 0xc09b, limit: 0xffffffff, base: 0n });
    b.cpu.contextChanged();
    b.cpu.state.setGpr(RAX, 0x80000031n);
    b.run(instruction('mov_to_cr', { reg: 0 }));
    assert.equal(b.cpu.longMode, false);
    const c = new Bench().longMode();
    c.cpu.state.cr0 = 0x31n;
    c.cpu.state.efer = 0x100n;
    c.cpu.state.setSegment(Segment.CS, { selector: 8, access: 0xc09b, limit: 0xffffffff, base: 0n });
    c.cpu.contextChanged();
    c.cpu.state.setGpr(RAX, 0x80000031n);
    c.run(instruction('mov_to_cr', { reg: 0 }));
    assert.equal(c.cpu.longMode, true);
    assert.equal(c.cpu.codeSize, 32);
  });

  it('refuses PAE paging when a PDPTE has reserved bits, and loads all four otherwise', () => {
    const b = new Bench().protectedMode();
    b.cpu.state.cr4 = 0x20n;
    b.cpu.state.cr3 = 0x40020n;
    b.write64(0x40020, 0x50001n);
    b.write64(0x40038, 0x60003n);
    b.cpu.state.setGpr(RAX, 0x80000031n);
    assert.equal(raisedLegacy(b, instruction('mov_to_cr', { reg: 0, codeSize: 32 })), 13);
    b.write64(0x40038, 0x60001n);
    const c = b.cpu;
    c.state.rip = 0x8000n;
    b.run(instruction('mov_to_cr', { reg: 0, codeSize: 32 }));
    assert.deepEqual(
      [0, 8, 16, 24].map((at) => c.state.get64(State.PDPTE + at)),
      [0x50001n, 0n, 0n, 0x60001n],
    );
  });

  function raisedLegacy(b: Bench, insn: Instruction): number {
    b.run(insn);
    return Number(b.cpu.state.rip - HANDLER) / 16;
  }

  it('LMSW sets PE but never clears it; CLTS clears TS', () => {
    const b = long();
    b.cpu.state.setGpr(RAX, 0xen);
    b.run(instruction('lmsw'));
    assert.equal(b.cpu.state.cr0, 0x8001003fn);
    b.run(instruction('clts'));
    assert.equal(b.cpu.state.cr0, 0x80010037n);
  });
});

describe('model-specific registers and CPUID', () => {
  const rdmsr = (b: Bench, index: number): bigint | undefined => {
    b.cpu.state.setGpr(RCX, BigInt(index));
    if (raised(b, instruction('rdmsr'))) return undefined;
    return (b.cpu.state.gpr(RDX) << 32n) | b.cpu.state.gpr(RAX);
  };
  const wrmsr = (b: Bench, index: number, value: bigint): boolean => {
    b.cpu.state.setGpr(RCX, BigInt(index));
    b.cpu.state.setGpr(RAX, value & 0xffffffffn);
    b.cpu.state.setGpr(RDX, value >> 32n);
    return raised(b, instruction('wrmsr')) === undefined;
  };
  const long = (): Bench => new Bench().longMode();

  it('raises #GP for unknown registers and illegal values', () => {
    assert.equal(rdmsr(long(), 0x12345), undefined);
    assert.equal(rdmsr(long(), 0x480), undefined, 'no VMX capabilities without VT-x');
    assert.equal(wrmsr(long(), 0xc0000082, 0x8000_0000_0000_0000n), false, 'LSTAR must be canonical');
    assert.equal(wrmsr(long(), 0xc0000080, 0x2n), false, 'EFER reserved bit');
    assert.equal(wrmsr(long(), 0xc0000080, 0x800n), false, 'LME cannot change while paging is on');
    assert.equal(wrmsr(long(), 0x277, 0x0202020202020202n), false, 'PAT type 2');
    assert.equal(wrmsr(long(), 0x201, 0x400n), false, 'MTRR mask reserved bit');
    assert.equal(wrmsr(long(), 0xfe, 0n), false, 'MTRRCAP is read-only');
  });

  it('goes through the modes of the local APIC by IA32_APIC_BASE as the manual allows', () => {
    const values = { disabled: 0x100n, invalid: 0x500n, xapic: 0x900n, x2apic: 0xd00n } as const;
    const base = 0xfee00000n;
    const path = (...modes: (keyof typeof values)[]): boolean[] => {
      const b = long();
      assert.equal(rdmsr(b, 0x1b), base | 0x900n);
      return modes.map((mode) => wrmsr(b, 0x1b, base | values[mode]));
    };
    assert.deepEqual(path('xapic', 'x2apic', 'x2apic', 'xapic'), [true, true, true, false]);
    assert.deepEqual(path('x2apic', 'invalid', 'disabled', 'x2apic', 'xapic'), [true, false, true, false, true]);
    assert.deepEqual(path('invalid', 'disabled', 'disabled', 'invalid'), [false, true, true, false]);
    for (const bit of [0n, 7n, 9n, 39n, 63n])
      assert.equal(wrmsr(long(), 0x1b, base | 0x900n | (1n << bit)), false, `${bit}`);
    const b = long();
    assert.equal(wrmsr(b, 0x1b, 0xfed00800n), true);
    assert.equal(rdmsr(b, 0x1b), 0xfed00800n, 'the base moves; the BSP flag is read/write');
    assert.equal(rdmsr(b, 0x802), undefined, 'no x2APIC register in xAPIC mode');
  });

  it('keeps what is written', () => {
    const b = long();
    for (const [index, value] of [
      [0xc0000081, 0x0023_0010_0000_0000n], [0xc0000082, 0xffff_8000_1234_5678n], [0x277, 0x0007_0106_0007_0106n],
      [0x250, 0x0606060606060606n], [0x26f, 0x0505050505050505n], [0x200, 0x12345006n], [0x20f, 0x7f_ffff_f800n],
      [0x2ff, 0xc06n], [0xc0000101, 0xffff_9000_0000_0000n], [0xc0000103, 7n],
    ] as const) {
      assert.equal(wrmsr(b, index, value), true, index.toString(16));
      assert.equal(rdmsr(b, index), value, index.toString(16));
    } // prettier-ignore
    assert.equal(b.cpu.state.segmentBase(Segment.GS), 0xffff_9000_0000_0000n);
  });

  it('counts the time-stamp counter with the clock, and sets it by WRMSR and TSC_ADJUST', () => {
    const b = long();
    assert.equal(rdmsr(b, 0x10), 0n);
    assert.equal(wrmsr(b, 0x10, 0x1_0000_0000n), true);
    assert.equal(rdmsr(b, 0x10), 0x1_0000_0001n);
    assert.equal(rdmsr(b, 0x3b), 0xffff_ffffn);
  });

  it('announces what exists and nothing else', () => {
    const b = long();
    const cpuid = (leaf: bigint, subleaf = 0n): number[] => {
      b.cpu.state.setGpr(RAX, leaf);
      b.cpu.state.setGpr(RCX, subleaf);
      b.run(instruction('cpuid'));
      return [0, 3, 1, 2].map((register) => Number(b.cpu.state.gpr(register)));
    };
    const [maximum, ...vendor] = cpuid(0n);
    assert.equal(maximum, 0x16);
    assert.equal(Buffer.from(Uint32Array.from([vendor[0]!, vendor[2]!, vendor[1]!]).buffer).toString(), 'GenuineIntel');
    const [, , ecx, edx] = cpuid(1n) as [number, number, number, number];
    assert.equal(edx & 1, 0, 'no x87');
    assert.equal(edx & (1 << 25), 0, 'no SSE');
    assert.equal(ecx & (1 << 5), 0, 'VMX only with VT-x');
    assert.notEqual(edx & (1 << 9), 0, 'APIC');
    assert.equal(wrmsr(b, 0x1b, 0xfee00000n), true);
    assert.equal(cpuid(1n)[3]! & (1 << 9), 0, 'APIC disabled');
    assert.notEqual(cpuid(0x80000001n)[3]! & (1 << 29), 0, 'Intel 64');
    assert.equal(cpuid(0x80000008n)[0], 39 | (48 << 8));
    assert.deepEqual(cpuid(0x1234n), cpuid(0x16n), 'beyond the highest leaf');
    assert.deepEqual(cpuid(7n, 1n), [0, 0, 0, 0]);
    assert.deepEqual(cpuid(0x15n), [1, 1, 1_000_000_000, 0], 'time-stamp counter, crystal: a tick is a nanosecond');
  });
});

describe('IRET, SYSCALL and far transfers', () => {
  const frame = (b: Bench, ...words: bigint[]): void => {
    words.forEach((word, i) => b.write64(0x9000 + i * 8, word));
    b.cpu.state.setGpr(RSP, 0x9000n);
  };

  it('IRETQ goes to user mode, restores flags by privilege and drops inner segments', () => {
    const b = new Bench().longMode();
    frame(b, 0x1234n, BigInt(USER_CODE), 0x3202n, 0x7000n, BigInt(USER_DATA));
    b.run(instruction('iret', { operandSize: 64 }));
    const { state } = b.cpu;
    assert.equal(b.cpu.cpl, 3);
    assert.equal(state.rip, 0x1234n);
    assert.equal(state.gpr(RSP), 0x7000n);
    assert.equal(state.rflags, 0x3202n);
    assert.notEqual(state.segmentAccess(Segment.DS) & 0x10000, 0, 'DS with DPL 0 became null');
    frame(b, 0x5678n, BigInt(USER_CODE), 0x0002n, 0x7000n, BigInt(USER_DATA));
    state.rflags = 0x202n;
    b.run(instruction('iret', { operandSize: 64 }));
    assert.equal(state.rflags, 0x202n, 'IOPL and IF are not the user program’s');
  });

  it('IRET refuses an inner level, a null CS and a stack of the wrong level', () => {
    const cases: [bigint[], bigint][] = [
      [[0x1234n, BigInt(KERNEL_CODE), 2n, 0x7000n, BigInt(KERNEL_DATA)], 8n],
      [[0x1234n, 0n, 2n, 0x7000n, BigInt(USER_DATA)], 0n],
    ];
    for (const [words, error] of cases) {
      const b = new Bench().longMode().userMode();
      frame(b, ...words);
      assert.deepEqual(raised(b, instruction('iret', { operandSize: 64 })), { vector: 13, error });
    }
    const b = new Bench().longMode();
    frame(b, 0x1234n, BigInt(USER_CODE), 2n, 0x7000n, BigInt(KERNEL_DATA));
    assert.deepEqual(raised(b, instruction('iret', { operandSize: 64 })), { vector: 13, error: BigInt(KERNEL_DATA) });
  });

  it('IRETQ raises #GP when NT is set, and for a RIP that is not canonical', () => {
    const b = new Bench().longMode();
    b.cpu.state.rflags |= Rflags.NT;
    assert.equal(raised(b, instruction('iret', { operandSize: 64 }))?.vector, 13);
    const c = new Bench().longMode();
    frame(c, 1n << 63n, BigInt(KERNEL_CODE), 2n, 0x7000n, BigInt(KERNEL_DATA));
    assert.equal(raised(c, instruction('iret', { operandSize: 64 }))?.vector, 13);
  });

  it('SYSCALL and SYSRET change level, flags and segments as STAR and FMASK say', () => {
    const b = new Bench().longMode().userMode();
    const { state } = b.cpu;
    state.set64(State.STAR, 0x0013_0008_0000_0000n);
    state.set64(State.LSTAR, 0xffff_8000_0000_1000n);
    state.set64(State.FMASK, 0x300n);
    state.rflags = 0x246n;
    state.rip = 0x4000n;
    b.run(instruction('syscall'));
    assert.equal(b.cpu.cpl, 0);
    assert.equal(state.rip, 0xffff_8000_0000_1000n);
    assert.equal(state.gpr(RCX), 0x4002n);
    assert.equal(state.gpr(R11), 0x246n);
    assert.equal(state.rflags, 0x46n);
    assert.equal(state.segmentSelector(Segment.SS), 16);
    b.run(instruction('sysret', { operandSize: 64 }));
    assert.equal(b.cpu.cpl, 3);
    assert.equal(state.rip, 0x4002n);
    assert.equal(state.rflags, 0x246n);
    assert.equal(state.segmentSelector(Segment.CS), 0x23);
    assert.equal(state.segmentSelector(Segment.SS), 0x1b);
    assert.equal(b.cpu.codeSize, 64);
  });

  it('SYSCALL is undefined without EFER.SCE', () => {
    const b = new Bench().longMode();
    b.cpu.state.efer = 0xd00n;
    b.run(instruction('syscall'));
    assert.equal(b.cpu.state.rip, UD);
  });

  it('far jumps check the target', () => {
    const jump = (b: Bench, selector: number): number | undefined => {
      b.write64(0x7000, 0x5555n | (BigInt(selector) << 32n));
      return raised(b, instruction('jmp_far', { isMemory: true, displacement: 0x7000n }, ['Mp']))?.vector;
    };
    const b = new Bench().longMode();
    assert.equal(jump(b, KERNEL_CODE), undefined);
    assert.equal(b.cpu.state.rip, 0x5555n);
    assert.equal(jump(new Bench().longMode(), KERNEL_DATA), 13, 'no code segment');
    assert.equal(jump(new Bench().longMode(), USER_CODE), 13, 'another level');
    assert.equal(jump(new Bench().longMode(), 0), 13, 'null');
    assert.equal(jump(new Bench().longMode(), 0x100), 13, 'beyond the limit');
    const absent = new Bench().longMode();
    absent.write64(GDT + 0x38, 0x00af1a000000ffffn);
    absent.cpu.state.set32(State.GDTR + 8, 0x3f);
    assert.equal(jump(absent, 0x38), 11, 'not present');
  });

  it('calls through a gate to an inner level, and returns to the outer one', () => {
    const b = new Bench().longMode().userMode();
    const gate = 0x28 + 16;
    b.write64(GDT + gate, 0x0000_ec00_0008_6000n);
    b.write64(GDT + gate + 8, 0n);
    b.cpu.state.set32(State.GDTR + 8, gate + 15);
    b.write64(0x7000, BigInt(gate | 3) << 32n);
    b.run(instruction('call_far', { isMemory: true, displacement: 0x7000n, length: 3 }, ['Mp']));
    const { state } = b.cpu;
    assert.equal(b.cpu.cpl, 0);
    assert.equal(state.rip, 0x6000n);
    assert.equal(state.gpr(RSP), 0xa000n - 32n);
    assert.equal(b.read64(state.gpr(RSP)), 0x8003n);
    b.run(instruction('ret_far', { operandSize: 64 }));
    assert.equal(b.cpu.cpl, 3);
    assert.equal(state.rip, 0x8003n);
    assert.equal(state.gpr(RSP), STACK);
  });
});

describe('ports', () => {
  const log: string[] = [];
  const ports = {
    read: (port: number, size: number): number => {
      log.push(`in ${port.toString(16)} ${size}`);
      return 0x12345678;
    },
    write: (port: number, size: number, value: number): void =>
      void log.push(`out ${port.toString(16)} ${size} ${value.toString(16)}`),
  };
  beforeEach(() => void (log.length = 0));

  it('have the size of the operand and keep the rest of RAX', () => {
    const b = new Bench({ ports }).longMode();
    b.cpu.state.setGpr(RAX, 0xffff_ffff_ffff_ffffn);
    b.cpu.state.setGpr(RDX, 0x3f8n);
    b.run(instruction('in', {}, ['AL', 'DX']));
    assert.equal(b.cpu.state.gpr(RAX), 0xffff_ffff_ffff_ff78n);
    b.run(instruction('in', {}, ['eAX', 'DX']));
    assert.equal(b.cpu.state.gpr(RAX), 0x12345678n);
    b.run(instruction('out', { operandSize: 16, immediate: 0xfffffffffffffff4n }, ['Ib', 'eAX']));
    assert.deepEqual(log, ['in 3f8 1', 'in 3f8 4', 'out f4 2 5678']);
  });

  it('obey IOPL and the I/O permission bitmap', () => {
    const out = (set: (b: Bench) => void): number | undefined => {
      const b = new Bench({ ports }).longMode().userMode();
      set(b);
      b.cpu.state.setGpr(RDX, 0x43n);
      return raised(b, instruction('out', {}, ['DX', 'eAX']))?.vector;
    };
    const bitmap = (bits: number) => (b: Bench) => {
      const tr = b.cpu.state.segment(Segment.TR);
      b.cpu.state.setSegment(Segment.TR, { ...tr, limit: 0x68 + 16 });
      b.memory.view.setUint16(RAM_BASE + 0x3000 + 102, 0x68, true);
      b.memory.view.setUint16(RAM_BASE + 0x3000 + 0x68 + 8, bits, true);
    };
    assert.equal(
      out(() => undefined),
      13,
    );
    assert.equal(
      out((b) => (b.cpu.state.rflags = 0x3002n)),
      undefined,
    );
    assert.equal(out(bitmap(0)), undefined);
    assert.equal(out(bitmap(1 << 6)), 13, 'a bit of the last port');
    assert.equal(out(bitmap(1 << 7)), undefined);
  });

  it('REP OUTSB takes one iteration at a time and stays on the instruction', () => {
    const b = new Bench({ ports }).longMode();
    const { state } = b.cpu;
    b.write64(0x7000, 0x434241n);
    state.setGpr(RCX, 3n);
    state.setGpr(RDX, 0x3f8n);
    state.setGpr(6, 0x7000n);
    const outsb = instruction('outs', { rep: true, length: 2 }, ['DX', 'Xb']);
    b.run(outsb);
    assert.equal(state.rip, 0x8000n);
    assert.equal(state.gpr(RCX), 2n);
    b.run(outsb, outsb);
    assert.equal(state.rip, 0x8002n);
    assert.equal(state.gpr(6), 0x7003n);
    assert.deepEqual(log, ['out 3f8 1 41', 'out 3f8 1 42', 'out 3f8 1 43']);
    assert.equal(state.get64(State.RETIRED), 3n);
  });
});
