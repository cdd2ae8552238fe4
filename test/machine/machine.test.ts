import { strict as assert } from 'node:assert';
import { MachineError, type Machine } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';
import { elfImage } from './elf-image';

const BASE = 0x200000;
const OUT_EXIT = [0xe7, 0xf4]; // out %eax, $0xf4

/** A machine with these bytes as 64-bit code at BASE, in the state of a plain ELF64 image. */
function machineWith(code: readonly number[], memory = 4): Machine {
  const bytes = elfImage({ entry: BASE, segments: [{ paddr: BASE, bytes: code }] });
  return createMachine({
    memory,
    kernel: { name: 'test.elf', bytes },
    modules: [],
    commandLine: '',
    translator: false,
  });
}

const registers = (machine: Machine) => machine.vcpus[0]!.registers;
const read = (machine: Machine, name: string) => registers(machine).read(name);
const physical = (machine: Machine) => ({ ...machine.running(0).space, kind: 'host-physical' as const });

describe('machine: run', () => {
  // xor %eax,%eax; 1: inc %eax; jmp 1b
  const COUNT = [0x31, 0xc0, 0xff, 0xc0, 0xeb, 0xfc];

  it('retires exactly as many instructions as asked for', () => {
    const machine = machineWith(COUNT);
    for (const limit of [1, 1, 7, 1000, 3_000_000]) assert.deepEqual(machine.run(limit), { why: 'limit' });
    assert.equal(machine.instructions, 3_001_009);
    assert.equal(read(machine, 'rax'), 1_500_504n);
    assert.equal(read(machine, 'rip'), BigInt(BASE + 2));
  });

  it('stops before a breakpoint, and steps over it', () => {
    const machine = machineWith(COUNT);
    machine.setBreakpoints(new Set([BigInt(BASE + 4)]));
    const hit = { why: 'breakpoint', vcpu: 0, linear: BigInt(BASE + 4) };
    assert.deepEqual(machine.run(100), hit);
    assert.equal(machine.instructions, 2);
    assert.deepEqual(machine.run(100), hit, 'without stepping over it stays');
    assert.equal(machine.instructions, 2);
    assert.deepEqual(machine.run(100, true), hit);
    assert.equal(machine.instructions, 4);
    machine.setBreakpoints(new Set());
    assert.deepEqual(machine.run(100), { why: 'limit' });
    assert.equal(machine.instructions, 104);
  });

  it('stops at the boundary when a listener asks for it', () => {
    // mov $0x3f8,%edx; 1: out %al,(%dx); inc %ecx; jmp 1b
    const machine = machineWith([0xba, 0xf8, 0x03, 0, 0, 0xee, 0xff, 0xc1, 0xeb, 0xfb]);
    let bytes = 0;
    machine.onSerial(() => {
      if (++bytes === 3) machine.requestStop();
    });
    assert.deepEqual(machine.run(1000), { why: 'requested' });
    assert.equal(bytes, 3);
    assert.equal(read(machine, 'rip'), BigInt(BASE + 6));
    assert.equal(read(machine, 'rcx'), 2n);
  });

  it('ends with the value written to the exit port, for good', () => {
    const machine = machineWith([0xb8, 0x2a, 0, 0, 0, ...OUT_EXIT, 0x0f, 0x0b]);
    const ended = { why: 'ended', outcome: { kind: 'exit-port', code: 42 } };
    assert.deepEqual(machine.run(100), ended);
    assert.deepEqual(machine.run(100), ended);
    assert.equal(machine.instructions, 2);
  });

  it('explains a triple fault', () => {
    const result = machineWith([0x31, 0xc9, 0xf7, 0xf1]).run(100); // xor %ecx,%ecx; div %ecx
    assert.ok(result.why === 'ended' && result.outcome.kind === 'triple-fault');
    const { description } = result.outcome;
    assert.match(description, /triple fault at .*0x200002/);
    assert.match(description, /#DE/);
    assert.match(description, /IDT at 0x0/);
  });

  it('says when HLT can never end', () => {
    const result = machineWith([0xfa, 0xf4]).run(100); // cli; hlt
    assert.deepEqual(result, { why: 'ended', outcome: { kind: 'halted-forever', vcpu: 0 } });
  });

  it('returns from a program that faults for ever', () => {
    // An IDT whose #UD handler is the UD2 itself, a page fault and more: gate 6 -> BASE + 17.
    const gate = [0x11, 0, 0x08, 0, 0, 0x8e, 0x20, 0];
    const table = [...Array<number>(6 * 16).fill(0), ...gate, 0, 0, 0, 0, 0, 0, 0, 0];
    const code = [0x0f, 0x01, 0x1c, 0x25, 0x40, 0, 0x20, 0, 0xbc, 0, 0, 0x30, 0, 0x90, 0x90, 0x90, 0x90];
    const image = [...code, 0xbc, 0, 0, 0x30, 0, 0x0f, 0x0b]; // handler: mov $0x300000,%esp; ud2
    while (image.length < 0x40) image.push(0);
    image.push(0xff, 0, 0x50, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...table);
    const machine = machineWith(image);
    assert.deepEqual(machine.run(1000), { why: 'limit' });
    assert.ok(machine.instructions > 100 && machine.instructions <= 1000);
  });

  it('refuses RAM sizes that cannot be', () => {
    const kernel = { name: 'k', bytes: new Uint8Array() };
    for (const memory of [0, 0.5, 4000]) {
      assert.throws(
        () => createMachine({ memory, kernel, modules: [], commandLine: '', translator: false }),
        (error) => error instanceof MachineError && /from 1 to 3072/.test(error.message),
      );
    }
  });
});

describe('machine: registers and memory', () => {
  const NOPS = [0x90, 0x90, 0x90, 0x90];

  it('reads and writes registers by name', () => {
    const machine = machineWith(NOPS);
    assert.equal(read(machine, 'cs'), 8n);
    assert.equal(read(machine, 'efer'), 0x500n);
    assert.ok(registers(machine).write('r13', 0x1234n));
    assert.ok(registers(machine).write('rflags', 0xad7n));
    assert.ok(registers(machine).write('rip', BigInt(BASE + 2)));
    assert.equal(registers(machine).write('nonsense', 1n), false);
    assert.equal(read(machine, 'nonsense'), undefined);
    machine.run(1);
    assert.equal(read(machine, 'rip'), BigInt(BASE + 3));
    assert.equal(read(machine, 'r13'), 0x1234n);
    assert.equal(read(machine, 'rflags'), 0xad7n);
    for (const name of registers(machine).names()) assert.equal(typeof read(machine, name), 'bigint', name);
  });

  it('keeps code coherent with what a debugger writes', () => {
    const machine = machineWith([0xff, 0xc0, 0xeb, 0xfc]); // 1: inc %eax; jmp 1b
    machine.run(10);
    const space = machine.running(0).space;
    assert.equal(machine.writeMemory(space, BigInt(BASE), Uint8Array.of(0xff, 0xc8)), 2); // dec %eax
    machine.run(10);
    assert.equal(read(machine, 'rax'), 0n);
  });

  it('ends a read where RAM or the mapping ends', () => {
    const machine = machineWith(NOPS);
    assert.equal(machine.readMemory(physical(machine), 0x400000n - 8n, 100).length, 8);
    assert.equal(machine.readMemory(machine.running(0).space, 0x1_0000_0000n, 4).length, 0);
    assert.equal(machine.writeMemory(physical(machine), 0x400000n - 2n, Uint8Array.of(1, 2, 3)), 2);
    const across = machine.readMemory(machine.running(0).space, BigInt(BASE) - 4096n, 8192);
    assert.equal(across.length, 8192);
    assert.equal(across[4096], 0x90);
  });

  it('shows every step of a translation and changes no flag', () => {
    const machine = machineWith(NOPS);
    const { space } = machine.running(0);
    const before = machine.stateHash();
    const walk = machine.walk(space, BigInt(BASE + 5));
    assert.deepEqual(
      walk.steps.map((step) => [step.name, step.level]),
      [
        ['PML4E', 4],
        ['PDPTE', 3],
        ['PDE', 2],
      ],
    );
    assert.equal(walk.hostPhysical, BigInt(BASE + 5));
    assert.ok(walk.steps[2]!.flags.includes('2-MByte page'));
    assert.equal(machine.walk(space, 1n << 33n).failure, 'linear 0x200000000: not present');
    assert.match(machine.walk(space, 1n << 47n).failure ?? '', /not canonical/);
    assert.equal(machine.stateHash(), before);
  });

  it('decodes at an address', () => {
    const machine = machineWith([0xff, 0xc0]);
    const insn = machine.decode(machine.running(0).space, BigInt(BASE));
    assert.equal(insn?.row.mnemonic, 'INC');
    assert.equal(insn?.length, 2);
  });

  it('has one context before VMX operation', () => {
    const machine = machineWith(NOPS);
    assert.equal(machine.contexts.length, 1);
    const context = machine.running(0);
    assert.deepEqual([context.root, context.vmcs, context.lastLeft], [true, undefined, undefined]);
    assert.deepEqual(machine.interrupted(0), []);
  });
});

describe('machine: state hash', () => {
  const COUNT = [0xff, 0xc0, 0xeb, 0xfc];

  it('is equal for equal machines and differs in one bit of RAM, a register or a device', () => {
    const [a, b] = [machineWith(COUNT), machineWith(COUNT)];
    for (const machine of [a, b]) machine.run(1000);
    const hash = a.stateHash();
    assert.match(hash, /^[0-9a-f]{64}$/);
    assert.equal(b.stateHash(), hash);
    b.writeMemory(physical(b), 0x300000n, Uint8Array.of(1));
    assert.notEqual(b.stateHash(), hash);
    b.writeMemory(physical(b), 0x300000n, Uint8Array.of(0));
    assert.equal(b.stateHash(), hash, 'a page that became zero again is as one that never was written');
    registers(b).write('r9', 1n);
    assert.notEqual(b.stateHash(), hash);
    registers(b).write('r9', 0n);
    b.serialInput(Uint8Array.of(65));
    assert.notEqual(b.stateHash(), hash);
  });
});

describe('machine: where a run ends', () => {
  /** Cached translations of the only vCPU, in words */
  const cached = (machine: Machine): number => machine.saveState().vcpus[0]?.tlb.length ?? 0;

  for (const [name, jump] of [
    ['jmp rel32', [0xe9, 0xfb, 0x0f, 0x00, 0x00]],
    ['jmp rax', [0x48, 0x81, 0xc0, 0x00, 0x10, 0x00, 0x00, 0xff, 0xe0]],
    ['jmp rcx, far ahead', [0x48, 0x81, 0xc1, 0x00, 0x30, 0x00, 0x00, 0xff, 0xe1]],
  ] as const) {
    it(`fetches nothing of what is not executed yet: ${name}`, () => {
      const machine = machineWith(jump);
      const rip = registers(machine).read('rip')!;
      for (const register of ['rax', 'rcx']) registers(machine).write(register, rip & ~0xfffn);
      machine.writeMemory(machine.running(0).space, (rip & ~0xfffn) + 0x1000n, Uint8Array.of(0x90, 0x90));
      machine.writeMemory(machine.running(0).space, (rip & ~0xfffn) + 0x3000n, Uint8Array.of(0x90, 0x90));
      if (jump.length > 5) machine.run(1);
      const page = (): bigint => registers(machine).read('rip')! >> 12n;
      const before = [page(), cached(machine)] as const;
      machine.run(1);
      assert.notEqual(page(), before[0]);
      if (jump.length > 5) assert.equal(cached(machine), before[1]);
      const there = cached(machine);
      machine.run(1);
      assert.ok(cached(machine) > there, 'the next instruction is fetched');
    });
  }
});
