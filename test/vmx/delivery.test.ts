import assert from 'node:assert/strict';
import { Entry, Pin, Primary, Secondary } from '../../emulator/arch/controls';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { Vector } from '../../emulator/arch/exceptions';
import { interruptionInformation, InterruptionType } from '../../emulator/arch/interruption';
import { State } from '../../emulator/memory/layout';
import { enableEpt, EPT_ROOT, type VmxBench } from './bench';
import { CODE, GuestBench, IDT, STACK } from './guest-code';

const NMI_BLOCKING = 8;
const UNBLOCKING = 1n << 12n;
const IRETQ = [0x48, 0xcf];
const STI = 0xfb;
const VMCALL = [0x0f, 0x01, 0xc1];
const ALL = 0xffff_ffff;

/** An EPT of 4-KByte pages that maps 1 MByte identically but for one page */
function withoutPage(bench: VmxBench, page: bigint): void {
  enableEpt(bench);
  const [pdpt, directory, table] = [
    EPT_ROOT + 0x1_0000n * 10n,
    EPT_ROOT + 0x1_0000n * 10n + 0x1000n,
    EPT_ROOT + 0x1_0000n * 10n + 0x2000n,
  ];
  bench.write64(EPT_ROOT, pdpt | 7n);
  bench.write64(pdpt, directory | 7n);
  bench.write64(directory, table | 7n);
  for (let i = 0n; i < 256n; i++) bench.write64(table + i * 8n, i === page >> 12n ? 0n : (i << 12n) | 0x37n);
}

const information = (bench: VmxBench): bigint => bench.get('EXIT_INTERRUPTION_INFORMATION');

describe('NMI unblocking due to IRET (SDM vol. 3, 26.3 and 28.2.2)', () => {
  /** IRET to a null CS, with NMIs blocked before it: #GP(0). */
  const faulting = (prepare: (bench: VmxBench) => void): GuestBench =>
    new GuestBench(IRETQ, (bench) => {
      bench.set('GUEST_INTERRUPTIBILITY', NMI_BLOCKING);
      bench.set('EXCEPTION_BITMAP', ALL);
      prepare(bench);
    });

  for (const [name, pin, unblocked] of [
    ['without "NMI exiting"', 0, true],
    ['with "virtual NMIs"', Pin.NMI_EXITING | Pin.VIRTUAL_NMIS, true],
    ['with "NMI exiting" alone, where IRET unblocks nothing', Pin.NMI_EXITING, false],
  ] as const)
    it(`a fault of IRET, ${name}`, () => {
      const g = faulting((bench) => bench.or('PIN_BASED_CONTROLS', pin));
      assert.equal(g.enter(), ExitReason.EXCEPTION_OR_NMI);
      assert.equal(information(g.bench) & 0xffn, BigInt(Vector.GP));
      assert.equal((information(g.bench) & UNBLOCKING) !== 0n, unblocked);
      assert.equal(g.bench.get('GUEST_INTERRUPTIBILITY'), unblocked ? 0n : 8n);
    });

  it('not when nothing was blocked', () => {
    const g = faulting((bench) => bench.set('GUEST_INTERRUPTIBILITY', 0));
    g.enter();
    assert.equal(information(g.bench) & UNBLOCKING, 0n);
  });

  it('an EPT violation of IRET tells it in its qualification', () => {
    const g = new GuestBench(IRETQ, (bench) => {
      withoutPage(bench, STACK);
      bench.set('GUEST_INTERRUPTIBILITY', NMI_BLOCKING);
    });
    assert.equal(g.enter(), ExitReason.EPT_VIOLATION);
    assert.equal(g.bench.get('EXIT_QUALIFICATION') & UNBLOCKING, UNBLOCKING);
    assert.equal(g.bench.get('GUEST_INTERRUPTIBILITY'), 0n);
  });

  it('not for what follows: the delivery of the fault, and the next instructions', () => {
    const delivery = new GuestBench(IRETQ, (bench) => {
      bench.set('GUEST_INTERRUPTIBILITY', NMI_BLOCKING);
      withoutPage(bench, IDT);
    });
    assert.equal(delivery.enter(), ExitReason.EPT_VIOLATION);
    assert.equal(delivery.bench.get('EXIT_QUALIFICATION') & UNBLOCKING, 0n);
    assert.equal(delivery.bench.get('IDT_VECTORING_INFORMATION') & 0xffn, BigInt(Vector.GP));
    // The handler of #GP executes UD2.
    const later = new GuestBench(IRETQ, (bench) => {
      bench.set('GUEST_INTERRUPTIBILITY', NMI_BLOCKING);
      bench.set('EXCEPTION_BITMAP', 1 << Vector.UD);
    });
    later.bytes(0x6_0000n + BigInt(Vector.GP) * 16n, [0x0f, 0x0b]);
    assert.equal(later.enter(), ExitReason.EXCEPTION_OR_NMI);
    assert.equal(information(later.bench), 0x8000_0306n);
  });
});

describe('state before a VM exit that an event causes indirectly (SDM vol. 3, 28.1)', () => {
  const NMI = interruptionInformation(2, InterruptionType.NMI, false);

  it('an injected NMI blocks NMIs although its delivery ends in a VM exit', () => {
    const g = new GuestBench(VMCALL, (bench) => {
      withoutPage(bench, IDT);
      bench.set('ENTRY_INTERRUPTION_INFORMATION', NMI);
    });
    assert.equal(g.enter(), ExitReason.EPT_VIOLATION);
    assert.equal(g.bench.get('GUEST_INTERRUPTIBILITY'), 8n);
    assert.equal(g.bench.get('IDT_VECTORING_INFORMATION'), BigInt(NMI));
    assert.equal(g.bench.get('GUEST_RIP'), CODE);
  });

  it('the shadow of STI is over when a software interrupt cannot be delivered', () => {
    const g = new GuestBench([STI, 0xcd, 0x80], (bench) => {
      withoutPage(bench, IDT);
      bench.clear('GUEST_RFLAGS', 0x200);
    });
    assert.equal(g.enter(), ExitReason.EPT_VIOLATION);
    assert.equal(g.bench.get('GUEST_INTERRUPTIBILITY'), 0n);
    assert.equal(g.bench.get('IDT_VECTORING_INFORMATION'), 0x8000_0480n);
    assert.equal(g.bench.get('EXIT_INSTRUCTION_LENGTH'), 2n);
    assert.equal(g.bench.get('GUEST_RIP'), CODE + 1n);
  });

  it('an event that exits directly leaves the shadow as it is', () => {
    const g = new GuestBench([STI, 0x0f, 0x0b], (bench) => {
      bench.clear('GUEST_RFLAGS', 0x200);
      bench.set('EXCEPTION_BITMAP', ALL);
    });
    assert.equal(g.enter(), ExitReason.EXCEPTION_OR_NMI);
    assert.equal(g.bench.get('GUEST_INTERRUPTIBILITY'), 1n);
  });

  for (const [type, name, vector, code] of [
    [InterruptionType.SOFTWARE_INTERRUPT, 'INT n', 0x80, [0xcd, 0x80]],
    [InterruptionType.PRIVILEGED_SOFTWARE_EXCEPTION, 'INT1', 1, [0xf1]],
    [InterruptionType.SOFTWARE_EXCEPTION, 'INT3', 3, [0xcc]],
  ] as const)
    it(`${name}: type, length, and RF clear in the saved flags`, () => {
      const g = new GuestBench(code, (bench) => {
        withoutPage(bench, IDT);
        bench.or('GUEST_RFLAGS', 0x1_0000);
      });
      assert.equal(g.enter(), ExitReason.EPT_VIOLATION);
      assert.equal(g.bench.get('IDT_VECTORING_INFORMATION'), BigInt(interruptionInformation(vector, type, false)));
      assert.equal(g.bench.get('EXIT_INSTRUCTION_LENGTH'), BigInt(code.length));
      assert.equal(g.bench.get('GUEST_RFLAGS') & 0x1_0000n, 0n);
    });

  it('INT1 and INT3 exit by the exception bitmap, INT n does not', () => {
    for (const [code, expected] of [
      [[0xf1], 0x8000_0501n],
      [[0xcc], 0x8000_0603n],
    ] as const) {
      const g = new GuestBench(code, (bench) => bench.set('EXCEPTION_BITMAP', ALL));
      assert.equal(g.enter(), ExitReason.EXCEPTION_OR_NMI);
      assert.equal(information(g.bench), expected);
      assert.equal(g.bench.get('EXIT_INSTRUCTION_LENGTH'), 1n);
    }
    const g = new GuestBench([0xcd, 0x03], (bench) => bench.set('EXCEPTION_BITMAP', ALL));
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(g.handler, 3);
  });
});

describe('priority of VM exits over faults (SDM vol. 3, 26.1.1 and 26.1.3)', () => {
  const user = (bench: VmxBench) => {
    bench.set('GUEST_CS_SELECTOR', 11);
    bench.set('GUEST_CS_ACCESS_RIGHTS', 0xa0fb);
    bench.set('GUEST_SS_SELECTOR', 19);
    bench.set('GUEST_SS_ACCESS_RIGHTS', 0xc0f3);
  };

  it('MOV DR exits before #GP of CPL 3 and before #UD of DR4 with CR4.DE', () => {
    const outer = new GuestBench([0x0f, 0x21, 0xc0], (bench) => {
      user(bench);
      bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.MOV_DR_EXITING);
    });
    assert.equal(outer.enter(), ExitReason.MOV_DR);
    const dr4 = new GuestBench([0x0f, 0x21, 0xe3], (bench) => {
      bench.or('GUEST_CR4', 8);
      bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.MOV_DR_EXITING);
    });
    assert.equal(dr4.enter(), ExitReason.MOV_DR);
    assert.equal(dr4.bench.get('EXIT_QUALIFICATION'), 0x314n);
  });

  /** Instructions of CPL 0 that exit: at CPL 3 #GP(0) comes first. */
  const PRIVILEGED: Readonly<Record<string, readonly number[]>> = {
    HLT: [0xf4],
    INVLPG: [0x0f, 0x01, 0x38],
    'MOV to CR3': [0x0f, 0x22, 0xd8],
    'MOV from CR3': [0x0f, 0x20, 0xd8],
    'MOV to CR8': [0x44, 0x0f, 0x22, 0xc0],
    CLTS: [0x0f, 0x06],
    LMSW: [0x0f, 0x01, 0xf0],
    RDMSR: [0x0f, 0x32],
    WRMSR: [0x0f, 0x30],
    RDPMC: [0x0f, 0x33],
    INVD: [0x0f, 0x08],
    WBINVD: [0x0f, 0x09],
    LGDT: [0x0f, 0x01, 0x10],
    LLDT: [0x0f, 0x00, 0xd0],
    LTR: [0x0f, 0x00, 0xd8],
  };
  for (const [name, code] of Object.entries(PRIVILEGED))
    it(`${name} at CPL 3 raises #GP(0) instead of a VM exit`, () => {
      const g = new GuestBench(code, (bench) => {
        user(bench);
        bench.or('PRIMARY_PROCESSOR_CONTROLS', EVERY_PRIMARY);
        bench.set('SECONDARY_PROCESSOR_CONTROLS', (1 << 2) | (1 << 6));
        bench.set('CR0_GUEST_HOST_MASK', 0xf);
        bench.set('CR0_READ_SHADOW', 8);
        bench.set('EXCEPTION_BITMAP', ALL);
      });
      assert.equal(g.enter(), ExitReason.EXCEPTION_OR_NMI);
      assert.equal(information(g.bench), 0x8000_0b0dn);
    });

  const EVERY_PRIMARY =
    Primary.ACTIVATE_SECONDARY_CONTROLS |
    Primary.HLT_EXITING |
    Primary.INVLPG_EXITING |
    Primary.RDPMC_EXITING |
    Primary.CR3_LOAD_EXITING |
    Primary.CR3_STORE_EXITING |
    Primary.CR8_LOAD_EXITING |
    Primary.CR8_STORE_EXITING;

  it('a VM exit comes before the faults of operands: WRMSR of no MSR, MOV to CR4 of reserved bits, CPUID at CPL 3', () => {
    const msr = new GuestBench([0x0f, 0x30]);
    msr.bench.state.setGpr(1, 0x1234n);
    assert.equal(msr.enter(), ExitReason.WRMSR);
    const cr4 = new GuestBench([0x0f, 0x22, 0xe0], (bench) => bench.set('CR4_GUEST_HOST_MASK', 1n << 31n));
    cr4.bench.state.setGpr(0, (1n << 31n) | 0x2020n);
    assert.equal(cr4.enter(), ExitReason.CR_ACCESS);
    assert.equal(new GuestBench([0x0f, 0xa2], user).enter(), ExitReason.CPUID);
  });

  it('IN and OUT: the I/O permission bitmap comes before a VM exit, IOPL too', () => {
    const port = (prepare: (bench: VmxBench) => void): GuestBench =>
      new GuestBench([0xe4, 0x60], (bench) => {
        user(bench);
        bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.UNCONDITIONAL_IO_EXITING);
        bench.set('EXCEPTION_BITMAP', ALL);
        // The I/O map base is the last word of the TSS: beyond its limit.
        bench.set('GUEST_TR_BASE', 0x8000);
        bench.write64(0x8060n, 0xffffn << 48n);
        prepare(bench);
      });
    const denied = port(() => undefined);
    assert.equal(denied.enter(), ExitReason.EXCEPTION_OR_NMI);
    assert.equal(information(denied.bench), 0x8000_0b0dn);
    assert.equal(port((bench) => bench.or('GUEST_RFLAGS', 0x3000)).enter(), ExitReason.IO_INSTRUCTION);
    assert.equal(denied.bench.state.get32(State.ACTIVITY), 0);
  });
});

describe('task switches of a guest (SDM vol. 3, 26.4.2)', () => {
  const NEW_TSS = 0x8_8000n;
  const SELECTOR = 0x28n;
  const available = (rights: bigint, limit = 0x67n): bigint =>
    limit | ((NEW_TSS & 0xffffffn) << 16n) | (rights << 40n) | ((NEW_TSS >> 24n) << 56n);

  /** A 32-bit guest whose GDT has a TSS at SELECTOR and whose IDT has 32-bit gates to HLT. */
  function guest(code: readonly number[], descriptor: bigint, prepare: (bench: VmxBench) => void = () => undefined) {
    return new GuestBench(code, (bench) => {
      makeUnpaged(bench);
      bench.write64(0x5_0000n + 8n, 0x00cf_9b00_0000_ffffn);
      bench.write64(0x5_0000n + SELECTOR, descriptor);
      bench.set('EXCEPTION_BITMAP', ALL);
      prepare(bench);
    });
  }

  function makeUnpaged(bench: VmxBench): void {
    enableEpt(bench, Secondary.UNRESTRICTED_GUEST);
    const pdpt = 0xa_0000n;
    bench.write64(EPT_ROOT, pdpt | 7n);
    bench.write64(pdpt, 0xb7n);
    bench.clear('ENTRY_CONTROLS', Entry.IA32E_MODE_GUEST);
    bench.clear('GUEST_CR0', 1n << 31n);
    bench.set('GUEST_CS_ACCESS_RIGHTS', 0xc09b);
  }

  const JMP = [0xea, 0, 0, 0, 0, Number(SELECTOR), 0];
  const CALL = [0x9a, 0, 0, 0, 0, Number(SELECTOR), 0];

  it('JMP and CALL: selector, source, length', () => {
    for (const [code, source] of [
      [CALL, 0n],
      [JMP, 2n],
    ] as const) {
      const g = guest(code, available(0x89n));
      assert.equal(g.enter(), ExitReason.TASK_SWITCH);
      assert.equal(g.bench.get('EXIT_QUALIFICATION'), SELECTOR | (source << 30n));
      assert.equal(g.bench.get('EXIT_INSTRUCTION_LENGTH'), 7n);
      assert.equal(g.bench.get('GUEST_RIP'), CODE);
      assert.equal(g.bench.read64(0x5_0000n + SELECTOR), available(0x89n), 'not busy');
    }
  });

  it('IRET with NT: the link of the current TSS, which must be busy', () => {
    const nested = (descriptor: bigint) =>
      guest([0xcf], descriptor, (bench) => {
        bench.or('GUEST_RFLAGS', 0x4000);
        bench.set('GUEST_TR_BASE', 0x8_9000);
        bench.write64(0x8_9000n, SELECTOR);
      });
    const g = nested(available(0x8bn));
    assert.equal(g.enter(), ExitReason.TASK_SWITCH);
    assert.equal(g.bench.get('EXIT_QUALIFICATION'), SELECTOR | (1n << 30n));
    const fault = nested(available(0x89n));
    assert.equal(fault.enter(), ExitReason.EXCEPTION_OR_NMI);
    assert.equal(information(fault.bench), 0x8000_0b0an);
    assert.equal(fault.bench.get('EXIT_INTERRUPTION_ERROR_CODE'), SELECTOR);
  });

  it('a task gate in the IDT: the event that was being delivered', () => {
    const gate = (vector: bigint, code: readonly number[]) =>
      guest(code, available(0x89n), (bench) => {
        bench.set('EXCEPTION_BITMAP', 0);
        bench.write64(IDT + vector * 8n, (SELECTOR << 16n) | (0x85n << 40n));
      });
    const software = gate(0x40n, [0xcd, 0x40]);
    assert.equal(software.enter(), ExitReason.TASK_SWITCH);
    assert.equal(software.bench.get('EXIT_QUALIFICATION'), SELECTOR | (3n << 30n));
    assert.equal(software.bench.get('IDT_VECTORING_INFORMATION'), 0x8000_0440n);
    assert.equal(software.bench.get('EXIT_INSTRUCTION_LENGTH'), 2n);
    const fault = gate(6n, [0x0f, 0x0b]);
    assert.equal(fault.enter(), ExitReason.TASK_SWITCH);
    assert.equal(fault.bench.get('IDT_VECTORING_INFORMATION'), 0x8000_0306n);
  });

  it('what is wrong with the new TSS faults before a VM exit', () => {
    for (const [descriptor, vector] of [
      [available(0x8bn), Vector.GP],
      [available(0x09n), Vector.NP],
      [available(0x89n, 0x66n), Vector.TS],
    ] as const) {
      const g = guest(JMP, descriptor);
      assert.equal(g.enter(), ExitReason.EXCEPTION_OR_NMI);
      assert.equal(information(g.bench), BigInt(0x8000_0b00 + vector));
    }
  });
});
